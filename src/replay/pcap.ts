// Classic pcap files: their header, and the record of each packet; both byte orders, microseconds and nanoseconds.

import { maxRecord, type Format, type PacketSink } from './format.ts'

/** Magic numbers by what they say, as read in big-endian order (draft-ietf-opsawg-pcap, 4). */
const magics: Readonly<Record<number, { readonly little: boolean; readonly ticks: number }>> = {
  0xa1b2c3d4: { little: false, ticks: 1e3 },
  0xd4c3b2a1: { little: true, ticks: 1e3 },
  0xa1b23c4d: { little: false, ticks: 1e6 },
  0x4d3cb2a1: { little: true, ticks: 1e6 },
}

const fileHeader = 24
const recordHeader = 16

/** A reader for the file that begins with `bytes`, at least 4 of them; undefined where it is no such file. */
export function pcapFormat(bytes: Buffer, sink: PacketSink): Format | undefined {
  const magic = magics[bytes.readUInt32BE(0)]
  return magic && new Pcap(magic.little, magic.ticks, sink)
}

class Pcap implements Format {
  damage: string | undefined
  readonly #little: boolean
  /** Parts of a millisecond that the second half of a time counts. */
  readonly #ticks: number
  readonly #sink: PacketSink
  /** Undefined before the file's header is read. */
  #link: number | undefined

  constructor(little: boolean, ticks: number, sink: PacketSink) {
    this.#little = little
    this.#ticks = ticks
    this.#sink = sink
  }

  read(bytes: Buffer, at: number, end: number): number {
    if (this.#link === undefined) {
      if (end - at < fileHeader) return -fileHeader
      // The upper half tells of frame check sequences, which nobody reads.
      this.#link = this.#u32(bytes, at + 20) & 0xffff
      return at + fileHeader
    }
    if (end - at < recordHeader) return -recordHeader
    const size = this.#u32(bytes, at + 8)
    if (size > maxRecord) {
      this.damage = `a packet claims ${size} bytes`
      return at
    }
    const from = at + recordHeader
    if (end - from < size) return -(recordHeader + size)
    this.#sink({
      time: this.#u32(bytes, at) * 1000 + this.#u32(bytes, at + 4) / this.#ticks,
      link: this.#link,
      bytes: bytes.subarray(from, from + size),
    })
    return from + size
  }

  #u32(bytes: Buffer, at: number): number {
    return this.#little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)
  }
}
