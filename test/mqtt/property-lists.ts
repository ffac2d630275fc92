// The properties of a packet as a list, and generators of such lists: what may stand where, and nothing else.

import fc, { type Arbitrary } from 'fast-check'
import type { Direction } from '../../src/mqtt/packet.ts'
import { bytes, field, uint16, uint32, varint } from '../help/packets.ts'

/** Identifiers with the bytes of their values, in the order in which they stand. */
export type Properties = readonly (readonly [id: number, value: Buffer])[]

type Place = 'connect' | 'will' | 'connack' | 'publish' | 'subscribe' | 'unsubscribe' | 'answer'

/** Without null, control characters and noncharacters. */
export const text = fc
  .oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 8 }))
  .map((one) => one.replaceAll(/\p{Cc}|\p{Noncharacter_Code_Point}/gu, ' '))
export const topic = text.map((one) => one.replaceAll(/[+#]/g, '/')).filter((one) => one !== '')
export const blob = fc.uint8Array({ maxLength: 20 })
export const id = fc.integer({ min: 1, max: 0xffff })

const flag = fc.nat(1).map((one) => bytes(one))
const string = text.map((one) => field(one))
/** Few enough to be reached. */
const few = fc.oneof(fc.integer({ min: 1, max: 4 }), id).map(uint16)

/** Generators of values, by where they may stand; user properties go everywhere. */
const catalogue: readonly (readonly [id: number, value: Arbitrary<Buffer>, places: readonly Place[]])[] = [
  [1, flag, ['publish', 'will']],
  [2, fc.nat().map(uint32), ['publish', 'will']],
  [3, string, ['publish', 'will']],
  [8, topic.map((one) => field(one)), ['publish', 'will']],
  [9, blob.map((one) => field(one)), ['publish', 'will']],
  [11, fc.integer({ min: 1, max: 268_435_455 }).map((one) => varint(one)), ['subscribe']],
  [17, fc.nat().map(uint32), ['connect', 'connack']],
  [18, string, ['connack']],
  [19, fc.nat(0xffff).map(uint16), ['connack']],
  [21, string, ['connect', 'connack']],
  [22, blob.map((one) => field(one)), ['connect', 'connack']],
  [23, flag, ['connect']],
  [24, fc.nat().map(uint32), ['will']],
  [25, flag, ['connect']],
  [26, string, ['connack']],
  [28, string, ['connack']],
  [31, string, ['connack', 'answer']],
  [33, few, ['connect', 'connack']],
  [34, few, ['connect', 'connack']],
  [35, id.map(uint16), ['publish']],
  [36, flag, ['connack']],
  [37, flag, ['connack']],
  // Room for the largest CONNACK that is generated.
  [39, fc.integer({ min: 4096, max: 0x7fffffff }).map(uint32), ['connect']],
  [
    39,
    fc.oneof(fc.integer({ min: 1, max: 400 }), fc.nat(0x7ffffffe)).map((one) => uint32(one + 1)),
    ['connack'],
  ],
  [40, flag, ['connack']],
  [41, flag, ['connack']],
  [42, flag, ['connack']],
]
const userProperty = fc
  .tuple(text, text)
  .map(([name, value]) => [38, bytes(field(name), field(value))] as const)
const subscriptionIdentifier = fc.integer({ min: 1, max: 20_000 }).map((one) => [11, varint(one)] as const)

/** Some of what may stand there, once, with user properties, in any order. */
export function properties(place: Place, direction: Direction = 'up'): Arbitrary<Properties> {
  const singles = catalogue
    .filter(([, , places]) => places.includes(place))
    .map(([number, value]) => value.map((one) => [number, one] as const))
  const once = fc.tuple(...singles.map((one) => fc.option(one, { freq: 1, nil: undefined })))
  const often =
    place === 'publish' && direction === 'down' ? [userProperty, subscriptionIdentifier] : [userProperty]
  return fc
    .tuple(once, fc.array(fc.oneof(...often), { maxLength: 2 }), fc.nat(6), fc.nat(2))
    .map(([some, repeated, turn, thin]) => {
      const kept = some.filter((one) => one !== undefined)
      const all = [...kept.filter((_, index) => index % (thin + 1) === 0), ...repeated]
      const cut = all.length === 0 ? 0 : turn % all.length
      return [...all.slice(cut), ...all.slice(0, cut)]
    })
}

/** The content of a property block, without its length. */
export function contentOf(list: Properties): Buffer {
  return bytes(...list.flatMap(([number, value]) => [number, value]))
}

export function valueIn(list: Properties, wanted: number): Buffer | undefined {
  return list.find(([number]) => number === wanted)?.[1]
}

/** The value of a property that is a number of fixed size. */
export function numberIn(list: Properties, wanted: number): number | undefined {
  const value = valueIn(list, wanted)
  return value?.readUIntBE(0, value.length)
}

export function without(list: Properties, ...unwanted: readonly number[]): Properties {
  return list.filter(([number]) => !unwanted.includes(number))
}

export function varintOf(value: Uint8Array): number {
  return value.reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0)
}
