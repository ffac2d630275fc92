// Ways to break one packet: each takes its bytes and its anatomy, and keeps the rest consistent where that reaches deeper.

import { field, uint16, uint32, varint } from '../help/packets.ts'
import { dissect, replace, withRemaining, type Anatomy } from './anatomy.ts'
import type { Random } from './random.ts'

/** Changes one packet; undefined where there is nothing of the kind to change. */
export type Change = (bytes: Buffer, anatomy: Anatomy, random: Random, other: Buffer) => Buffer | undefined

/** Bytes of strings that matter: wildcards, what is no UTF-8, controls, noncharacters, separators. */
const interesting: readonly Buffer[] = [
  '#',
  '+',
  '/',
  '$',
  '$share/',
  '/#',
  '/+',
  '\0',
  '\u0001',
  '\u007f',
  '\ufffe',
  '\ufeff',
  '<',
  '*',
  ' ',
  'é',
  '😀',
].map((text) => Buffer.from(text))
const notUtf8: readonly Buffer[] = ['c080', 'eda080', 'f4908080', 'ff', 'c3', 'e282', '80'].map((hex) =>
  Buffer.from(hex, 'hex'),
)
export const firstBytes = [
  0x10, 0x20, 0x30, 0x32, 0x34, 0x3b, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0,
]

/** What some packet may carry, and its neighbours. */
const reasons = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x18, 0x19, 0x80, 0x81, 0x82, 0x83, 0x87, 0x8b, 0x8c,
  0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x97, 0x98, 0x99, 0x9a, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  0xa3,
]

