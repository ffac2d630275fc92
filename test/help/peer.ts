// One end of a connection in the hands of a test: sends bytes by hand, keeps what comes, and waits for it.

import type { Socket } from 'node:net'
import { soon } from './wait.ts'

/** Bytes, or hex with free white space. */
export type Bytes = Uint8Array | string

export class Peer implements AsyncDisposable {
  readonly socket: Socket
  /** What ended it, if not a FIN. */
  error: NodeJS.ErrnoException | undefined
  #chunks: Buffer[] = []
  #ended = false
  #closed = false
  readonly #waiting = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#changed()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#changed()
    })
    socket.on('error', (error) => (this.error = error))
    socket.on('close', () => {
      this.#ended = true
      this.#closed = true
      this.#changed()
    })
  }

  get received(): Buffer {
    const whole = Buffer.concat(this.#chunks)
    this.#chunks = [whole]
    return whole
  }

  /** Whether the other side will say nothing more. */
  get ended(): boolean {
    return this.#ended
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Resolves when the kernel has the bytes. */
  async send(...parts: readonly Bytes[]): Promise<void> {
    const bytes = Buffer.concat(parts.map(toBytes))
    await soon('a write taken', new Promise<void>((resolve) => this.socket.write(bytes, () => resolve())))
  }

  /** Closes this end's half, after these bytes. */
  end(...parts: readonly Bytes[]): void {
    this.socket.end(Buffer.concat(parts.map(toBytes)))
  }

  /** Waits until so many bytes have come in all, and returns all that have. */
  async bytes(count: number): Promise<Buffer> {
    return await this.until(`${count} bytes`, (received) => received.length >= count)
  }

  /** Waits until what has come holds these bytes. */
  async holds(wanted: Bytes): Promise<Buffer> {
    const bytes = toBytes(wanted)
    return await this.until(`"${bytes.toString('hex')}"`, (received) => received.includes(bytes))
  }

  /** Everything that came until the other side ended or the connection broke. */
  async everything(): Promise<Buffer> {
    await this.#when('the end', () => this.#ended)
    return this.received
  }

  async untilClosed(): Promise<Buffer> {
    await this.#when('the close', () => this.#closed)
    return this.received
  }

  async until(what: string, enough: (received: Buffer) => boolean): Promise<Buffer> {
    await this.#when(what, () => {
      if (enough(this.received)) return true
      if (this.#ended) throw new Error(`ended before ${what}: ${this.#sight()}`)
      return false
    })
    return this.received
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await this.#when('the close', () => this.#closed)
  }

  async #when(what: string, ready: () => boolean): Promise<void> {
    if (ready()) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      try {
        if (ready()) resolve()
      } catch (error) {
        reject(error)
      }
    }
    this.#waiting.add(look)
    try {
      await soon(() => `${what}: ${this.#sight()}`, promise)
    } finally {
      this.#waiting.delete(look)
    }
  }

  #changed(): void {
    for (const look of this.#waiting) look()
  }

  #sight(): string {
    const { received } = this
    const end = this.#ended ? ', ended' : ''
    return `${received.length} bytes "${received.toString('hex', 0, 64)}"${end} ${this.error?.code ?? ''}`
  }
}

function toBytes(bytes: Bytes): Buffer {
  if (typeof bytes !== 'string') return Buffer.from(bytes)
  const hex = bytes.replaceAll(/\s+/g, '')
  const out = Buffer.from(hex, 'hex')
  if (out.length * 2 !== hex.length) throw new Error(`not hex: "${bytes}"`)
  return out
}
