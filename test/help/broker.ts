// A TLS server in the place of a broker: genuine or rogue, it records every byte and says what a test tells it to.

import { once } from 'node:events'
import { createServer as createPlainServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { connackPacket, type Level } from './packets.ts'
import { Peer } from './peer.ts'
import { eventually } from './wait.ts'

export interface BrokerOptions extends TlsOptions {
  /** Port to listen on; a free one by default. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 by default. */
  readonly host?: string
  /** The OCSP response it sends along. */
  readonly staple?: Buffer
  /** Goes on after the other side's end, until the script ends it. */
  readonly halfOpen?: boolean
  /** What it does with a device; by default it accepts CONNECT and is silent after. */
  readonly serve?: (visit: Visit) => void | Promise<void>
}

/** One connection to the broker, its handshake done. */
export class Visit extends Peer {
  declare readonly socket: TLSSocket
}

export class TestBroker implements AsyncDisposable {
  readonly port: number
  /** Connections whose handshake the broker finished, in order; what they sent is in `received`. */
  readonly visits: Visit[] = []
  /** TCP connections, those without a handshake included. */
  knocks = 0
  /** Handshakes that failed. */
  readonly failures: string[] = []
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server
    this.#sockets = sockets
    this.port = (server.address() as AddressInfo).port
  }

  static async start({
    port = 0,
    host = '127.0.0.1',
    serve = acceptAll,
    halfOpen = false,
    staple,
    ...tls
  }: BrokerOptions): Promise<TestBroker> {
    const server = createServer({ minVersion: 'TLSv1.3', ALPNProtocols: [], ...tls })
    if (staple !== undefined) server.on('OCSPRequest', answerWith(staple))
    const broker = await TestBroker.#open(server, port, host)
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.setNoDelay(true)
      socket.allowHalfOpen = true
      if (!halfOpen) socket.on('end', () => socket.end())
      const visit = new Visit(socket)
      broker.visits.push(visit)
      // A script fails when the device is gone before its end; the test sees that from the other side.
      Promise.resolve(serve(visit)).catch(() => {})
    })
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => broker.failures.push(error.code ?? ''))
    return broker
  }

  /** No TLS at all: answers whatever comes with these bytes. */
  static async startPlain(answer: Uint8Array): Promise<TestBroker & { readonly heard: Buffer[] }> {
    const heard: Buffer[] = []
    const server = createPlainServer((socket) => {
      socket.on('data', (chunk) => heard.push(Buffer.from(chunk)))
      socket.write(answer)
    })
    return Object.assign(await TestBroker.#open(server, 0), { heard })
  }

  static async #open(server: Server, port: number, host = '127.0.0.1'): Promise<TestBroker> {
    const sockets = new Set<Socket>()
    server.listen(port, host, 1024)
    await once(server, 'listening')
    const broker = new TestBroker(server, sockets)
    server.on('connection', (socket: Socket) => {
      broker.knocks += 1
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    })
    return broker
  }

  /** Application bytes of all visits. */
  get applicationBytes(): number {
    return this.visits.reduce((sum, { received }) => sum + received.length, 0)
  }

  /** Waits for the visit at `index` to be there. */
  async visit(index: number): Promise<Visit> {
    return await eventually(`visit ${index}`, () => this.visits[index])
  }

  /** The first visit that has received these bytes, such as a client id. */
  async visitOf(text: string): Promise<Visit> {
    return await eventually(`a visit of "${text}"`, () =>
      this.visits.find(({ received }) => received.includes(text)),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** For the event `OCSPRequest` of a TLS server: sends this response along, whoever asks. */
export function answerWith(
  staple: Buffer,
): (leaf: Buffer, issuer: Buffer, answer: (error: Error | null, response: Buffer) => void) => void {
  return (_leaf, _issuer, answer) => answer(null, staple)
}

/** Waits for CONNECT, whose canary probes never send one, and accepts it in its own version. */
export async function acceptAll(visit: Visit): Promise<void> {
  const version = await connectVersion(visit)
  await visit.send(connackPacket(version))
}

/** The protocol level of a visitor's CONNECT. */
export async function connectVersion(visit: Visit): Promise<Level> {
  const received = await visit.bytes(2 + 2 + 6 + 1)
  const name = received.readUInt16BE(2)
  return received[4 + name] as Level
}
