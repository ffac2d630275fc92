// What a connection remembers of its messages: aliases, requests and deliveries, judged by whole packets of both sides.

import { describe, expect, test } from 'vitest'
import type { Mode } from '../../src/mqtt/rule.ts'
import { judge, type Step } from '../help/judge.ts'
import {
  block,
  bytes,
  connackPacket,
  connectPacket,
  field,
  packet,
  publishPacket,
  subscribePacket,
  uint16,
  uint32,
  unsubscribePacket,
  type Level,
  type Part,
} from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'

const limits = { connect: 4096, control: 4096, publish: 1 << 20 }

interface Wanted {
  readonly rules?: Readonly<Record<string, Mode>>
  readonly preset?: 'strict' | 'standard' | 'observe'
  readonly resumed?: boolean
  readonly connect?: Part
  readonly connack?: Part
}

/** Judges what follows a CONNECT and CONNACK; says the verdict, and which rules were only reported. */
function talk(version: Level, steps: readonly Step[], wanted: Wanted = {}) {
  const { rules = {}, preset = 'standard', resumed = false, connect = '', connack = '' } = wanted
  const opening = [
    up(connectPacket({ version, clean: !resumed, properties: bytes(connect) })),
    down(connackPacket(version, 0, { sessionPresent: resumed && version !== 3, properties: connack })),
  ]
  const book = rulebook({ frames: limits, preset, rules })
  const { verdict, reports } = judge([...opening, ...steps], { limits, book })
  return { verdict, reports: reports.map((one) => one.split(' ')[1]) }
}

function up(sent: Buffer): Step {
  return { direction: 'up', bytes: sent }
}

function down(sent: Buffer): Step {
  return { direction: 'down', bytes: sent }
}

function aliased(topic: string, alias: number): Buffer {
  return publishPacket({ version: 5, topic, properties: bytes(35, uint16(alias)) })
}

function suback(version: Level, id: number, ...codes: readonly number[]): Buffer {
  return packet(0x90, uint16(id), version === 5 ? 0 : '', ...codes)
}

const passes = { verdict: 'pass', reports: [] }

describe('a topic alias', () => {
  const allowed = { connack: bytes(34, uint16(20)) }
  const nine = Array.from({ length: 9 }, (_, index) => up(aliased('a', index + 1)))

  test('stands for the topic that was named last with it', () => {
    const steps = [up(aliased('ward/7', 1)), up(aliased('$secret/x', 1)), up(aliased('', 1))]
    expect(talk(5, steps, { ...allowed, rules: { 'dollar-topic': 'enforce' } }).verdict).toBe('dollar-topic')
    expect(talk(5, [...steps.slice(1), up(aliased('ward/7', 1)), up(aliased('', 1))], allowed)).toEqual({
      verdict: 'pass',
      reports: ['dollar-topic'],
    })
  })

  test('that was never named ends the session in every preset', () => {
    for (const preset of ['strict', 'standard', 'observe'] as const)
      expect(talk(5, [up(aliased('', 3))], { ...allowed, preset }).verdict).toBe('topic-alias-unknown')
  })

  test('for which there was no room is refused where that is wanted', () => {
    expect(talk(5, nine, allowed).verdict).toBe('topic-alias-limit')
  })

  test('for which there was no room still passes where that is only reported', () => {
    const steps = [...nine, up(aliased('', 9)), up(aliased('', 1))]
    for (const wanted of [
      { preset: 'observe' as const },
      { rules: { 'topic-alias-limit': 'report' as const } },
    ])
      expect(talk(5, steps, { ...allowed, ...wanted })).toEqual({
        verdict: 'pass',
        reports: ['topic-alias-limit'],
      })
  })

  test('for which there was no room may be given a topic again, and is judged by it', () => {
    const steps = [...nine, up(aliased('$secret/x', 1)), up(aliased('', 9)), up(aliased('', 1))]
    const rules = { 'topic-alias-limit': 'report', 'dollar-topic': 'report' } as const
    expect(talk(5, steps, { ...allowed, rules }).reports).toEqual(['topic-alias-limit', 'dollar-topic'])
  })

  test('is of one direction only', () => {
    const connect = bytes(34, uint16(5))
    expect(talk(5, [up(aliased('a', 1)), down(aliased('', 1))], { ...allowed, connect }).verdict).toBe(
      'topic-alias-unknown',
    )
  })
})

describe('requests', () => {
  test.each([3, 4, 5] as const)('are forgotten with their answer, UNSUBACK too: version %i', (version) => {
    const unsuback = (id: number): Buffer => packet(0xb0, uint16(id), ...(version === 5 ? [0, 0, 0] : []))
    const steps = Array.from({ length: 200 }, (_, index) => [
      up(unsubscribePacket(version, index + 1, ['a', 'b'])),
      down(unsuback(index + 1)),
    ]).flat()
    const last = [up(subscribePacket(version, 1, [['a', 0]])), down(suback(version, 1, 0, 0))]
    expect(talk(version, steps)).toEqual(passes)
    expect(talk(version, [...steps, ...last]).verdict).toBe('suback-count')
  })

  test.each([3, 4, 5] as const)(
    'under one identifier do not cost a device its session: version %i',
    (version) => {
      const one = up(subscribePacket(version, 1, [['a', 0]]))
      const two = up(
        subscribePacket(version, 1, [
          ['a', 0],
          ['b', 1],
        ]),
      )
      const { verdict, reports } = talk(version, [
        one,
        two,
        down(suback(version, 1, 0)),
        down(suback(version, 1, 0, 1)),
      ])
      expect({ verdict, reports }).toEqual({ verdict: 'pass', reports: ['packet-id-in-use'] })
    },
  )

  test('may share their identifier with a message that waits', () => {
    const message = up(publishPacket({ version: 4, topic: 'a', qos: 1, id: 1 }))
    const request = up(subscribePacket(4, 1, [['a', 0]]))
    const answers = [down(packet(0x40, 0, 1)), down(suback(4, 1, 0))]
    for (const questions of [
      [message, request],
      [request, message],
    ])
      for (const replies of [answers, answers.toReversed()])
        expect(talk(4, [...questions, ...replies])).toEqual({
          verdict: 'pass',
          reports: ['packet-id-in-use'],
        })
  })
})

