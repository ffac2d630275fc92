// Pulseward as its users run it: a process of its own on a proxy.yaml of its own, watched through log and metrics.

import { get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { Child } from './child.ts'
import { Exposition, type Labels } from './exposition.ts'
import { Folder } from './folder.ts'
import { eventually, soon } from './wait.ts'

export type Line = Readonly<Record<string, unknown>> & { readonly msg: string }

/** What goes into proxy.yaml beside or instead of the ordinary; JSON is YAML. */
export interface WardOptions {
  /** Ports of the brokers on 127.0.0.1, in order. */
  readonly brokers: readonly number[]
  /** Name of the file with the CA of the brokers. */
  readonly ca?: string
  readonly listener?: Readonly<Record<string, unknown>>
  readonly limits?: Readonly<Record<string, unknown>>
  readonly tls?: Readonly<Record<string, unknown>>
  readonly timeouts?: Readonly<Record<string, unknown>>
  readonly canary?: Readonly<Record<string, unknown>>
  /** Of the upstream. */
  readonly pair?: Readonly<Record<string, unknown>>
  /** Further top-level options. */
  readonly more?: Readonly<Record<string, unknown>>
}

export interface ProxyOptions {
  readonly config: object
  /** Files beside proxy.yaml, by name. */
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  /** A program and its arguments that the command is handed to, such as `prlimit`. */
  readonly wrapper?: readonly string[]
  /** Lets `collectGarbage` work. */
  readonly exposeGc?: boolean
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const gcHook = new URL('./collect-garbage.ts', import.meta.url).href

/**
 * One listener "ward" on a free port in front of one upstream "hospital". It takes plaintext only unless told
 * otherwise: minting RSA keys for devices that speak TLS is the slowest part of a start.
 */
export function ward({
  brokers,
  ca = 'ca.pem',
  listener,
  limits,
  tls,
  timeouts,
  canary,
  pair,
  more,
}: WardOptions): object {
  return {
    listeners: [
      {
        name: 'ward',
        bind: '127.0.0.1:0',
        accept: ['mqtt'],
        upstream: 'hospital',
        limits: { perAddress: 1000, halfClose: '20s', ...limits },
        ...listener,
      },
    ],
    upstreams: {
      hospital: {
        servers: brokers.map((port) => `mqtts://127.0.0.1:${port}`),
        // Most tests need no second key; those of pins say otherwise.
        tls: { ca, singlePin: 'accept', ...tls },
        ...(timeouts && { timeouts }),
        ...(canary && { canary }),
        ...(pair && { pair }),
      },
    },
    metrics: { bind: '127.0.0.1:0' },
    reload: { watch: false },
    drain: { timeout: '3s' },
    ...more,
  }
}

export class Proxy implements AsyncDisposable {
  readonly folder: Folder
  readonly #child: Child
  #ports: ReadonlyMap<string, number> = new Map()
  #admin = ''
  #expectedCode: number | undefined = 0
  /** Where reading the log goes on, and what has been read. */
  #lines: Line[] = []
  #read = 0

  private constructor(folder: Folder, child: Child) {
    this.folder = folder
    this.#child = child
  }

  /** Starts it and waits until it listens. The end of the scope stops it and checks that it went with 0. */
  static async start(options: ProxyOptions): Promise<Proxy> {
    const proxy = await Proxy.launch(options)
    await eventually(
      () => `the proxy start: ${proxy.output}`,
      () => {
        if (!proxy.#child.running) throw new Error(`the proxy did not start: ${proxy.output}`)
        return proxy.#settle()
      },
    )
    // The summary is written just before signals are heeded; an answer comes after.
    await ask(`${proxy.#admin}/healthz`)
    return proxy
  }

  /** Starts it and waits for nothing, for those that are meant to fail. */
  static async launch({
    config,
    files = {},
    env = {},
    wrapper = [],
    exposeGc,
  }: ProxyOptions): Promise<Proxy> {
    const folder = await Folder.make({ ...files, 'proxy.yaml': JSON.stringify(config, undefined, 2) })
    const gc = exposeGc === true ? ['--expose-gc', '--import', gcHook] : []
    const node = [process.execPath, ...gc, main, 'run', '-c', folder.at('proxy.yaml')]
    const [command = '', ...args] = [...wrapper, ...node]
    return new Proxy(folder, new Child(command, args, { env: { PATH: process.env['PATH'], ...env } }))
  }

  /** `host:port` of the admin server. */
  get admin(): string {
    return new URL(this.#admin).host
  }

  /** The port of the listener "ward". */
  get port(): number {
    return this.portOf('ward')
  }

  portOf(listener: string): number {
    const port = this.#ports.get(listener)
    if (port === undefined) throw new Error(`no listener "${listener}": ${this.output}`)
    return port
  }

  get pid(): number {
    return this.#child.process.pid ?? 0
  }

  get ended(): Child['ended'] {
    return this.#child.ended
  }

  /** PEM file of the CA that the certificate `auto` is from. */
  get deviceCa(): string {
    return this.folder.at('state/pki/ca.pem')
  }

  /** All that it wrote so far, both streams. */
  get output(): string {
    return this.#child.stdout.toString() + this.#child.stderr
  }

  get log(): readonly Line[] {
    const text = this.#child.stdout.toString()
    const end = text.lastIndexOf('\n') + 1
    for (const line of text.slice(this.#read, end).split('\n')) {
      if (line !== '') this.#lines.push(JSON.parse(line) as Line)
    }
    this.#read = Math.max(this.#read, end)
    return this.#lines
  }

  /** Log lines with this message whose fields have these values. */
  lines(message: string, fields: Readonly<Record<string, unknown>> = {}): readonly Line[] {
    const wanted = Object.entries(fields)
    return this.log.filter(
      (line) => line.msg === message && wanted.every(([name, value]) => line[name] === value),
    )
  }

  async line(message: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Line> {
    return await eventually(
      () => `"${message}" ${JSON.stringify(fields)} in the log: ${this.#tail()}`,
      () => this.lines(message, fields)[0],
    )
  }

  async metrics(): Promise<Exposition> {
    const { status, text } = await ask(`${this.#admin}/metrics`)
    if (status !== 200) throw new Error(`/metrics answered ${status}`)
    return new Exposition(text)
  }

  async metric(name: string, labels: Labels = {}): Promise<number> {
    return (await this.metrics()).value(name, labels)
  }

  /** Waits until the sum of a metric over these labels is what is wanted, and returns it. */
  async waitForMetric(
    name: string,
    labels: Labels,
    enough: number | ((value: number) => boolean),
  ): Promise<number> {
    let last = Number.NaN
    const isEnough = typeof enough === 'number' ? (value: number) => value === enough : enough
    return await eventually(
      () => `${name} ${JSON.stringify(labels)} as wanted, the last was ${last}: ${this.#tail()}`,
      async () => {
        last = await this.metric(name, labels)
        return isEnough(last) ? last : undefined
      },
    )
  }

  /** Status and body of /readyz. */
  async readiness(): Promise<{ readonly status: number; readonly body: unknown }> {
    const { status, text } = await ask(`${this.#admin}/readyz`)
    return { status, body: JSON.parse(text) as unknown }
  }

  async waitForReady(status: 200 | 503): Promise<void> {
    await eventually(
      () => `/readyz with ${status}: ${this.#tail()}`,
      async () => (await this.readiness()).status === status,
    )
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.process.kill(signal)
  }

  /** Puts another proxy.yaml there, in one step. */
  async rewrite(config: object | string): Promise<void> {
    const text = typeof config === 'string' ? config : JSON.stringify(config, undefined, 2)
    await this.folder.write('proxy.yaml', text)
  }

  /** SIGHUP, and the wait for what came of it. */
  async reload(): Promise<Line> {
    const outcomes = ['configuration reloaded', 'configuration not reloaded; the one before stays in force']
    const ofReload = (): readonly Line[] => outcomes.flatMap((message) => this.lines(message))
    const before = new Set(ofReload())
    this.signal('SIGHUP')
    return await eventually(
      () => `the end of a reload: ${this.#tail()}`,
      () => ofReload().find((line) => !before.has(line)),
    )
  }

  /** Has all garbage collected, in a proxy started with `exposeGc`. */
  async collectGarbage(): Promise<void> {
    const before = this.#collections()
    this.signal('SIGUSR2')
    await eventually('a garbage collection', () => this.#collections() > before)
  }

  /** Stops it with a signal and returns how it ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.signal(signal)
    return (await soon(() => `the proxy stop: ${this.#tail()}`, this.ended)).code
  }

  /** Leaves the exit code to the test. */
  mayFail(): this {
    this.#expectedCode = undefined
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child.running) this.signal('SIGTERM')
      const { code, signal } = await soon(() => `the proxy stop: ${this.#tail()}`, this.ended)
      if (this.#expectedCode === undefined) return
      if (code !== this.#expectedCode)
        throw new Error(`the proxy ended with ${code ?? signal}: ${this.#tail()}`)
      if (this.output.includes('a defect')) throw new Error(`the proxy found a defect: ${this.#tail()}`)
    } finally {
      await this.#child[Symbol.asyncDispose]()
      await this.folder[Symbol.asyncDispose]()
    }
  }

  #settle(): boolean {
    const metrics = /metrics +(http:\/\/\S+)\/metrics.*\n/.exec(this.#child.stderr)?.[1]
    if (metrics === undefined) return false
    const places = this.#child.stderr.matchAll(/listening +\S+:(\d+) \(([a-z0-9-]+);/g)
    this.#ports = new Map(Array.from(places, ([, port, name = '']) => [name, Number(port)]))
    this.#admin = metrics
    return true
  }

  #collections(): number {
    return this.#child.stderr.split('garbage collected').length - 1
  }

  #tail(): string {
    return this.output.split('\n').slice(-25).join('\n')
  }
}

/** On a connection of its own: one kept alive may be closed by the server just as it is used again. */
function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      )
    })
    request.on('error', reject)
  })
}
