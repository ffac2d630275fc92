// The app inside the test's own process: a folder with proxy.yaml, a broker it may trust, and its log as it is written.

import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { once } from 'node:events'
import type { Readiness } from '../../src/admin/readiness.ts'
import { App } from '../../src/app.ts'
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts'
import type { Lookup } from '../../src/net/resolve.ts'
import { TestBroker } from './broker.ts'
import { Diary } from './diary.ts'
import { Exposition, type Labels } from './exposition.ts'
import { Folder } from './folder.ts'
import type { Pki } from './pki.ts'
import { ward, type WardOptions } from './proxy.ts'
import { soon } from './wait.ts'

type Settings = Omit<WardOptions, 'brokers' | 'ca'>

/** An app that may be started, reloaded and stopped; what it leaves behind goes with the scope. */
export class Premises implements AsyncDisposable {
  readonly folder: Folder
  readonly broker: TestBroker
  readonly diary = new Diary()
  readonly metrics: Metrics = createMetrics({ version: 'test' })
  #app: App | undefined

  private constructor(folder: Folder, broker: TestBroker) {
    this.folder = folder
    this.broker = broker
  }

  static async prepare(pki: Pki, files: Readonly<Record<string, string>> = {}): Promise<Premises> {
    const { chain: cert, key } = await pki.issue()
    const broker = await TestBroker.start({ cert, key })
    return new Premises(await Folder.make({ 'ca.pem': pki.ca.cert, ...files }), broker)
  }

  /** One listener "ward" on a free port in front of the broker, unless told otherwise. */
  async write(settings: Settings & { readonly brokers?: readonly number[] } = {}): Promise<void> {
    await this.folder.write('proxy.yaml', JSON.stringify(ward({ brokers: [this.broker.port], ...settings })))
  }

  /** `lookup` stands in for the resolver of this machine. */
  async start({ lookup }: { readonly lookup?: Lookup } = {}): Promise<App> {
    const { log } = this.diary
    const files = { path: 'proxy.yaml', cwd: this.folder.path, env: {} }
    const options = { ...files, log, metrics: this.metrics, ...(lookup && { lookup }) }
    this.#app = await App.start(options)
    return this.#app
  }

  get app(): App {
    if (this.#app === undefined) throw new Error('not started')
    return this.#app
  }

  port(name = 'ward'): number {
    const port = this.app.listening.find((one) => one.name === name)?.port
    if (port === undefined) throw new Error(`no listener "${name}"`)
    return port
  }

  async metric(name: string, labels: Labels = {}): Promise<number> {
    return new Exposition(await this.metrics.expose()).value(`pulseward_${name}`, labels)
  }

  /** Status of /readyz. */
  async readiness(): Promise<number> {
    return (await this.readyz()).status
  }

  async readyz(): Promise<{ readonly status: number; readonly body: Readiness }> {
    const url = `http://${this.app.adminAddress}/readyz`
    const response = await fetch(url, { headers: { connection: 'close' } })
    return { status: response.status, body: (await response.json()) as Readiness }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]()
    this.metrics[Symbol.dispose]()
    await this.broker[Symbol.asyncDispose]()
    await this.folder[Symbol.asyncDispose]()
  }
}

/** Whether somebody takes connections there. */
export async function listens(port: number, host = '127.0.0.1'): Promise<boolean> {
  const socket: Socket = connect({ port, host })
  try {
    await soon('an answer', once(socket, 'connect'))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false
    throw error
  } finally {
    socket.destroy()
  }
}
