// pcapng files: sections, interfaces with a clock of their own, and the three kinds of packet block; others are skipped.

import { maxRecord, type Format, type PacketSink } from './format.ts'

/** Block types (draft-ietf-opsawg-pcapng, 4 and appendix A). */
const sectionHeader = 0x0a0d0d0a
const interfaceDescription = 1
const oldPacket = 2
const simplePacket = 3
const enhancedPacket = 6

const byteOrderMagic = 0x1a2b3c4d
/** Type and length in front, length behind. */
const around = 12
/** Bytes of the fixed fields of each block that is read, its type and lengths included. */
const smallest: Readonly<Record<number, number>> = {
  [sectionHeader]: 28,
  [interfaceDescription]: 20,
  [oldPacket]: 32,
  [simplePacket]: 16,
  [enhancedPacket]: 32,
}

/** Options of an interface (4.2). */
const endOfOptions = 0
const timeResolution = 9
const timeOffset = 14

/** Interfaces of one section; packets of further ones cannot be read. */
const maxInterfaces = 4096

interface Interface {
  readonly link: number
  /** 0 for no limit. */
  readonly snapLength: number
  /** Milliseconds that one unit of its clock lasts, and where that clock begins, in milliseconds since 1970. */
  readonly unit: number
  readonly origin: number
}

/** A reader for the file that begins with `bytes`, at least 12 of them; undefined where it is no such file. */
export function pcapngFormat(bytes: Buffer, sink: PacketSink): Format | undefined {
  if (bytes.readUInt32BE(0) !== sectionHeader) return undefined
  return orderOf(bytes, 8) === undefined ? undefined : new Pcapng(sink)
}

/** Whether the byte-order magic at `at` is little-endian; undefined where it is none. */
function orderOf(bytes: Buffer, at: number): boolean | undefined {
  if (bytes.readUInt32LE(at) === byteOrderMagic) return true
  return bytes.readUInt32BE(at) === byteOrderMagic ? false : undefined
}

class Pcapng implements Format {
  damage: string | undefined
  readonly #sink: PacketSink
  #little = false
  #interfaces: Interface[] = []

  constructor(sink: PacketSink) {
    this.#sink = sink
  }

  read(bytes: Buffer, at: number, end: number): number {
    if (end - at < around) return -around
    // A section header reads the same in either order, and says which one its section has.
    const isSection = bytes.readUInt32BE(at) === sectionHeader
    if (isSection && !this.#begin(bytes, at)) return at
    const type = this.#u32(bytes, at)
    const length = this.#u32(bytes, at + 4)
    const least = smallest[type]
    if (length < (least ?? around) || length % 4 !== 0)
      return this.#broken(at, `a block claims ${length} bytes`)
    if (least === undefined) return at + length
    if (length > maxRecord) return this.#broken(at, `a block claims ${length} bytes`)
    if (end - at < length) return -length
    const last = at + length - 4
    if (this.#u32(bytes, last) !== length) return this.#broken(at, 'the two lengths of a block differ')
    if (type === interfaceDescription) this.#interface(bytes, at, last)
    else if (type === enhancedPacket) this.#enhanced(bytes, at, last)
    else if (type === simplePacket) this.#simple(bytes, at, last)
    else if (type === oldPacket) this.#old(bytes, at, last)
    return at + length
  }

  #begin(bytes: Buffer, at: number): boolean {
    const little = orderOf(bytes, at + 8)
    if (little === undefined) {
      this.#broken(at, 'a section has no byte order')
      return false
    }
    this.#little = little
    this.#interfaces = []
    return true
  }

  #interface(bytes: Buffer, at: number, last: number): void {
    if (this.#interfaces.length === maxInterfaces) return
    let unit = 1e-3
    let origin = 0
    for (let option = at + 16; option + 4 <= last;) {
      const code = this.#u16(bytes, option)
      const size = this.#u16(bytes, option + 2)
      const value = option + 4
      if (code === endOfOptions || value + size > last) break
      if (code === timeResolution && size === 1) unit = unitOf(bytes[value]!)
      else if (code === timeOffset && size === 8) origin = Number(this.#i64(bytes, value)) * 1000
      option = value + size + (-size & 3)
    }
    this.#interfaces.push({
      link: this.#u16(bytes, at + 8),
      snapLength: this.#u32(bytes, at + 12),
      unit,
      origin,
    })
  }

  #enhanced(bytes: Buffer, at: number, last: number): void {
    this.#packet(bytes, {
      from: this.#interfaces[this.#u32(bytes, at + 8)],
      time: at + 12,
      size: at + 20,
      last,
    })
  }

  #old(bytes: Buffer, at: number, last: number): void {
    this.#packet(bytes, {
      from: this.#interfaces[this.#u16(bytes, at + 8)],
      time: at + 12,
      size: at + 20,
      last,
    })
  }

  /** A packet whose time, captured size and bytes lie as in both blocks that have them. */
  #packet(
    bytes: Buffer,
    at: { from: Interface | undefined; time: number; size: number; last: number },
  ): void {
    const { from, time, size, last } = at
    const captured = Math.min(this.#u32(bytes, size), last - size - 8)
    const ticks = this.#u32(bytes, time) * 2 ** 32 + this.#u32(bytes, time + 4)
    this.#sink({
      time: from === undefined ? NaN : from.origin + ticks * from.unit,
      link: from?.link ?? unknownLink,
      bytes: bytes.subarray(size + 8, size + 8 + captured),
    })
  }

  /** Without a time, and of the section's first interface (4.4). */
  #simple(bytes: Buffer, at: number, last: number): void {
    const [from] = this.#interfaces
    const snapLength = from === undefined || from.snapLength === 0 ? Infinity : from.snapLength
    const captured = Math.min(this.#u32(bytes, at + 8), snapLength, last - at - 12)
    this.#sink({
      time: NaN,
      link: from?.link ?? unknownLink,
      bytes: bytes.subarray(at + 12, at + 12 + captured),
    })
  }

  #broken(at: number, what: string): number {
    this.damage = what
    return at
  }

  #u16(bytes: Buffer, at: number): number {
    return this.#little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)
  }

  #u32(bytes: Buffer, at: number): number {
    return this.#little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)
  }

  #i64(bytes: Buffer, at: number): bigint {
    return this.#little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at)
  }
}

/** No link type has this number; a packet of an interface nobody described. */
const unknownLink = -1

/** if_tsresol: a negative power of 10, or of 2 where the high bit is set, of a second. */
function unitOf(resolution: number): number {
  const power = resolution & 0x7f
  return 1000 * (resolution < 0x80 ? 10 ** -power : 2 ** -power)
}
