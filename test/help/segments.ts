// A TCP connection on a wire: what both sides send as the packets an interface sees, in segments of any size.

import type { Direction } from '../../src/mqtt/packet.ts'
import type { Frame } from './captures.ts'
import { bytes, uint16, uint32, type Part } from './packets.ts'

export interface Place {
  /** Dotted or in hex groups; both sides of a wire have the same family. */
  readonly address: string
  readonly port: number
}

export interface WireShape {
  readonly client?: Place
  readonly server?: Place
  /** What goes in front of an IP packet; Ethernet where none is given. */
  readonly frame?: (packet: Buffer, isIpv6: boolean) => Buffer
  /** Initial sequence numbers. */
  readonly sequences?: Readonly<Record<Direction, number>>
  /** Milliseconds since 1970 at which it begins, and between two packets. */
  readonly time?: number
  readonly pace?: number
}

export interface TcpShape {
  readonly from: Place
  readonly to: Place
  readonly sequence: number
  readonly acknowledged?: number
  readonly flags: string
  readonly payload?: Part
  /** Bytes of TCP options, a multiple of 4. */
  readonly options?: number
}

export class Wire {
  readonly frames: Frame[] = []
  readonly #ends: Readonly<Record<Direction, Place>>
  readonly #frame: (packet: Buffer, isIpv6: boolean) => Buffer
  readonly #next: Record<Direction, number>
  readonly #pace: number
  #time: number
  readonly #sent: Record<Direction, Buffer[]> = { up: [], down: [] }

  constructor(shape: WireShape = {}) {
    const { client = { address: '10.0.0.7', port: 49_152 }, server = { address: '10.0.0.1', port: 1883 } } =
      shape
    this.#ends = { up: client, down: server }
    this.#frame = shape.frame ?? ((packet, isIpv6) => ethernet(packet, isIpv6))
    this.#next = { ...(shape.sequences ?? { up: 1000, down: 5000 }) }
    this.#time = shape.time ?? 1_700_000_000_000
    this.#pace = shape.pace ?? 1
  }

  /** The three packets that open it. */
  open(): this {
    this.#send('up', { flags: 'S' })
    this.#send('down', { flags: 'SA' })
    this.#send('up', { flags: 'A' })
    return this
  }

  /** Sends in segments of these sizes, over and over; in one where none is given. */
  send(direction: Direction, data: Uint8Array, ...sizes: readonly number[]): this {
    for (let at = 0, turn = 0; at < data.length; turn++) {
      const size = Math.max(1, sizes[turn % sizes.length] ?? data.length)
      this.#send(direction, { flags: 'PA', payload: data.subarray(at, at + size) })
      at += size
    }
    return this
  }

  /** Sends bytes again that were sent before, from one offset to another. */
  resend(direction: Direction, from: number, to: number): this {
    const sent = Buffer.concat(this.#sent[direction])
    const back = sent.length - from
    this.#next[direction] -= back
    this.#send(direction, { flags: 'PA', payload: sent.subarray(from, to) })
    this.#sent[direction].pop()
    this.#next[direction] += back - (Math.min(to, sent.length) - from)
    return this
  }

  /** Bytes sent so far. */
  sent(direction: Direction): number {
    return this.#sent[direction].reduce((sum, { length }) => sum + length, 0)
  }

  /** The other side has everything, and says so without a word of its own. */
  acknowledge(direction: Direction): this {
    this.#send(direction, { flags: 'A' })
    return this
  }

  /** One side says that it has said everything. */
  finish(direction: Direction): this {
    this.#send(direction, { flags: 'FA' })
    return this
  }

  /** Both do. */
  close(): this {
    return this.finish('up').finish('down').acknowledge('up')
  }

  reset(direction: Direction): this {
    this.#send(direction, { flags: 'R' })
    return this
  }

  /** Time goes on without a packet; milliseconds. */
  wait(time: number): this {
    this.#time += time
    return this
  }

  #send(direction: Direction, { flags, payload = '' }: { flags: string; payload?: Part }): void {
    const other = direction === 'up' ? 'down' : 'up'
    const packet = tcpPacket({
      from: this.#ends[direction],
      to: this.#ends[other],
      flags,
      payload,
      sequence: this.#next[direction],
      acknowledged: flags.includes('A') ? this.#next[other] : 0,
    })
    this.frames.push({ time: this.#time, bytes: this.#frame(packet, this.#ends.up.address.includes(':')) })
    this.#time += this.#pace
    this.#sent[direction].push(bytes(payload))
    this.#next[direction] += bytes(payload).length + (/[SF]/.test(flags) ? 1 : 0)
  }
}

const flagBits: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16 }

/** An IP packet with a TCP segment in it; checksums are left to network cards. */
export function tcpPacket(shape: TcpShape): Buffer {
  const { from, to, sequence, acknowledged = 0, flags, payload = '', options = 0 } = shape
  const bits = flags.split('').reduce((sum, letter) => sum | flagBits[letter]!, 0)
  const tcp = bytes(
    uint16(from.port),
    uint16(to.port),
    uint32(sequence >>> 0),
    uint32(acknowledged >>> 0),
    (5 + options / 4) << 4,
    bits,
    uint16(65_535),
    uint16(0),
    uint16(0),
    Buffer.alloc(options, 1),
    payload,
  )
  return from.address.includes(':')
    ? ipv6(from.address, to.address, tcp)
    : ipv4(from.address, to.address, tcp)
}

interface Ipv4Shape {
  readonly options?: number
  /** Flags and offset of a fragment. */
  readonly fragment?: number
  readonly protocol?: number
  /** The total length as it is written, where it is not the true one. */
  readonly length?: number
}

export function ipv4(from: string, to: string, content: Buffer, shape: Ipv4Shape = {}): Buffer {
  const { options = 0, fragment = 0, protocol = 6, length = 20 + options + content.length } = shape
  return bytes(
    0x45 + options / 4,
    0,
    uint16(length),
    uint16(1),
    uint16(fragment),
    64,
    protocol,
    uint16(0),
    Buffer.from(from.split('.').map(Number)),
    Buffer.from(to.split('.').map(Number)),
    Buffer.alloc(options, 1),
    content,
  )
}

/** `extensions` are headers with the number of their own type, in their order. */
export function ipv6(
  from: string,
  to: string,
  content: Buffer,
  extensions: readonly { readonly type: number; readonly bytes: Buffer }[] = [],
): Buffer {
  const types = [...extensions.map(({ type }) => type), 6]
  const headers = extensions.map(({ bytes: header }, index) => bytes(types[index + 1]!, header.subarray(1)))
  const payload = bytes(...headers, content)
  return bytes(0x60, 0, uint16(0), uint16(payload.length), types[0]!, 64, groups(from), groups(to), payload)
}

export function ethernet(packet: Buffer, isIpv6: boolean, tags: readonly number[] = []): Buffer {
  const vlans = tags.flatMap((type) => [uint16(type), uint16(7)])
  return bytes(Buffer.alloc(12, 2), ...vlans, uint16(isIpv6 ? 0x86dd : 0x0800), packet)
}

/** Of an address whose groups are all written out, but for one `::`. */
function groups(address: string): Buffer {
  const [head = '', tail] = address.split('::')
  const parts = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => parseInt(group, 16))
  const [first, last] = [parts(head), parts(tail ?? '')]
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0)
  return bytes(...[...first, ...zeros, ...last].map(uint16))
}
