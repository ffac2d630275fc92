import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PacketType, type Direction } from '../../src/mqtt/packet.ts'
import { checkProperties, skipVarint, varintAt, willProperties } from '../../src/mqtt/properties.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { block, bytes, field, varint, type Part } from '../help/packets.ts'
import { scopeOf } from '../help/scope.ts'

const places = {
  will: willProperties,
  connect: PacketType.connect,
  connack: PacketType.connack,
  publish: PacketType.publish,
  puback: PacketType.puback,
  pubrec: PacketType.pubrec,
  pubrel: PacketType.pubrel,
  pubcomp: PacketType.pubcomp,
  subscribe: PacketType.subscribe,
  suback: PacketType.suback,
  unsubscribe: PacketType.unsubscribe,
  unsuback: PacketType.unsuback,
  disconnect: PacketType.disconnect,
  auth: PacketType.auth,
} as const
type Place = keyof typeof places

/** What each packet may carry besides user properties, packet by packet as chapter 3 of MQTT 5.0 has it. */
const allowed: Readonly<Record<Place, readonly number[]>> = {
  connect: [17, 33, 39, 34, 25, 23, 21, 22],
  will: [24, 1, 2, 3, 8, 9],
  connack: [17, 33, 36, 37, 39, 18, 34, 31, 40, 41, 42, 19, 26, 28, 21, 22],
  publish: [1, 2, 35, 8, 9, 11, 3],
  puback: [31],
  pubrec: [31],
  pubrel: [31],
  pubcomp: [31],
  subscribe: [11],
  suback: [31],
  unsubscribe: [],
  unsuback: [31],
  disconnect: [17, 31, 28],
  auth: [21, 22, 31],
}

/** A legal value of each property that is defined. */
const values = new Map<number, Part>([
  ...[1, 23, 25, 36, 37, 40, 41, 42].map((id) => [id, 1] as const),
  ...[19, 33, 34, 35].map((id) => [id, bytes(0, 1)] as const),
  ...[2, 17, 24, 39].map((id) => [id, bytes(0, 0, 0, 1)] as const),
  ...[3, 8, 9, 18, 21, 22, 26, 28, 31].map((id) => [id, field('a')] as const),
  [11, 1],
  [38, bytes(field('k'), field('v'))],
])

describe('a property', () => {
  test.each(Object.keys(places) as Place[])('stands in %s just where the standard has it', (place) => {
    const wrong: string[] = []
    for (let id = 0; id < 256; id++) {
      for (const direction of ['up', 'down'] as const) {
        const verdict = judge([id, values.get(id) ?? 0], place, direction)
        const expected = stands(id, place, direction)
          ? 'pass'
          : values.has(id)
            ? 'property-not-allowed'
            : 'property-unknown'
        if (verdict !== expected) wrong.push(`${id} ${direction}: ${verdict}, not ${expected}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test.each(Object.keys(places) as Place[])('stands once in %s, but for user properties', (place) => {
    const wrong: string[] = []
    for (const id of [...allowed[place], 38]) {
      for (const direction of ['up', 'down'] as const) {
        if (!stands(id, place, direction)) continue
        const one = bytes(id, values.get(id)!)
        const verdict = judge([one, 38, field('k'), field('v'), one], place, direction)
        const repeats = id === 38 || (id === 11 && direction === 'down')
        if (verdict !== (repeats ? 'pass' : 'property-twice')) wrong.push(`${id} ${direction}: ${verdict}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test.each(Object.keys(places) as Place[])('of %s stands beside every other one', (place) => {
    for (const direction of ['up', 'down'] as const) {
      const all = allowed[place].filter((id) => stands(id, place, direction))
      const content = all.flatMap((id) => [id, values.get(id)!])
      expect(judge(content, place, direction)).toBe('pass')
    }
  })

  test.each([...values.keys()])('%i is not read beyond its block', (id) => {
    const place = (Object.keys(places) as Place[]).find((one) => id === 38 || allowed[one].includes(id))!
    const direction = id === 11 && place === 'publish' ? 'down' : 'up'
    const whole = bytes(id, values.get(id)!)
    for (let length = 1; length < whole.length; length++) {
      // The rest of the value is there, but behind the end of the block.
      const content = bytes(varint(length), whole, 0, 0, 0, 0)
      const outcome = checkProperties(content, 0, content.length, places[place], scopeOf({ direction }))
      expect(outcome).toBeLessThan(0)
      expect(brokenRule(outcome).id).toBe('field-past-end')
    }
  })
})

describe('a variable byte integer', () => {
  test('is read back, and nothing behind it', () => {
    const edges = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...edges), fc.nat(268_435_455)), fc.nat(255), (value, next) => {
        const content = bytes(0xff, varint(value), next)
        const end = skipVarint(content, 1, content.length)
        expect(end).toBe(content.length - 1)
        expect(varintAt(content, 1)).toBe(value)
      }),
    )
  })

  test('is refused when padded, cut off or longer than four bytes', () => {
    fc.assert(
      fc.property(fc.nat(268_435_455), fc.integer({ min: 1, max: 4 }), (value, more) => {
        const shortest = varint(value)
        const padded = varint(value, shortest.length + more)
        expect(skipVarint(padded, 0, padded.length)).toBe(-1)
        expect(skipVarint(shortest, 0, shortest.length - 1)).toBe(-1)
      }),
    )
    expect(skipVarint(varint(268_435_456), 0, 5)).toBe(-1)
  })
})

function stands(id: number, place: Place, direction: Direction): boolean {
  if (id === 38) return true
  if (!allowed[place].includes(id)) return false
  // A device must not name subscription identifiers in PUBLISH (MQTT-3.3.4-6).
  if (id === 11) return place !== 'publish' || direction === 'down'
  if (place !== 'disconnect') return true
  // Only a device asks for another session expiry (MQTT-3.14.2-2), only a broker names another (3.14.2.2.5).
  return id === 31 || direction === (id === 17 ? 'up' : 'down')
}

function judge(content: readonly Part[], place: Place, direction: Direction): string {
  const whole = block(...content)
  const outcome = checkProperties(whole, 0, whole.length, places[place], scopeOf({ direction }))
  if (outcome < 0) return brokenRule(outcome).id
  return outcome === whole.length ? 'pass' : `stopped at ${outcome}`
}
