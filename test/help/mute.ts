// A TCP server that takes connections, says what a test wants to them and nothing by default, and never TLS.

import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export class Mute implements AsyncDisposable {
  /** Connections, in order. */
  readonly seen: Socket[] = []
  readonly #server: Server

  private constructor(greet: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      socket.on('error', () => {})
      socket.resume()
      this.seen.push(socket)
      greet(socket)
    })
  }

  static async start(greet: (socket: Socket) => void = () => {}, host = '127.0.0.1'): Promise<Mute> {
    const mute = new Mute(greet)
    mute.#server.listen(0, host)
    await once(mute.#server, 'listening')
    return mute
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.seen) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A port of loopback where nobody listens. */
export async function deadPort(): Promise<number> {
  await using mute = await Mute.start()
  return mute.port
}
