// The mutators: each breaks what its name says and nothing else, for the same numbers in the same way.

import { describe, expect, test } from 'vitest'
import type { Step } from '../help/judge.ts'
import {
  block,
  bytes,
  connackPacket,
  connectPacket,
  field,
  publishPacket,
  subscribePacket,
  uint16,
} from '../help/packets.ts'
import { dissect, type Anatomy } from './anatomy.ts'
import { changes } from './changes.ts'
import { mutate, shuffles } from './mutate.ts'
import { Random } from './random.ts'
import { frameAt, versionOf } from './script.ts'
import { drawSession } from './sessions.ts'

const publish = publishPacket({
  version: 5,
  topic: 'ward/3',
  qos: 1,
  id: 9,
  payload: 'level',
  properties: bytes(1, 1, 38, field('k'), field('v')),
})
const subscribe = subscribePacket(
  5,
  7,
  [
    ['a/b', 1],
    ['c', 2],
  ],
  bytes(11, 5),
)
const session: readonly Step[] = [
  { direction: 'up', bytes: connectPacket({ version: 5, properties: bytes(17, 0, 0, 0, 9) }) },
  { direction: 'down', bytes: connackPacket(5) },
  { direction: 'up', bytes: subscribe },
  { direction: 'up', bytes: publish },
]

describe('the anatomy of a packet', () => {
  test('has every length, block, property and identifier', () => {
    expect(dissect(publish, 5)).toEqual({
      body: 2,
      id: 10,
      fields: [
        { at: 2, from: 4, to: 10 },
        { at: 16, from: 18, to: 19 },
        { at: 19, from: 21, to: 22 },
      ],
      blocks: [
        {
          at: 12,
          from: 13,
          to: 22,
          properties: [
            { from: 13, to: 15 },
            { from: 15, to: 22 },
          ],
        },
      ],
      codes: [],
    })
  })

  test('has the options of a SUBSCRIBE, and the codes of a CONNACK', () => {
    expect(dissect(subscribe, 5)).toMatchObject({ id: 2, codes: [12, 16] })
    expect(dissect(connackPacket(5), 5)).toMatchObject({ id: -1, codes: [2, 3] })
  })

  test('of what is cut off is as much as there is', () => {
    for (let length = 0; length <= publish.length; length++) {
      const anatomy = dissect(publish.subarray(0, length), 5)
      for (const { to } of anatomy?.fields ?? []) expect(to).toBeLessThanOrEqual(length)
    }
  })
})

describe('a change of one packet', () => {
  test.each(Object.keys(changes))('%s gives another packet and leaves the old one alone', (how) => {
    const packet = how === 'code' ? subscribe : publish
    const before = Buffer.from(packet)
    const outcomes = changed(how, packet)
    expect(packet).toEqual(before)
    expect(outcomes.some((one) => !one.equals(packet))).toBe(true)
  })

  test.each([
    'field-content',
    'field-size',
    'field-other',
    'property-repeat',
    'property-drop',
    'property-new',
  ])('%s corrects the lengths around it', (how) => {
    for (const one of [...changed(how, publish), ...changed(how, subscribe)]) {
      expect(frameAt(one, 0)?.end, one.toString('hex')).toBe(one.length)
      const [property] = dissect(one, 5)!.blocks
      expect(property!.to).toBeLessThanOrEqual(one.length)
    }
  })

  test.each([
    'flip-bit',
    'set-byte',
    'flags',
    'first-byte',
    'code',
    'packet-id',
    'property-id',
    'property-value',
    'field-length',
  ])('%s keeps the size', (how) => {
    for (const one of changed(how, subscribe)) expect(one).toHaveLength(subscribe.length)
  })

  test('property-repeat puts the copy into its block', () => {
    const copies = changed('property-repeat', publish).map(
      (one) => dissect(one, 5)!.blocks[0]!.properties.length,
    )
    expect(new Set(copies)).toEqual(new Set([3, 11]))
  })

  test('packet-id changes the identifier only', () => {
    for (const one of changed('packet-id', publish)) {
      expect(Buffer.concat([one.subarray(0, 10), uint16(9), one.subarray(12)])).toEqual(publish)
    }
  })

  test('remaining-length changes nothing behind it', () => {
    for (const one of changed('remaining-length', publish)) {
      expect(one.subarray(-publish.length + 2)).toEqual(publish.subarray(2))
    }
  })

  test('what a packet does not have is not changed', () => {
    expect(changed('packet-id', connackPacket(4))).toEqual([])
    expect(changed('property-drop', bytes(0x20, 3, 0, 0, block()))).toEqual([])
  })
})

