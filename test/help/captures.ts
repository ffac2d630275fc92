// Captures made by tests: pcap and pcapng files of every shape, out of packets that a test has made or a wire has carried.

import { bytes, type Part } from './packets.ts'

/** A frame as an interface saw it. */
export interface Frame {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly bytes: Buffer
}

export interface PcapShape {
  readonly little?: boolean
  readonly nanoseconds?: boolean
  /** LINKTYPE_ number; Ethernet where none is given. */
  readonly link?: number
  /** Bytes kept of each frame. */
  readonly snapLength?: number
}

/** Numbers of one byte order. */
class Writer {
  readonly #little: boolean

  constructor(little: boolean) {
    this.#little = little
  }

  u16(value: number): Buffer {
    const out = Buffer.alloc(2)
    if (this.#little) out.writeUInt16LE(value)
    else out.writeUInt16BE(value)
    return out
  }

  u32(value: number): Buffer {
    const out = Buffer.alloc(4)
    if (this.#little) out.writeUInt32LE(value >>> 0)
    else out.writeUInt32BE(value >>> 0)
    return out
  }

  u64(value: bigint): Buffer {
    const out = Buffer.alloc(8)
    if (this.#little) out.writeBigUInt64LE(value)
    else out.writeBigUInt64BE(value)
    return out
  }
}

export function pcapHeader({ little = true, nanoseconds = false, link = 1 }: PcapShape = {}): Buffer {
  const w = new Writer(little)
  const magic = nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4
  return bytes(w.u32(magic), w.u16(2), w.u16(4), w.u32(0), w.u32(0), w.u32(65_535), w.u32(link))
}

export function pcapRecord({ time, bytes: frame }: Frame, shape: PcapShape = {}): Buffer {
  const { little = true, nanoseconds = false, snapLength = Infinity } = shape
  const w = new Writer(little)
  const kept = frame.subarray(0, Math.min(frame.length, snapLength))
  const fraction = Math.round((time % 1000) * (nanoseconds ? 1e6 : 1e3))
  return bytes(w.u32(Math.floor(time / 1000)), w.u32(fraction), w.u32(kept.length), w.u32(frame.length), kept)
}

export function pcap(frames: readonly Frame[], shape: PcapShape = {}): Buffer {
  return Buffer.concat([pcapHeader(shape), ...frames.map((frame) => pcapRecord(frame, shape))])
}

export interface PcapngShape {
  readonly little?: boolean
  readonly link?: number
  /** if_tsresol as it is written; microseconds without the option where none is given. */
  readonly resolution?: number
  /** if_tsoffset, in seconds. */
  readonly offset?: number
  /** The kind of block that packets come in. */
  readonly block?: 'enhanced' | 'simple' | 'old'
  readonly snapLength?: number
  /** Blocks of types that nobody knows, between those that are read. */
  readonly withUnknown?: boolean
}

export function pcapng(frames: readonly Frame[], shape: PcapngShape = {}): Buffer {
  const { little = true, link = 1, resolution, offset = 0, block = 'enhanced', snapLength = 0 } = shape
  const w = new Writer(little)
  const unknown =
    shape.withUnknown === true ? pcapngBlock(0x0bad, [Buffer.alloc(20, 7)], little) : Buffer.alloc(0)
  const options = bytes(
    option(w, 2, Buffer.from('eth0')),
    resolution === undefined ? '' : option(w, 9, Buffer.from([resolution])),
    offset === 0 ? '' : option(w, 14, w.u64(BigInt(offset))),
    w.u32(0),
  )
  const perSecond = resolution === undefined ? 1_000_000n : ticksOf(resolution)
  const blocks = frames.map(({ time, bytes: frame }) => {
    const kept = snapLength === 0 ? frame : frame.subarray(0, snapLength)
    const ticks = (BigInt(Math.round((time - offset * 1000) * 1000)) * perSecond) / 1_000_000n
    const when = [w.u32(Number(ticks >> 32n)), w.u32(Number(ticks & 0xffff_ffffn))]
    const sizes = [w.u32(kept.length), w.u32(frame.length)]
    if (block === 'simple') return pcapngBlock(3, [w.u32(frame.length), kept], little)
    if (block === 'old') return pcapngBlock(2, [w.u16(0), w.u16(0), ...when, ...sizes, kept], little)
    return pcapngBlock(6, [w.u32(0), ...when, ...sizes, kept], little)
  })
  return Buffer.concat([
    pcapngBlock(0x0a0d0d0a, [w.u32(0x1a2b3c4d), w.u16(1), w.u16(0), w.u64(2n ** 64n - 1n)], little),
    unknown,
    pcapngBlock(1, [w.u16(link), w.u16(0), w.u32(snapLength), options], little),
    ...blocks.flatMap((one) => [one, unknown]),
  ])
}

/** A block with its lengths; its body is padded. */
export function pcapngBlock(type: number, body: readonly Part[], little = true): Buffer {
  const w = new Writer(little)
  const whole = bytes(...body)
  const padded = bytes(whole, Buffer.alloc(-whole.length & 3))
  return bytes(w.u32(type), w.u32(padded.length + 12), padded, w.u32(padded.length + 12))
}

function option(w: Writer, code: number, value: Buffer): Buffer {
  return bytes(w.u16(code), w.u16(value.length), value, Buffer.alloc(-value.length & 3))
}

/** Ticks of a second. */
function ticksOf(resolution: number): bigint {
  const power = BigInt(resolution & 0x7f)
  return resolution < 0x80 ? 10n ** power : 2n ** power
}
