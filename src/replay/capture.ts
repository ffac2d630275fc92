// A capture file as it is read, chunk by chunk: tells pcap from pcapng, and hands on every packet in it; in bounded memory.

import type { Format, PacketSink } from './format.ts'
import { pcapFormat } from './pcap.ts'
import { pcapngFormat } from './pcapng.ts'

/** Why a file was not read to its end, or is none. */
export interface CaptureProblem {
  readonly kind: 'not-a-capture' | 'damaged' | 'truncated'
  /** Lowercase, without text from the file. */
  readonly what: string
  /** Offset in the file of what could not be read. */
  readonly at: number
}

/** Enough to tell every format from every other. */
const magicBytes = 12

export class CaptureReader {
  problem: CaptureProblem | undefined
  readonly #sink: PacketSink
  #format: Format | undefined
  /** Chunks that wait until `#need` bytes are there. */
  #parts: Buffer[] = []
  #held = 0
  #need = magicBytes
  /** Bytes to come that nobody wants. */
  #skip = 0
  /** Offset in the file of the record that is read next. */
  #offset = 0

  constructor(sink: PacketSink) {
    this.#sink = sink
  }

  push(chunk: Buffer): void {
    if (this.problem !== undefined) return
    let rest = chunk
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, chunk.length)
      this.#skip -= skipped
      // Not even an empty view of what is skipped is kept: it would keep all of the chunk.
      if (skipped === chunk.length) return
      rest = chunk.subarray(skipped)
    }
    this.#parts.push(rest)
    this.#held += rest.length
    if (this.#held >= this.#need) this.#read()
  }

  /** The file has no more bytes. */
  end(): void {
    if (this.problem !== undefined) return
    if (this.#format === undefined) this.#fail('not-a-capture', 'the file is too short to be a capture')
    else if (this.#held > 0 || this.#skip > 0) this.#fail('truncated', 'the file ends inside a record')
  }

  #read(): void {
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    const format = (this.#format ??= this.#open(bytes))
    if (format === undefined) return
    let at = 0
    this.#need = 1
    while (at < bytes.length) {
      const next = format.read(bytes, at, bytes.length)
      if (format.damage !== undefined) return this.#fail('damaged', format.damage, this.#offset + at)
      if (next < 0) {
        this.#need = -next
        break
      }
      at = next
    }
    this.#offset += at
    this.#skip = Math.max(0, at - bytes.length)
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : []
    this.#held = Math.max(0, bytes.length - at)
  }

  #open(bytes: Buffer): Format | undefined {
    const format = pcapFormat(bytes, this.#sink) ?? pcapngFormat(bytes, this.#sink)
    if (format === undefined) this.#fail('not-a-capture', whatElse(bytes))
    return format
  }

  #fail(kind: CaptureProblem['kind'], what: string, at = this.#offset): void {
    this.problem = { kind, what, at }
    this.#parts = []
    this.#held = 0
  }
}

function whatElse(bytes: Buffer): string {
  const start = bytes.readUInt32BE(0)
  if (start >>> 16 === 0x1f8b) return 'the file is compressed with gzip: decompress it first'
  if (start === 0x28b52ffd) return 'the file is compressed with zstd: decompress it first'
  return 'the file is neither pcap nor pcapng'
}
