// The exchanges of QoS 1 and 2 against a network of two sound peers, who may say things in any order that MQTT allows.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Flows } from '../../src/mqtt/flows.ts'
import { Stage } from '../../src/mqtt/in-flight.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { scopeOf } from '../help/scope.ts'
import { Network, type Habits, type Turn } from './network.ts'

const { puback, pubrec, pubcomp, suback, unsuback } = PacketType

const turns = fc.array(
  fc.record<Turn>({
    kind: fc.constantFrom(
      'publish',
      'publish',
      'subscribe',
      'retry',
      'retry',
      'from sender',
      'from sender',
      'to receiver',
      'to receiver',
      'from receiver',
      'from receiver',
      'to sender',
      'to sender',
      'reconnect',
    ),
    pick: fc.nat(7),
  }),
  { minLength: 20, maxLength: 160 },
)

/** What the proxy in the middle says to these turns, and to all that is on its way when they are over. */
function talk(habits: Habits, plan: readonly Turn[]) {
  const network = new Network(habits)
  for (const turn of plan) network.take(turn)
  network.settle()
  return network
}

function idle(kind: Turn['kind'], plan: readonly Turn[]): Turn[] {
  return plan.filter((turn) => turn.kind !== kind)
}

describe('sound peers', () => {
  test('who never send twice while a connection stands break nothing at all, in any version', () => {
    fc.assert(
      fc.property(fc.constantFrom(3, 4, 5), fc.boolean(), turns, (version, echoes, plan) => {
        const { faults, reports, flows } = talk({ version, echoes, window: 3 }, idle('retry', plan))
        expect({ faults, reports, open: flows.open }).toEqual({ faults: [], reports: [], open: 0 })
      }),
      { numRuns: 1500 },
    )
  })

  test('who send again when an answer takes its time are let through, whatever crosses on the way', () => {
    fc.assert(
      fc.property(fc.constantFrom(3, 4), fc.boolean(), turns, (version, echoes, plan) => {
        const { faults } = talk({ version, echoes, window: 3, limits: { resends: 14 } }, plan)
        expect(faults).toEqual([])
      }),
      { numRuns: 3000 },
    )
  })

  test('one of whom lost its memory and takes identifiers anew are let through too', () => {
    fc.assert(
      fc.property(fc.constantFrom(3, 4), turns, (version, plan) => {
        const { faults } = talk({ version, echoes: true, window: 3, forgets: true }, idle('retry', plan))
        expect(faults).toEqual([])
      }),
      { numRuns: 1500 },
    )
  })
})

type Said =
  | 'qos 1'
  | 'qos 2'
  | 'puback'
  | 'pubrec'
  | 'refusal'
  | 'pubrel'
  | 'pubcomp'
  | 'subscribe'
  | 'unsubscribe'
type Heard = Said | 'suback' | 'unsuback'

function converse(words: readonly Heard[], resumes = false) {
  const flows = new Flows()
  flows.resumes = resumes
  const scope = scopeOf()
  const outcomes = words.map((word) => {
    const outcome = say(flows, word, scope)
    return outcome < 0 ? brokenRule(outcome).id : 'passes'
  })
  return { outcomes, reports: scope.reports.map((one) => one.split(' ')[0]), open: flows.open }
}

function say(flows: Flows, word: Heard, scope: ReturnType<typeof scopeOf>, id = 7): number {
  switch (word) {
    case 'qos 1':
    case 'qos 2':
      return flows.publish(
        { packetId: id, qos: word === 'qos 1' ? 1 : 2, dup: false },
        4,
        65_535,
        20,
        scope,
        0,
      )
    case 'puback':
      return flows.acknowledge(id, puback, 0, scope, 0)
    case 'pubrec':
      return flows.acknowledge(id, pubrec, 0, scope, 0)
    case 'refusal':
      return flows.acknowledge(id, pubrec, 0x97, scope, 0)
    case 'pubrel':
      return flows.release(id, scope, 0)
    case 'pubcomp':
      return flows.acknowledge(id, pubcomp, 0, scope, 0)
    case 'subscribe':
      return flows.request(id, Stage.suback, scope, 0)
    case 'unsubscribe':
      return flows.request(id, Stage.unsuback, scope, 0)
    case 'suback':
      return flows.answer(id, suback, scope, 0)
    case 'unsuback':
      return flows.answer(id, unsuback, scope, 0)
  }
}