describe('a change of the order', () => {
  test.each(Object.keys(shuffles))('%s leaves the old script alone', (how) => {
    const before = structuredClone(session)
    const outcomes = shuffled(how)
    expect(session).toEqual(
      before.map(({ direction, bytes: one }) => ({ direction, bytes: Buffer.from(one) })),
    )
    expect(outcomes.some((one) => !same(one, session))).toBe(true)
  })

  test('swap and turn keep every packet, drop and repeat do not', () => {
    for (const one of shuffled('swap'))
      expect(one.map(keyOf).toSorted()).toEqual(session.map(keyOf).toSorted())
    for (const one of shuffled('turn')) {
      expect(one.filter(({ direction }, index) => direction !== session[index]!.direction)).toHaveLength(1)
    }
    for (const one of shuffled('drop')) expect(one).toHaveLength(3)
    for (const one of shuffled('repeat')) expect(one.length).toBeGreaterThan(4)
  })

  test('version makes a CONNECT of another version that is well-formed up to its level', () => {
    const versions = new Set<number>()
    for (const packets of shuffled('version')) {
      versions.add(versionOf(packets))
      const connect = packets[0]!.bytes
      expect(frameAt(connect, 0)?.end).toBe(connect.length)
    }
    expect(versions).toEqual(new Set([3, 4, 5]))
  })
})

test('a mutation is the same for the same numbers, and never empty', () => {
  for (let number = 0; number < 300; number++) {
    const mutated = (): unknown => {
      const random = new Random(5, number)
      return mutate(drawSession(random), session, random)
    }
    const once = mutated()
    expect(mutated()).toEqual(once)
    expect((once as { packets: Step[] }).packets.every(({ bytes: one }) => one.length > 0)).toBe(true)
  }
})

test('random numbers are spread, and differ from stream to stream', () => {
  const random = new Random(1, 0)
  const counts = new Uint32Array(16)
  for (let i = 0; i < 16_000; i++) counts[random.below(16)]! += 1
  expect(Math.min(...counts)).toBeGreaterThan(850)
  expect(Math.max(...counts)).toBeLessThan(1150)
  expect(new Random(1, 1).next()).not.toBe(new Random(1, 2).next())
  expect(new Random(2 ** 32 + 1, 1).next()).not.toBe(new Random(1, 1).next())
})

/** What a change makes of a packet, fifty times. */
function changed(how: string, packet: Buffer): Buffer[] {
  const change = changes[how]!
  const anatomy: Anatomy = dissect(packet, 5)!
  return many((random) => change(packet, anatomy, random, subscribe))
}

function shuffled(how: string): Step[][] {
  return many((random) => shuffles[how]!(session, session, random))
}

function many<T>(make: (random: Random) => T | undefined): T[] {
  const made: T[] = []
  for (let number = 0; number < 50; number++) {
    const one = make(new Random(3, number))
    if (one !== undefined) made.push(one)
  }
  return made
}

function same(one: readonly Step[], other: readonly Step[]): boolean {
  return one.map(keyOf).join() === other.map(keyOf).join()
}

function keyOf({ direction, bytes: one }: Step): string {
  return `${direction} ${one.toString('hex')}`
}