describe('a delivery', () => {
  const message = (topic: string, properties: Uint8Array = bytes()): Step =>
    down(publishPacket({ version: 5, topic, properties }))
  const subscribed = up(subscribePacket(5, 1, [['ward/+/alarm', 1]], bytes(11, 9)))

  test('fits a filter, and carries an identifier that was given with one', () => {
    expect(talk(5, [subscribed, message('ward/7/alarm', bytes(11, 9))])).toEqual(passes)
    expect(talk(5, [subscribed, message('ward/7/alarm', bytes(11, 8))]).reports).toEqual([
      'subscription-id-unknown',
    ])
    expect(talk(5, [subscribed, message('ward/7')]).reports).toEqual(['delivery-unasked'])
    expect(talk(5, [message('ward/7')]).reports).toEqual(['delivery-unasked'])
  })

  test('may come by a subscription of an earlier connection', () => {
    expect(talk(5, [message('ward/7', bytes(11, 8))], { resumed: true })).toEqual(passes)
  })

  test('of the $ topics comes by no wildcard in front', () => {
    const all = up(subscribePacket(5, 1, [['#', 0]]))
    expect(talk(5, [all, message('$SYS/uptime')]).reports).toEqual(['delivery-by-wildcard'])
    expect(talk(5, [all, up(subscribePacket(5, 2, [['$SYS/#', 0]])), message('$SYS/uptime')])).toEqual(passes)
  })

  test('that was on its way may come after UNSUBSCRIBE', () => {
    const steps = [subscribed, up(unsubscribePacket(5, 2, ['ward/+/alarm'])), message('ward/7/alarm')]
    expect(talk(5, steps)).toEqual(passes)
  })
})

describe('before CONNACK', () => {
  test.each([3, 4, 5] as const)('a device may say all that it likes: version %i', (version) => {
    const steps = [
      up(connectPacket({ version, clean: false })),
      up(publishPacket({ version, topic: 'a', qos: 1, id: 1, dup: true })),
      up(packet(0x62, 0, 2)),
      up(packet(0x40, 0, 9)),
      up(subscribePacket(version, 3, [['b', 1]])),
      down(connackPacket(version)),
      down(publishPacket({ version, topic: 'b' })),
      down(packet(0x40, 0, 1)),
      down(packet(0x70, 0, 2)),
      down(suback(version, 3, 1)),
    ]
    const { verdict, reports } = judge(steps, { limits })
    expect({ verdict, reports }).toEqual(passes)
  })
})

describe('an enforced rule', () => {
  test('is broken by no packet that follows one that was let pass', () => {
    // What is wrong here is tolerated, and means nothing for the packets behind it.
    const connect = bytes(33, uint16(0), 39, uint32(0), 36, 0, 37, 2)
    const will = {
      topic: 'w',
      payload: bytes(),
      qos: 0,
      retain: false,
      properties: bytes(33, uint16(1), 39, uint32(4)),
    }
    const steps = [
      up(connectPacket({ version: 5, properties: connect, will })),
      down(
        connackPacket(5, 0, { properties: bytes(37, 2, 40, 2, 41, 2, 42, 2, 33, uint16(0), 39, uint32(0)) }),
      ),
      up(publishPacket({ version: 5, topic: 'a', qos: 2, id: 1, retain: true })),
      up(publishPacket({ version: 5, topic: 'a', qos: 1, id: 2, retain: true })),
      up(subscribePacket(5, 3, [['$share/g/+', 0]], bytes(11, 1))),
      down(packet(0x50, 0, 1)),
    ]
    const rules = { 'property-value': 'report', 'property-not-allowed': 'report' } as const
    const book = rulebook({ frames: limits, preset: 'strict', rules })
    const { verdict, reports } = judge(steps, { limits, book })
    expect(verdict).toBe('pass')
    expect(new Set(reports.map((one) => one.split(' ')[1]))).toEqual(
      new Set(['property-value', 'property-not-allowed', 'credentials-missing']),
    )
  })
})

describe('what a device did not want to be told', () => {
  test('is not found in a PINGRESP behind a PUBLISH that may tell it', () => {
    const message = publishPacket({ version: 5, topic: 'a', properties: bytes(38, field('k'), field('v')) })
    const steps = [up(subscribePacket(5, 1, [['a', 0]])), up(packet(0xc0)), down(message), down(packet(0xd0))]
    expect(talk(5, steps, { connect: bytes(23, 0) })).toEqual(passes)
    const puback = packet(0x40, 0, 5, 0, block(31, field('why')))
    const refused = [up(publishPacket({ version: 5, topic: 'a', qos: 1, id: 5 })), down(puback)]
    expect(talk(5, refused, { connect: bytes(23, 0) }).reports).toEqual(['problem-information-unasked'])
  })
})
