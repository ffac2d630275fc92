// The network between proxy and broker, in the hands of a test: it leads where it is told to, and it can be cut.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export interface WireOptions {
  /** The port of loopback it leads to. */
  readonly to: number
  /** Changes what a client says first, which of TLS is its ClientHello; it passes as it is by default. */
  readonly rewrite?: (first: Buffer) => Buffer
}

/** Carries bytes and knows nothing of them: whoever holds it is on the path, and outside of TLS. */
export class Wire implements AsyncDisposable {
  /** What clients said, all connections together. */
  readonly heard: Buffer[] = []
  /** Connections so far. */
  crossings = 0
  #to: number
  readonly #server: Server
  readonly #open = new Set<Socket>()

  private constructor({ to, rewrite = (first) => first }: WireOptions) {
    this.#to = to
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#carry(near, rewrite))
  }

  static async lay(options: WireOptions): Promise<Wire> {
    const wire = new Wire(options)
    wire.#server.listen(0, '127.0.0.1')
    await once(wire.#server, 'listening')
    return wire
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Leads new connections elsewhere; open ones stay. */
  lead(port: number): void {
    this.#to = port
  }

  /** Resets every open connection, on both sides. */
  reset(): void {
    for (const socket of this.#open) socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.reset()
    await once(this.#server, 'close')
  }

  #carry(near: Socket, rewrite: (first: Buffer) => Buffer): void {
    this.crossings += 1
    const far = connect({ host: '127.0.0.1', port: this.#to, allowHalfOpen: true, noDelay: true })
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(socket)
      socket.on('error', () => other.resetAndDestroy())
      socket.on('close', () => this.#open.delete(socket))
    }
    let first = true
    near.on('data', (bytes: Buffer) => {
      this.heard.push(bytes)
      far.write(first ? rewrite(bytes) : bytes)
      first = false
    })
    near.on('end', () => far.end())
    far.pipe(near)
  }
}