/** What is done to one packet. */
export const changes: Readonly<Record<string, Change>> = {
  'flip-bit': (bytes, _, random) => {
    const at = random.below(bytes.length)
    return spliced(bytes, at, at + 1, Buffer.of(bytes[at]! ^ (1 << random.below(8))))
  },
  'set-byte': (bytes, _, random) => {
    const at = random.below(bytes.length)
    const value = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
    return spliced(bytes, at, at + 1, Buffer.of(value))
  },
  'insert-bytes': (bytes, _, random) => {
    const at = random.below(bytes.length + 1)
    return spliced(bytes, at, at, random.bytes(random.between(1, 4)))
  },
  'delete-bytes': (bytes, _, random) => {
    const at = random.below(bytes.length)
    return spliced(bytes, at, at + random.between(1, 4), nothing)
  },
  'duplicate-bytes': (bytes, _, random) => {
    const at = random.below(bytes.length)
    const to = Math.min(bytes.length, at + random.between(1, 16))
    return spliced(bytes, to, to, bytes.subarray(at, to))
  },
  truncate: (bytes, { body }, random) => {
    const cut = bytes.subarray(0, random.between(Math.min(body, bytes.length), bytes.length))
    return random.once(2) ? cut : withRemaining(cut, body)
  },
  'trailing-bytes': (bytes, { body }, random) =>
    withRemaining(Buffer.concat([bytes, random.bytes(random.between(1, 4))]), body),
  'remaining-length': (bytes, { body }, random) => {
    const rest = bytes.subarray(body)
    return Buffer.concat([bytes.subarray(0, 1), wrongVarint(rest.length, random), rest])
  },
  'field-length': (bytes, { fields }, random) => {
    if (fields.length === 0) return undefined
    const { at, from, to } = random.pick(fields)
    const length = to - from
    const wrong = random.pick([length + 1, length - 1, 0, 0xffff, random.below(0x10000)])
    return spliced(bytes, at, from, uint16(wrong & 0xffff))
  },
  'field-content': (bytes, anatomy, random) => {
    if (anatomy.fields.length === 0) return undefined
    const picked = random.pick(anatomy.fields)
    const from = random.between(picked.from, picked.to)
    const to = random.once(2) ? from : Math.min(picked.to, from + random.between(1, 3))
    const content = random.pick(random.once(3) ? notUtf8 : interesting)
    return replace(bytes, anatomy, { from, to }, content, picked)
  },
  'field-size': (bytes, anatomy, random) => {
    if (anatomy.fields.length === 0) return undefined
    const picked = random.pick(anatomy.fields)
    const size = random.pick([0, 1, 30, 130, 600, 1100])
    return replace(bytes, anatomy, picked, Buffer.alloc(size, random.pick(['a', '/', 'a/'])), picked)
  },
  'field-other': (bytes, anatomy, random, other) => {
    const theirs = dissect(other, 5)?.fields ?? []
    if (anatomy.fields.length === 0 || theirs.length === 0) return undefined
    const mine = random.pick(anatomy.fields)
    const taken = random.pick(theirs)
    return replace(bytes, anatomy, mine, other.subarray(taken.from, taken.to), mine)
  },
  'property-length': (bytes, { body, blocks }, random) => {
    if (blocks.length === 0) return undefined
    const { at, from, to } = random.pick(blocks)
    return withRemaining(spliced(bytes, at, from, wrongVarint(to - from, random)), body)
  },
  'property-repeat': (bytes, anatomy, random) => {
    const { properties } = anatomy.blocks.length === 0 ? empty : random.pick(anatomy.blocks)
    if (properties.length === 0) return undefined
    const { from, to } = random.pick(properties)
    const copies = Array.from({ length: random.pick([1, 1, 9]) }, () => bytes.subarray(from, to))
    return replace(bytes, anatomy, { from: to, to }, Buffer.concat(copies))
  },
  'property-drop': (bytes, anatomy, random) => {
    const { properties } = anatomy.blocks.length === 0 ? empty : random.pick(anatomy.blocks)
    if (properties.length === 0) return undefined
    const { from, to } = random.pick(properties)
    return replace(bytes, anatomy, { from, to }, nothing)
  },
  'property-new': (bytes, anatomy, random) => {
    if (anatomy.blocks.length === 0) return undefined
    const { to } = random.pick(anatomy.blocks)
    return replace(bytes, anatomy, { from: to, to }, newProperty(random))
  },
  'property-value': (bytes, { blocks }, random) => {
    const { properties } = blocks.length === 0 ? empty : random.pick(blocks)
    if (properties.length === 0) return undefined
    const { from, to } = random.pick(properties)
    return spliced(bytes, from + 1, to, Buffer.alloc(to - from - 1, random.pick([0, 1, 2, 0xff])))
  },
  'property-id': (bytes, { blocks }, random) => {
    const { properties } = blocks.length === 0 ? empty : random.pick(blocks)
    if (properties.length === 0) return undefined
    const { from } = random.pick(properties)
    return spliced(bytes, from, from + 1, Buffer.of(random.below(48)))
  },
  'packet-id': (bytes, { id }, random, other) => {
    if (id < 0) return undefined
    const theirs = dissect(other, 5)?.id ?? -1
    const mine = bytes.readUInt16BE(id)
    const taken = theirs < 0 ? 1 : other.readUInt16BE(theirs)
    const value = random.pick([0, mine + 1, taken, taken, 1, 0xffff, random.below(0x10000)]) & 0xffff
    return spliced(bytes, id, id + 2, uint16(value))
  },
  code: (bytes, { codes }, random) => {
    if (codes.length === 0) return undefined
    const at = random.pick(codes)
    const value = random.pick([random.below(256), random.pick(reasons), bytes[at]! ^ (1 << random.below(8))])
    return spliced(bytes, at, at + 1, Buffer.of(value))
  },
  'code-new': (bytes, { body }, random) =>
    withRemaining(Buffer.concat([bytes, Buffer.of(random.pick([0, 1, 2, 0x80, 0x8c, 0x10]))]), body),
  'first-byte': (bytes, _, random) => spliced(bytes, 0, 1, Buffer.of(random.pick(firstBytes))),
  flags: (bytes, _, random) => spliced(bytes, 0, 1, Buffer.of((bytes[0]! & 0xf0) | random.below(16))),
}

/** A variable byte integer that is off by one, huge, padded, or that does not end. */
function wrongVarint(value: number, random: Random): Buffer {
  const wrong = [value + 1, Math.max(0, value - 1), value + 128, 0x0f_ff_ff_ff, random.below(1 << 14)]
  const kinds = [
    () => varint(random.pick(wrong)),
    () => varint(value, random.between(2, 6)),
    () => Buffer.alloc(random.between(1, 5), 0xff),
    () => nothing,
  ]
  return random.pick(kinds)()
}

function newProperty(random: Random): Buffer {
  const id = Buffer.of(
    random.pick([1, 2, 3, 8, 9, 11, 17, 18, 19, 21, 22, 23, 25, 31, 33, 34, 35, 36, 38, 39, 41, 42]),
  )
  const values = [
    () => Buffer.of(random.below(3)),
    () => uint16(random.pick([0, 1, 2, 8, 9, 0xffff])),
    () => uint32(random.pick([0, 1, random.next()])),
    () => field(random.pick(['', 'a', 'answers/+'])),
    () => Buffer.concat([field('k'), field('v')]),
  ]
  return Buffer.concat([id, random.pick(values)()])
}

export function spliced(bytes: Buffer, from: number, to: number, content: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, from), content, bytes.subarray(to)])
}

const nothing = Buffer.alloc(0)
const empty = { properties: [] }
