// The real mosquitto behind TLS, and its command line clients.

import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { Child } from './child.ts'
import { Folder } from './folder.ts'
import type { Pki } from './pki.ts'
import { tool } from './tools.ts'
import { eventually } from './wait.ts'

export const mosquittoTools = ['mosquitto', 'mosquitto_pub', 'mosquitto_sub']

export type Version = '31' | '311' | '5'

export interface MosquittoOptions {
  readonly pki: Pki
  /** The certificate and key it shows; a fresh one of the PKI's CA by default. */
  readonly identity?: { readonly chain: string; readonly key: string }
  /** PEM of the CA that clients' certificates must be from; none are asked for without. */
  readonly clientCa?: string
  /** Lines of mosquitto.conf. */
  readonly more?: readonly string[]
  /** Lines of mosquitto.conf about its TLS. */
  readonly tls?: readonly string[]
  /** What openssl.cnf would say of every TLS connection, such as `MaxProtocol = TLSv1.2`. */
  readonly openssl?: readonly string[]
  /** Where it was before, to come back. */
  readonly port?: number
}

const opensslHead = [
  'openssl_conf = all',
  '[all]',
  'ssl_conf = kinds',
  '[kinds]',
  'system_default = tls',
  '[tls]',
]

export class Mosquitto implements AsyncDisposable {
  readonly port: number
  /** A listener without TLS on loopback, for clients that go past the proxy. */
  readonly plainPort: number
  readonly #child: Child
  readonly #folder: Folder

  private constructor(ports: readonly [number, number], child: Child, folder: Folder) {
    ;[this.port, this.plainPort] = ports
    this.#child = child
    this.#folder = folder
  }

  static async start(options: MosquittoOptions): Promise<Mosquitto> {
    const { pki, identity = await pki.issue(), clientCa, more = [], tls = [], openssl = [] } = options
    const port = options.port ?? (await freePort())
    const plainPort = await freePort()
    const folder = await Folder.make({
      'chain.pem': identity.chain,
      'key.pem': identity.key,
      'openssl.cnf': `${[...opensslHead, ...openssl].join('\n')}\n`,
      ...(clientCa === undefined ? {} : { 'clients.pem': clientCa }),
    })
    const verifies =
      clientCa === undefined ? [] : ['require_certificate true', `cafile ${folder.at('clients.pem')}`]
    const configuration = [
      // As root it would become another user, who cannot read the folder; it is ignored for anybody else.
      'user root',
      'log_dest stderr',
      'allow_anonymous true',
      'max_queued_messages 0',
      'max_inflight_messages 0',
      'set_tcp_nodelay true',
      ...more,
      `listener ${plainPort} 127.0.0.1`,
      `listener ${port} 127.0.0.1`,
      `certfile ${folder.at('chain.pem')}`,
      `keyfile ${folder.at('key.pem')}`,
      ...verifies,
      ...tls,
    ]
    const file = await folder.write('mosquitto.conf', `${configuration.join('\n')}\n`)
    const env = { ...process.env, ...(openssl.length > 0 && { OPENSSL_CONF: folder.at('openssl.cnf') }) }
    const child = new Child(tool('mosquitto'), ['-c', file], { env })
    const broker = new Mosquitto([port, plainPort], child, folder)
    try {
      await child.says(/mosquitto version \S+ running/)
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
    return broker
  }

  get log(): string {
    return this.#child.stderr
  }

  /** Shows new connections another certificate; those that are open stay. */
  async renew({ chain, key }: NonNullable<MosquittoOptions['identity']>): Promise<void> {
    const told = (): number => this.#child.stderr.split('Reloading config.').length
    const before = told()
    await this.#folder.write('chain.pem', chain)
    await this.#folder.write('key.pem', key)
    this.#child.process.kill('SIGHUP')
    await eventually('mosquitto take its new certificate', () => told() > before)
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    await this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }
}

export interface ClientOptions {
  readonly port: number
  readonly version?: Version
  readonly topic: string
  readonly qos?: 0 | 1 | 2
  /** Further arguments of the client. */
  readonly more?: readonly string[]
  /** Instead of the environment of the test. */
  readonly env?: NodeJS.ProcessEnv
}

/** `mosquitto_pub`, with the message on its standard input; `succeeds()` waits for its end. */
export function publish({
  message,
  ...options
}: ClientOptions & { readonly message: string | Uint8Array }): Child {
  return new Child(tool('mosquitto_pub'), [...argumentsOf(options), '-s'], {
    input: message,
    ...envOf(options),
  })
}

/** `mosquitto_sub`, which ends after `count` messages and writes their payloads with nothing between them. */
export function subscribe({ count, ...options }: ClientOptions & { readonly count: number }): Child {
  const args = [...argumentsOf(options), '-N', '-C', String(count)]
  return new Child(tool('mosquitto_sub'), args, envOf(options))
}

/** `mosquitto_sub`, which writes a line of topic and payload for every message, until it is killed. */
export function listen(options: ClientOptions): Child {
  return new Child(tool('mosquitto_sub'), [...argumentsOf(options), '-v'], envOf(options))
}

function envOf({ env }: ClientOptions): { env?: NodeJS.ProcessEnv } {
  return env === undefined ? {} : { env }
}

function argumentsOf({ port, version = '311', topic, qos = 0, more = [] }: ClientOptions): string[] {
  return [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-V',
    `mqttv${version}`,
    '-t',
    topic,
    '-q',
    String(qos),
    ...more,
  ]
}

/** A port that was free a moment ago, for programs that take none by themselves and name it. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
