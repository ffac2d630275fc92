// Requests that wait for their answer: what is compared, and what is let be because nobody could tell.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PacketType } from '../../src/mqtt/packet.ts'
import { Requests } from '../../src/mqtt/requests.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { bytes, field } from '../help/packets.ts'
import { scopeOf } from '../help/scope.ts'

const { subscribe, suback, unsubscribe, unsuback } = PacketType

function desk() {
  const requests = new Requests()
  const scope = scopeOf({
    direction: 'down',
    rules: { 'unsuback-codes': 'enforce', 'suback-granted': 'enforce' },
  })
  return {
    ask: (id: number, asked: readonly number[]): void => {
      const filters = bytes('before', ...asked.flatMap((qos) => [field('a/+'), qos]))
      requests.add(id, subscribe, filters, 6, filters.length)
    },
    leave: (id: number, count: number): void => {
      const filters = bytes('before', ...Array.from({ length: count }, () => field('a/+')))
      requests.add(id, unsubscribe, filters, 6, filters.length)
    },
    answer: (id: number, type: number, codes: readonly number[]): string => {
      const outcome = requests.settle(id, type, bytes('head', ...codes), 4, 4 + codes.length, scope)
      return outcome < 0 ? brokenRule(outcome).id : 'passes'
    },
  }
}

describe('an answer', () => {
  test('to a SUBSCRIBE has a code for each filter, none of which grants more than was asked for', () => {
    const qos = fc.nat(2)
    const code = fc.constantFrom(0, 1, 2, 0x80, 0x87)
    fc.assert(
      // Options of MQTT 5.0 stand in the higher bits, and mean no QoS.
      fc.property(
        fc.array(qos, { minLength: 1, maxLength: 5 }),
        fc.array(code, { minLength: 1, maxLength: 5 }),
        fc.constantFrom(0, 0x08, 0x2c),
        (asked, codes, options) => {
          const { ask, answer } = desk()
          ask(
            7,
            asked.map((one) => one | options),
          )
          const tooMuch = codes.some((one, index) => one < 0x80 && one > (asked[index] ?? 2))
          const expected =
            codes.length !== asked.length ? 'suback-count' : tooMuch ? 'suback-granted' : 'passes'
          expect(answer(7, suback, codes)).toBe(expected)
        },
      ),
    )
  })

  test('to an UNSUBSCRIBE has a code for each filter', () => {
    const { leave, answer } = desk()
    leave(1, 2)
    leave(2, 2)
    expect(answer(1, unsuback, [0, 0x11])).toBe('passes')
    expect(answer(2, unsuback, [0])).toBe('unsuback-codes')
  })

  test('to nothing is compared with nothing', () => {
    const { ask, answer } = desk()
    ask(1, [0])
    expect(answer(2, suback, [0, 0])).toBe('passes')
    expect(answer(1, suback, [0])).toBe('passes')
    expect(answer(1, suback, [0, 0])).toBe('passes')
  })
})

describe('an identifier that waits twice', () => {
  test('is not compared, whichever answer comes first, until all of them have come', () => {
    const { ask, answer } = desk()
    ask(1, [0])
    ask(1, [0, 1, 2])
    expect(answer(1, suback, [0])).toBe('passes')
    ask(1, [0, 0])
    expect(answer(1, suback, [0, 1, 2])).toBe('passes')
    expect(answer(1, suback, [0, 0])).toBe('passes')
    ask(1, [0, 0])
    expect(answer(1, suback, [0])).toBe('suback-count')
  })

  test('may be that of a SUBSCRIBE and an UNSUBSCRIBE', () => {
    const { ask, leave, answer } = desk()
    ask(1, [0])
    leave(1, 2)
    expect(answer(1, unsuback, [0, 0])).toBe('passes')
    expect(answer(1, suback, [0])).toBe('passes')
  })

  test('never costs a device its session, whatever it asks and in whatever order it is answered', () => {
    const moves = fc.array(
      fc.record({ asks: fc.boolean(), id: fc.integer({ min: 1, max: 2 }), pick: fc.nat(3) }),
    )
    fc.assert(
      fc.property(moves, (all) => {
        const { ask, answer } = desk()
        const open: { id: number; asked: number[] }[] = []
        for (const { asks, id, pick } of all) {
          if (asks) {
            const asked = Array.from({ length: pick + 1 }, () => pick % 3)
            ask(id, asked)
            open.push({ id, asked })
          } else {
            const [next] = open.splice(pick % Math.max(1, open.length), 1)
            if (next !== undefined) expect(answer(next.id, suback, next.asked)).toBe('passes')
          }
        }
      }),
    )
  })
})

describe('a device that asks and asks', () => {
  test('is remembered for 64 requests, and for others once those are answered', () => {
    const { ask, answer } = desk()
    for (let id = 1; id <= 65; id++) ask(id, [0])
    expect(answer(65, suback, [0, 0])).toBe('passes')
    expect(answer(64, suback, [0, 0])).toBe('suback-count')
    ask(66, [0])
    expect(answer(66, suback, [0, 0])).toBe('suback-count')
  })

  test('is not remembered for what more than 1024 filters ask for, but for how many they are', () => {
    const { ask, answer } = desk()
    const most = Array.from({ length: 1024 }, () => 0)
    ask(1, most)
    ask(2, [...most, 0])
    ask(3, [...most, 0])
    const tooMuch = most.map(() => 1)
    expect(answer(1, suback, tooMuch)).toBe('suback-granted')
    expect(answer(2, suback, [...tooMuch, 1])).toBe('passes')
    expect(answer(3, suback, tooMuch)).toBe('suback-count')
  })
})
