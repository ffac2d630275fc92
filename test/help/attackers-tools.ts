// Programs of attackers: mitmproxy and stunnel in the broker's place, and what each of them got to read.

import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Identity, Threat } from './attackers-scene.ts'
import { TestBroker, type BrokerOptions } from './broker.ts'
import { Child } from './child.ts'
import { Device } from './device.ts'
import { Folder } from './folder.ts'
import { freePort } from './mosquitto.ts'
import { tool } from './tools.ts'
import { eventually } from './wait.ts'
import { Wire } from './wire.ts'

/** Says on standard error whom mitmproxy met, and how many bytes it could read of each; its hooks are its own API. */
const addon = `import sys

def say(*words):
    print("attack", *words, file=sys.stderr, flush=True)

class Tell:
    def running(self):
        say("running")
    def tls_clienthello(self, data):
        say("hello")
    def tcp_message(self, flow):
        say("read", len(flow.messages[-1].content))
    def request(self, flow):
        say("read", len(flow.request.raw_content or b"") + 1)

addons = [Tell()]
`

export class Mitmproxy implements Threat, AsyncDisposable {
  readonly port: number
  readonly #child: Child
  readonly #folder: Folder

  private constructor(port: number, child: Child, folder: Folder) {
    this.port = port
    this.#child = child
    this.#folder = folder
  }

  /** In front of the broker at `broker`; its CA is its own, made at its start. */
  static async start(broker: number): Promise<Mitmproxy> {
    const folder = await Folder.make({ 'tell.py': addon })
    const port = await freePort()
    const child = new Child(tool('mitmdump'), [
      `--mode=reverse:https://127.0.0.1:${broker}`,
      '--listen-host=127.0.0.1',
      `--listen-port=${port}`,
      // Everything is raw TCP inside of TLS; whatever the broker shows is good enough for an attacker.
      '--rawtcp',
      '--tcp-hosts=.*',
      '--ssl-insecure',
      '--set',
      `confdir=${folder.path}`,
      `--scripts=${folder.at('tell.py')}`,
    ])
    const mitmproxy = new Mitmproxy(port, child, folder)
    try {
      await child.says(/^attack running/m)
    } catch (error) {
      await mitmproxy[Symbol.asyncDispose]()
      throw error
    }
    return mitmproxy
  }

  /** PEM of its CA. */
  async ca(): Promise<string> {
    return await readFile(this.#folder.at('mitmproxy-ca-cert.pem'), 'utf8')
  }

  met(): number {
    return this.#said('hello').length
  }

  /** Its one loop has read whatever came before a visit of our own. */
  async bytes(): Promise<number> {
    const before = this.met()
    await using visit = await Device.connectTls(this.port, { ca: await this.ca() })
    await eventually('our own handshake', () => visit.socket.authorized && this.met() > before)
    return this.#said('read ([0-9]+)').reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }

  #said(what: string): RegExpExecArray[] {
    return [...this.#child.stderr.matchAll(new RegExp(`^attack ${what}$`, 'gm'))]
  }
}

/** stunnel, which hands all it can read to a wire that leads to the broker's plaintext port and counts it. */
export class Stunnel implements Threat, AsyncDisposable {
  readonly port: number
  readonly shows: string
  readonly #child: Child
  readonly #behind: Wire
  readonly #stack: AsyncDisposableStack

  private constructor(port: number, shows: string, child: Child, behind: Wire, stack: AsyncDisposableStack) {
    this.port = port
    this.shows = shows
    this.#child = child
    this.#behind = behind
    this.#stack = stack
  }

  static async start({ chain, cert, key }: Identity, plainPort: number): Promise<Stunnel> {
    await using stack = new AsyncDisposableStack()
    const behind = stack.use(await Wire.lay({ to: plainPort }))
    const folder = stack.use(await Folder.make({ 'chain.pem': chain, 'key.pem': key }))
    const port = await freePort()
    const lines = [
      'foreground = yes',
      'debug = info',
      'pid =',
      '[broker]',
      `accept = 127.0.0.1:${port}`,
      `connect = 127.0.0.1:${behind.port}`,
      `cert = ${folder.at('chain.pem')}`,
      `key = ${folder.at('key.pem')}`,
    ]
    const file = await folder.write('stunnel.conf', `${lines.join('\n')}\n`)
    const child = stack.use(new Child(tool('stunnel'), [file]))
    await child.says(/Configuration successful/)
    return new Stunnel(port, cert, child, behind, stack.move())
  }

  met(): number {
    return this.#said(/accepted connection/g)
  }

  async bytes(): Promise<number> {
    await eventually(
      'stunnel alone',
      () => this.#said(/accepted connection/g) === this.#said(/Connection (?:closed|reset)/g),
    )
    return Buffer.concat(this.#behind.heard).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }

  #said(what: RegExp): number {
    return this.#child.stderr.match(what)?.length ?? 0
  }
}

/** TLS in front of a broker's plaintext port, as many have it, with what mosquitto's own cannot be told. */
export async function frontOf(plainPort: number, options: BrokerOptions): Promise<TestBroker> {
  const serve: BrokerOptions['serve'] = ({ socket }) => {
    const broker = connect(plainPort, '127.0.0.1')
    broker.on('error', () => socket.destroy())
    socket.on('close', () => broker.destroy())
    socket.pipe(broker).pipe(socket)
  }
  return await TestBroker.start({ ...options, serve })
}

/** A test broker as an attacker; `shows` is the leaf it serves. */
export function threatOf(broker: TestBroker, shows?: string): Threat {
  return {
    port: broker.port,
    met: () => broker.visits.length + broker.failures.length,
    bytes: async () => {
      await eventually('the handshakes', () => broker.visits.length + broker.failures.length >= broker.knocks)
      for (const visit of broker.visits) await visit.untilClosed()
      return broker.applicationBytes
    },
    ...(shows !== undefined && { shows }),
  }
}

/**
 * Somebody who only holds a wire: what passed in the clear, or as application data of TLS, is what could be learnt. The
 * content types of records are those of RFC 8446, 5.1.
 */
export function threatOn(wire: Wire): Threat {
  const records = { least: 20, handshake: 22, applicationData: 23 } as const
  const readable = (heard: Buffer): number => {
    let [at, count] = [0, 0]
    while (at + 5 <= heard.length) {
      const type = heard.readUInt8(at)
      if (type < records.least || type > records.applicationData || heard[at + 1] !== 3) break
      const size = 5 + heard.readUInt16BE(at + 3)
      if (type === records.applicationData) count += size
      at += size
    }
    return count + (heard.length - at)
  }
  return {
    port: wire.port,
    met: () => wire.crossings,
    bytes: () => wire.heard.reduce((sum, one) => sum + readable(one), 0),
  }
}
