// What a session learns from its control packets, and what becomes of findings.

import { describe, expect, test } from 'vitest'
import type { Detector, Subject } from '../../src/detect/detector.ts'
import { wideSubscription } from '../../src/detect/wide-subscription.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import { modeOf } from '../../src/mqtt/rulebook.ts'
import { allRules, rules } from '../../src/mqtt/rules.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import type { Policy } from '../../src/policy/decide.ts'
import type { Hub, ListenerPlan } from '../../src/proxy/hub.ts'
import { Judge, clauseOf } from '../../src/proxy/judge.ts'
import { Exposition } from '../help/exposition.ts'
import { bytes, connackPacket, connectPacket, packet, subscribePacket, uint16 } from '../help/packets.ts'

const standard = new Map(allRules.map((rule) => [rule.id, modeOf(rule, 'standard', {})]))
const observe: Policy = {
  mode: 'observe',
  actions: new Map([['wide-subscription', 'refuse']]),
  rules: standard,
}
const refuse: Policy = { ...observe, mode: 'enforce' }
const report: Policy = { ...refuse, actions: new Map([['wide-subscription', 'report']]) }

function judge(detectors: readonly Detector[] = [], policy = report) {
  const byType: Detector[][] = []
  for (const detector of detectors) {
    for (const name of detector.watches) (byType[PacketType[name]] ??= []).push(detector)
  }
  const metrics = createMetrics({ version: 'test' })
  const said: { level: string; kind: string; fields: Readonly<Record<string, unknown>>; message: string }[] =
    []
  const plan = {
    name: 'ward',
    detectors: byType,
    policy,
    timeouts: { idle: 7777 },
  } as unknown as ListenerPlan
  const hub = {
    plan,
    metrics,
    limited: (level: string, kind: string, fields: Readonly<Record<string, unknown>>, message: string) =>
      said.push({ level, kind, fields, message }),
  } as unknown as Hub
  const judged = new Judge(hub, { address: '10.0.0.7', transport: 'plain' })
  return {
    judge: judged,
    metrics,
    said,
    /** Shows it a whole packet, somewhere in a larger chunk. */
    see(whole: Buffer) {
      const chunk = bytes('before', whole, 'after')
      const lengthBytes = whole.subarray(1).findIndex((byte) => byte < 0x80) + 1
      return judged.see(whole[0]! >> 4, chunk, 6, 6 + 1 + lengthBytes, 6 + whole.length)
    },
    async metric(name: string, labels = {}) {
      return new Exposition(await metrics.expose()).value(`pulseward_${name}`, labels)
    },
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

describe('a CONNACK', () => {
  test('shows in MQTT 5.0 what the broker can do, with the values of the standard where it says nothing', () => {
    using set = judge()
    const seen: object[] = []
    set.judge.greeted = (showing) => void seen.push(showing)
    set.see(connectPacket({ version: 5 }))
    set.see(connackPacket(5))
    set.see(connackPacket(5, 0, { properties: bytes(0x24, 1, 0x25, 0, 0x21, uint16(20), 0x13, uint16(60)) }))
    // Who was refused has learnt nothing of the broker, and what it says may be anything.
    set.see(connackPacket(5, 0x87))
    const usual = {
      'maximum-qos': '2',
      'retain-available': 'yes',
      'wildcard-available': 'yes',
      'shared-available': 'yes',
      'subscription-ids-available': 'yes',
      'receive-maximum': '65535',
      'maximum-packet-size': 'none',
      'topic-alias-maximum': '0',
      'server-keep-alive': 'none',
    }
    const said = {
      'maximum-qos': '1',
      'retain-available': 'no',
      'receive-maximum': '20',
      'server-keep-alive': '60',
    }
    expect(seen).toEqual([usual, { ...usual, ...said }])
  })

  test('shows nothing before, but that there was one', () => {
    using set = judge()
    const seen: object[] = []
    set.judge.greeted = (showing) => void seen.push(showing)
    set.see(connectPacket({ version: 4 }))
    set.see(connackPacket(4))
    expect(seen).toEqual([{}])
  })
})

describe('silence', () => {
  test.each([
    [1, 6500],
    [60, 95_000],
    [65_535, 98_307_500],
    [0, 7777],
  ])('keep alive %i lets a device be silent for %i ms', (keepAlive, silence) => {
    using set = judge()
    expect(set.judge.silence).toBe(Infinity)
    set.see(connectPacket({ version: 4, keepAlive }))
    expect(set.judge.silence).toBe(silence)
    expect(set.judge.connect).toMatchObject({ version: 4, keepAlive, clientId: 'pump-7' })
  })

  test('is what the broker says in MQTT 5.0', () => {
    using set = judge()
    set.see(connectPacket({ version: 5, keepAlive: 60 }))
    set.see(connackPacket(5))
    expect(set.judge.silence).toBe(95_000)
    set.see(connackPacket(5, 0, { properties: bytes(0x13, uint16(10)) }))
    expect(set.judge.silence).toBe(20_000)
    set.see(connackPacket(5, 0, { properties: bytes(0x13, uint16(0)) }))
    expect(set.judge.silence).toBe(7777)
  })

  test('is not read out of a CONNACK of an older version', () => {
    using set = judge()
    set.see(connectPacket({ version: 4, keepAlive: 60 }))
    set.see(connackPacket(4))
    expect(set.judge.silence).toBe(95_000)
  })
})

test('counts what the broker answered', () => {
  using set = judge()
  set.see(connectPacket({ version: 5 }))
  set.see(connackPacket(5, 0x87))
  expect(set.metrics.connacks[0x87]).toBe(1)
})

test('wants to see CONNECT, CONNACK, and what its detectors watch', () => {
  using none = judge()
  expect(none.judge.watched).toBe(0b110)
  using set = judge([wideSubscription.create({})])
  expect(set.judge.watched).toBe(0b110 | (1 << PacketType.subscribe))
})

describe('a finding', () => {
  const wide = subscribePacket(4, 1, [['#', 0]])

  test.each([
    ['report', report, 'forward', undefined],
    ['refuse', refuse, 'refuse', { detector: 'wide-subscription', severity: 'notice' }],
    ['refuse, but only observed', observe, 'forward', undefined],
  ])('with %s is logged, counted, and handed back only to be refused', async (_, policy, action, finding) => {
    using set = judge([wideSubscription.create({})], policy)
    expect(set.see(connectPacket({ version: 4 }))).toBeUndefined()
    const found = set.see(wide)
    if (finding === undefined) expect(found).toBeUndefined()
    else expect(found).toMatchObject(finding)
    const labels = { detector: 'wide-subscription', severity: 'notice', action }
    expect(await set.metric('findings_total', labels)).toBe(1)
    expect(set.said).toMatchObject([
      { level: 'info', kind: 'wide-subscription', fields: { clientId: 'pump-7', action, listener: 'ward' } },
    ])
  })

  test('is made by what came whole and of its kind only', () => {
    using set = judge([wideSubscription.create({})], refuse)
    set.see(connectPacket({ version: 4 }))
    expect(set.see(subscribePacket(4, 1, [['ward/1/#', 0]]))).toBeUndefined()
    expect(set.see(packet(0xc0))).toBeUndefined()
    expect(set.said).toEqual([])
  })
})

describe('a broken rule', () => {
  test('that is only reported is told at the level of a notice, kind by kind, and counted as forwarded', async () => {
    using set = judge()
    set.see(connectPacket({ version: 4 }))
    set.judge.tolerated(rules.pingrespUnasked, 'down', 0)
    set.judge.tolerated(rules.dollarTopic, 'up', 2)
    const labels = { detector: 'protocol', severity: 'notice', action: 'forward' }
    expect(await set.metric('findings_total', labels)).toBe(2)
    // How often it was broken is counted where it is judged.
    expect(await set.metric('rule_hits_total')).toBe(0)
    expect(set.said).toMatchObject([
      {
        level: 'info',
        kind: 'forward pingresp-unasked',
        fields: {
          listener: 'ward',
          clientId: 'pump-7',
          address: '10.0.0.7',
          version: 4,
          detector: 'protocol',
          action: 'forward',
          evidence: { rule: 'pingresp-unasked', offset: 0, direction: 'down' },
        },
        message: rules.pingrespUnasked.explanation,
      },
      {
        level: 'info',
        kind: 'forward dollar-topic',
        fields: { evidence: { rule: 'dollar-topic', offset: 2, direction: 'up' } },
        message: rules.dollarTopic.explanation,
      },
    ])
    expect(set.said[1]?.fields['references']).toEqual(['R12', 'CVE-2018-12543', 'CVE-2026-33217'])
  })

  test('is told of before anybody knows whose it is', () => {
    using set = judge()
    set.judge.tolerated(rules.identityWildcard, 'up', 12)
    expect(set.said).toMatchObject([{ fields: { clientId: '', version: 0, address: '10.0.0.7' } }])
  })

  test('for which the session ends is counted, and told by whoever ends it', async () => {
    using set = judge()
    set.see(connectPacket({ version: 4 }))
    expect(set.judge.broken(rules.topicWildcard, 'up', 9)).toBe('refuse')
    const labels = { detector: 'protocol', severity: 'warning', action: 'refuse' }
    expect(await set.metric('findings_total', labels)).toBe(1)
    expect(set.said).toEqual([])
  })

  test.each([
    ['of the version the device speaks', rules.topicWildcard, 5, rules.topicWildcard.clause.v5],
    ['of 3.1.1 for all older ones', rules.connackFlags, 3, rules.connackFlags.clause.v3],
    ['that is an option where no standard has it', rules.filterCount, 4, rules.filterCount.clause.policy],
  ] as const)('has a clause %s', (_, rule, version, clause) => {
    expect(clause).toMatch(/./)
    expect(clauseOf(rule, version)).toBe(clause)
  })
})

test('a detector is told of its session, and has a memory of its own in each', () => {
  const subjects: Subject[] = []
  const seen: unknown[] = []
  const detector: Detector = {
    kind: 'counting',
    watches: ['connect', 'pingreq'],
    begin(subject) {
      subjects.push(subject)
      return { pings: 0 }
    },
    see(read, memory) {
      const own = memory as { pings: number }
      if (read.cmd === 'pingreq') own.pings += 1
      seen.push([read.cmd, own.pings])
      return undefined
    },
  }
  using one = judge([detector])
  using two = judge([detector])
  for (const judged of [one, two]) {
    judged.see(connectPacket({ version: 4 }))
    judged.see(packet(0xc0))
  }
  one.see(packet(0xc0))
  // Once a session, however many types it watches.
  expect(subjects).toHaveLength(2)
  expect(subjects[0]).toEqual({
    address: '10.0.0.7',
    transport: 'plain',
    listener: 'ward',
    clientId: 'pump-7',
    version: 4,
    hasUsername: false,
    hasPassword: false,
  })
  expect(seen).toEqual([
    ['connect', 0],
    ['pingreq', 1],
    ['connect', 0],
    ['pingreq', 1],
    ['pingreq', 2],
  ])
})
