// Somebody between two Pulsewards with the far end's own certificate and key: ends TLS on both sides, and reads along.

import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { pairProtocolOnWire, pairProtocols } from './pair.ts'

/** What it does about the proofs: `ignore` knows nothing of them; `relay` hands everything on as it comes. */
export type Attack = 'ignore' | 'relay' | Answer

/** What the near end is sent in place of the far end's answer to its frame; `hang up` or `silence` instead of one. */
export type Answer = (heard: Buffer) => Buffer | 'silence' | 'hang up'

export interface InterceptorOptions {
  readonly cert: string
  readonly key: string
  /** Port of the far end on 127.0.0.1. */
  readonly farEnd: number
  readonly attack: Attack
}

export class Interceptor implements AsyncDisposable {
  readonly port: number
  /** What it read of each connection, decrypted: from the near end, and from the far end. */
  readonly fromNear: Buffer[] = []
  readonly fromFar: Buffer[] = []
  attack: Attack
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, { cert, key, farEnd, attack }: InterceptorOptions) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.attack = attack
    const context = createSecureContext({ cert, key })
    server.on('connection', (raw: Socket) => {
      const protocols = this.attack === 'ignore' ? undefined : { ALPNProtocols: pairProtocolOnWire }
      const near = new TLSSocket(raw, { isServer: true, secureContext: context, ...protocols })
      near.on('_tlsError', (error: Error) => near.destroy(error))
      this.#keep(raw, near)
      if (typeof this.attack === 'function') return this.#answer(near, this.attack)
      this.#relay(near, farEnd)
    })
  }

  static async start(options: InterceptorOptions): Promise<Interceptor> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Interceptor(server, options)
  }

  /** Everything it read from the near end, of all connections. */
  get heard(): Buffer {
    return Buffer.concat(this.fromNear)
  }

  #relay(near: TLSSocket, port: number): void {
    const protocols = this.attack === 'relay' ? { ALPNProtocols: [...pairProtocols] } : {}
    const far = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...protocols })
    this.#keep(far)
    near.on('data', (chunk: Buffer) => {
      this.fromNear.push(chunk)
      far.write(chunk)
    })
    far.on('data', (chunk: Buffer) => {
      this.fromFar.push(chunk)
      near.write(chunk)
    })
    near.on('close', () => far.destroy())
    // What was handed on has to arrive: only then can it be seen what becomes of it.
    far.on('end', () => near.end())
    far.on('close', () => near.end())
  }

  #answer(near: TLSSocket, answer: Answer): void {
    near.on('data', (chunk: Buffer) => {
      this.fromNear.push(chunk)
      const answered = answer(chunk)
      if (answered === 'hang up') near.end()
      else if (answered !== 'silence') near.write(answered)
    })
  }

  #keep(...sockets: readonly Socket[]): void {
    for (const socket of sockets) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
