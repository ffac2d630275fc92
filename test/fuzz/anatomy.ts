// Where the parts of a packet lie, read leniently, so that mutation can change one part and keep the rest consistent.

import { PacketType, type Version } from '../../src/mqtt/packet.ts'
import { varint } from '../help/packets.ts'
import { frameAt } from './script.ts'

/** Bytes `from` to `to` behind a length at `at`. */
export interface Span {
  readonly at: number
  readonly from: number
  readonly to: number
}

export interface Block extends Span {
  /** Each property with its identifier. */
  readonly properties: readonly { readonly from: number; readonly to: number }[]
}

export interface Anatomy {
  /** Where the variable header begins. */
  readonly body: number
  /** Offset of the packet identifier, -1 where there is none. */
  readonly id: number
  /** Length-prefixed strings and binary data, those of properties too. */
  readonly fields: readonly Span[]
  readonly blocks: readonly Block[]
  /** Bytes that are codes, flags or options. */
  readonly codes: readonly number[]
}

/** Reads as far as the bytes make sense; undefined where not even the remaining length does. */
export function dissect(bytes: Buffer, version: Version): Anatomy | undefined {
  const frame = frameAt(bytes, 0)
  return frame === undefined ? undefined : new Knife(bytes, frame.body, version).dissect()
}

/** Puts `content` in place of `from` to `to`, which lie in `field` if anywhere, and corrects every length around it. */
export function replace(
  bytes: Buffer,
  { body, blocks }: Anatomy,
  { from, to }: Pick<Span, 'from' | 'to'>,
  content: Uint8Array,
  field?: Span,
): Buffer {
  const grown = content.length - (to - from)
  const edited = Buffer.concat([bytes.subarray(0, from), content, bytes.subarray(to)])
  if (field !== undefined) edited.writeUInt16BE((field.to - field.from + grown) & 0xffff, field.at)
  const block = blocks.find((one) => one.from <= from && to <= one.to)
  if (block === undefined) return withRemaining(edited, body)
  const length = varint(block.to - block.from + grown)
  return withRemaining(
    Buffer.concat([edited.subarray(0, block.at), length, edited.subarray(block.from)]),
    body,
  )
}

/** The packet with the remaining length that fits it; `body` is where its variable header begins. */
export function withRemaining(bytes: Buffer, body: number): Buffer {
  const rest = bytes.subarray(body)
  return Buffer.concat([bytes.subarray(0, 1), varint(rest.length), rest])
}

const wide: Readonly<Record<number, number>> = {
  1: 1,
  2: 4,
  17: 4,
  19: 2,
  23: 1,
  24: 4,
  25: 1,
  33: 2,
  34: 2,
  35: 2,
  36: 1,
  37: 1,
  39: 4,
  40: 1,
  41: 1,
  42: 1,
}

class Knife {
  readonly #bytes: Buffer
  readonly #body: number
  readonly #version: Version
  readonly #fields: Span[] = []
  readonly #blocks: Block[] = []
  readonly #codes: number[] = []
  #id = -1
  #at: number

  constructor(bytes: Buffer, body: number, version: Version) {
    this.#bytes = bytes
    this.#body = body
    this.#version = version
    this.#at = body
  }

  dissect(): Anatomy {
    this.#walk()
    return { body: this.#body, id: this.#id, fields: this.#fields, blocks: this.#blocks, codes: this.#codes }
  }

  #walk(): void {
    const first = this.#bytes[0]!
    const type = first >> 4
    const end = this.#bytes.length
    if (type === PacketType.connect) return this.#connect()
    if (type === PacketType.publish) {
      this.#field()
      if ((first & 0x06) !== 0) this.#packetId()
      return this.#block()
    }
    if (type === PacketType.connack) {
      this.#codeBytes(2)
      return this.#block()
    }
    if (type === PacketType.disconnect || type === PacketType.auth) {
      this.#codeBytes(1)
      return this.#block()
    }
    if (type === PacketType.pingreq || type === PacketType.pingresp) return
    this.#packetId()
    if (type <= PacketType.pubcomp) {
      this.#codeBytes(1)
      return this.#block()
    }
    this.#block()
    const filters = type === PacketType.subscribe || type === PacketType.unsubscribe
    while (this.#at < end) {
      if (filters && !this.#field()) return
      if (type !== PacketType.unsubscribe) this.#codeBytes(1)
    }
  }

  #connect(): void {
    this.#field()
    const flags = this.#bytes[this.#at + 1] ?? 0
    const level = this.#bytes[this.#at]
    this.#codeBytes(2)
    this.#at += 2
    const isFive = level === 5
    if (isFive) this.#block(true)
    this.#field()
    if ((flags & 0x04) !== 0) {
      if (isFive) this.#block(true)
      this.#field()
      this.#field()
    }
    if ((flags & 0x80) !== 0) this.#field()
    if ((flags & 0x40) !== 0) this.#field()
  }

  /** False where there is no whole field. */
  #field(): boolean {
    const at = this.#at
    if (at + 2 > this.#bytes.length) return false
    const to = at + 2 + this.#bytes.readUInt16BE(at)
    if (to > this.#bytes.length) return false
    this.#fields.push({ at, from: at + 2, to })
    this.#at = to
    return true
  }

  #packetId(): void {
    if (this.#at + 2 > this.#bytes.length) return
    this.#id = this.#at
    this.#at += 2
  }

  #codeBytes(count: number): void {
    for (let i = 0; i < count && this.#at < this.#bytes.length; i++) this.#codes.push(this.#at++)
  }

  #block(certain = this.#version === 5): void {
    if (!certain) return
    const at = this.#at
    const span = varintSpan(this.#bytes, at)
    if (span === undefined || span.to > this.#bytes.length) return
    const properties: { from: number; to: number }[] = []
    this.#at = span.from
    while (this.#at < span.to) {
      const from = this.#at
      if (!this.#property() || this.#at > span.to) break
      properties.push({ from, to: this.#at })
    }
    this.#blocks.push({ ...span, properties })
    this.#at = span.to
  }

  #property(): boolean {
    const id = this.#bytes[this.#at++]!
    const size = wide[id]
    if (size !== undefined) this.#at += size
    else if (id === 11) {
      while ((this.#bytes[this.#at] ?? 0) >= 0x80) this.#at++
      this.#at++
    } else return this.#field() && (id !== 38 || this.#field())
    return true
  }
}

/** The span behind a variable byte integer. */
function varintSpan(bytes: Buffer, at: number): Span | undefined {
  // One byte in front stands for the packet type that `frameAt` steps over.
  const frame = frameAt(bytes, at - 1)
  return frame === undefined ? undefined : { at, from: frame.body, to: frame.end }
}