describe('an answer', () => {
  const openings: Readonly<Record<string, readonly Said[]>> = {
    'to a QoS 1 message': ['qos 1'],
    'to a QoS 2 message': ['qos 2'],
    'after PUBREC': ['qos 2', 'pubrec'],
    'after PUBREL': ['qos 2', 'pubrec', 'pubrel'],
    'to SUBSCRIBE': ['subscribe'],
    'to UNSUBSCRIBE': ['unsubscribe'],
  }
  /** What may come next under the same identifier; anything else is a mismatch. */
  const fitting: Readonly<Record<string, readonly Heard[]>> = {
    'to a QoS 1 message': ['puback'],
    'to a QoS 2 message': ['pubrec', 'refusal'],
    'after PUBREC': ['pubrec', 'refusal', 'pubrel'],
    'after PUBREL': ['pubrec', 'refusal', 'pubrel', 'pubcomp'],
    'to SUBSCRIBE': ['suback'],
    'to UNSUBSCRIBE': ['unsuback'],
  }
  const answers: readonly Heard[] = ['puback', 'pubrec', 'refusal', 'pubrel', 'pubcomp', 'suback', 'unsuback']
  const cases = Object.keys(openings).flatMap((opening) =>
    answers.map((answer) => [opening, answer, fitting[opening]!.includes(answer)] as const),
  )

  test.each(cases)('%s that is %s fits: %s', (opening, answer, fits) => {
    const { outcomes, reports } = converse([...openings[opening]!, answer])
    expect(outcomes.at(-1)).toBe(fits ? 'passes' : 'ack-mismatch')
    expect(reports).toEqual([])
  })

  test.each(answers)('to nothing is reported: %s', (answer) => {
    const { outcomes, reports } = converse([answer])
    expect(outcomes).toEqual(['passes'])
    expect(reports).toEqual([
      answer.startsWith('pub') || answer === 'refusal' ? 'ack-unknown' : 'answer-unknown',
    ])
  })

  test.each(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const)(
    'to nothing may be meant for an earlier connection: %s',
    (answer) => {
      expect(converse([answer], true)).toEqual({ outcomes: ['passes'], reports: [], open: 0 })
    },
  )

  test('that fits no more after one that was let pass is not refused', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...answers), { minLength: 2, maxLength: 8 }), (words) => {
        const flows = new Flows()
        const scope = scopeOf({ rules: { 'ack-mismatch': 'report' } })
        for (const word of ['qos 1', ...words, 'qos 2', 'pubrec', 'pubrel', 'pubcomp'] as const) {
          expect(say(flows, word, scope)).toBeGreaterThanOrEqual(0)
        }
        expect(flows.open).toBe(0)
      }),
    )
  })
})

describe('a QoS 2 message', () => {
  const send = (flows: Flows, size: number, scope: ReturnType<typeof scopeOf>, dup = true): string => {
    const outcome = flows.publish({ packetId: 7, qos: 2, dup }, 4, 65_535, size, scope, 0)
    return outcome < 0 ? brokenRule(outcome).id : 'passes'
  }

  test('may come again as often as the limit says once PUBREC came, and as it likes before', () => {
    const flows = new Flows()
    flows.resumes = true
    const scope = scopeOf({ limits: { resends: 2 } })
    const before = Array.from({ length: 20 }, () => send(flows, 30, scope))
    expect(new Set(before)).toEqual(new Set(['passes']))
    say(flows, 'pubrec', scope)
    const after = Array.from({ length: 3 }, () => send(flows, 30, scope, false))
    expect(after).toEqual(['passes', 'passes', 'resent-too-often'])
  })

  test('marked as a duplicate may come fourteen times before MQTT 5.0: PUBREC may be on its way', () => {
    const flows = new Flows()
    const scope = scopeOf({ limits: { resends: 2 } })
    send(flows, 30, scope, false)
    say(flows, 'pubrec', scope)
    const after = Array.from({ length: 15 }, () => send(flows, 30, scope))
    expect(after).toEqual([...Array.from({ length: 14 }, () => 'passes'), 'resent-too-often'])
  })

  test('begins to be counted anew with the next message', () => {
    const flows = new Flows()
    const scope = scopeOf({ limits: { resends: 1 } })
    for (let message = 0; message < 50; message++) {
      say(flows, 'qos 2', scope)
      say(flows, 'pubrec', scope)
      expect(send(flows, 20, scope)).toBe('passes')
      for (const word of ['pubrec', 'pubrel', 'pubcomp', 'pubcomp'] as const) say(flows, word, scope)
    }
  })
})

describe('the receive maximum', () => {
  test('counts what waits for its last acknowledgement, each identifier for itself', () => {
    const flows = new Flows()
    const scope = scopeOf({ rules: { 'receive-maximum': 'enforce' } })
    const publish = (id: number, qos: number): string => {
      const outcome = flows.publish({ packetId: id, qos, dup: false }, 5, 2, 9, scope, 0)
      return outcome < 0 ? brokenRule(outcome).id : 'passes'
    }
    expect([publish(1, 1), publish(2, 2)]).toEqual(['passes', 'passes'])
    say(flows, 'pubrec', scope, 2)
    say(flows, 'pubrel', scope, 2)
    say(flows, 'puback', scope, 1)
    expect(publish(3, 1)).toBe('passes')
    expect(publish(4, 1)).toBe('receive-maximum')
  })

  test('is regained by a PUBREC that refuses', () => {
    expect(converse(['qos 2', 'refusal']).open).toBe(0)
    expect(converse(['qos 2', 'pubrec']).open).toBe(1)
  })

  test.each([
    [['qos 1', 'subscribe', 'puback', 'suback'] as const],
    [['qos 1', 'subscribe', 'suback', 'puback'] as const],
    [['subscribe', 'qos 1', 'suback', 'puback'] as const],
    [['unsubscribe', 'qos 2', 'unsuback', 'pubrec', 'pubrel', 'pubcomp'] as const],
    [['qos 2', 'unsubscribe', 'pubrec', 'unsuback', 'pubrel', 'pubcomp'] as const],
  ])('is regained when a device counts its requests apart from its messages: %j', (words) => {
    const flows = new Flows()
    const scope = scopeOf()
    // One message that waits all the time, so that the count cannot hide below zero.
    say(flows, 'qos 1', scope, 9)
    for (let round = 0; round < 20; round++)
      for (const word of words) expect(say(flows, word, scope)).toBeGreaterThanOrEqual(0)
    expect(flows.open).toBe(1)
  })

  test('is not used up by PUBREL of an earlier connection', () => {
    expect(converse(['pubrel', 'pubcomp'], true)).toEqual({
      outcomes: ['passes', 'passes'],
      reports: [],
      open: 0,
    })
  })
})
