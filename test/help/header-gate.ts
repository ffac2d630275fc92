// What stands before a broker that wants a PROXY protocol header: keeps the header of each connection, and passes on the rest.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

const v2Signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

export class HeaderGate implements AsyncDisposable {
  /** The headers that came, in order. */
  readonly headers: Buffer[] = []
  /** Whom the connections came from. */
  readonly sources: string[] = []
  readonly #server = createServer((socket) => this.#accept(socket))
  readonly #behind: number
  readonly #sockets = new Set<Socket>()

  private constructor(behind: number) {
    this.#behind = behind
  }

  /** `behind`: the port of the broker on 127.0.0.1. */
  static async open(behind: number): Promise<HeaderGate> {
    const gate = new HeaderGate(behind)
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    return gate
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    this.sources.push(socket.remoteAddress ?? '')
    let bytes: Buffer = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      const size = sizeOf(bytes)
      if (size === undefined || bytes.length < size) return
      socket.off('data', onData)
      this.headers.push(bytes.subarray(0, size))
      const onward = connect(this.#behind, '127.0.0.1')
      this.#sockets.add(onward)
      onward.write(bytes.subarray(size))
      socket.pipe(onward).pipe(socket)
      onward.on('error', () => socket.destroy())
    }
    socket.on('data', onData)
    socket.on('error', () => {})
  }
}

function sizeOf(bytes: Buffer): number | undefined {
  if (bytes.subarray(0, 12).equals(v2Signature))
    return bytes.length < 16 ? undefined : 16 + bytes.readUInt16BE(14)
  const end = bytes.indexOf('\r\n')
  return end < 0 ? undefined : end + 2
}
