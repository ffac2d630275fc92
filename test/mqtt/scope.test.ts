// What becomes of a broken rule: a fault, a report that is told once and counted always, or nothing.

import { describe, expect, test } from 'vitest'
import { fault } from '../../src/mqtt/rule.ts'
import { allRules, rules } from '../../src/mqtt/rules.ts'
import { Scope } from '../../src/mqtt/scope.ts'
import { rulebook } from '../help/rulebook.ts'

function open(mode: 'enforce' | 'report' | 'off') {
  const hits = new Float64Array(allRules.length + 1)
  const told: string[] = []
  const book = rulebook({
    frames: { connect: 64, control: 64, publish: 64 },
    rules: { 'utf8-nul': mode, 'topic-empty': mode },
  })
  const scope = new Scope('up', book, hits, ({ id }, offset) => told.push(`${id} @${offset}`))
  return { scope, told, hitsOf: (index: number) => hits[index] }
}

describe('a broken rule', () => {
  const { utf8Nul, topicEmpty, fieldPastEnd } = rules

  test('ends the session where it is enforced', () => {
    const { scope, told, hitsOf } = open('enforce')
    scope.start = 100
    expect(scope.breaks(utf8Nul, 107)).toBe(fault(utf8Nul, 107))
    expect({ told, hits: hitsOf(utf8Nul.index) }).toEqual({ told: [], hits: 0 })
    expect(scope.watches(utf8Nul)).toBe(true)
  })

  test('is counted each time, and told once, with its place in the frame, where it is reported', () => {
    const { scope, told, hitsOf } = open('report')
    scope.start = 100
    for (const at of [107, 108, 109]) expect(scope.breaks(utf8Nul, at)).toBe(0)
    scope.start = 200
    scope.breaks(topicEmpty, 202)
    scope.breaks(utf8Nul, 203)
    expect(told).toEqual(['utf8-nul @7', 'topic-empty @2'])
    expect([hitsOf(utf8Nul.index), hitsOf(topicEmpty.index)]).toEqual([4, 1])
    expect(scope.watches(utf8Nul)).toBe(true)
  })

  test('is not reported a second time when its frame is judged again, but still ends the session', () => {
    const reporting = open('report')
    reporting.scope.quiet = true
    expect(reporting.scope.breaks(utf8Nul, 1)).toBe(0)
    expect({ told: reporting.told, hits: reporting.hitsOf(utf8Nul.index) }).toEqual({ told: [], hits: 0 })
    reporting.scope.quiet = false
    reporting.scope.breaks(utf8Nul, 1)
    expect(reporting.told).toEqual(['utf8-nul @1'])
    const enforcing = open('enforce')
    enforcing.scope.quiet = true
    expect(enforcing.scope.breaks(utf8Nul, 1)).toBe(fault(utf8Nul, 1))
  })

  test('is nothing where it is off', () => {
    const { scope, told, hitsOf } = open('off')
    expect(scope.breaks(utf8Nul, 1)).toBe(0)
    expect({ told, hits: hitsOf(utf8Nul.index), watched: scope.watches(utf8Nul) }).toEqual({
      told: [],
      hits: 0,
      watched: false,
    })
  })

  test('that is fixed ends the session whatever was chosen', () => {
    const frames = { connect: 64, control: 64, publish: 64 }
    const book = rulebook({ frames, preset: 'observe', rules: { 'field-past-end': 'off' } })
    const scope = new Scope('down', book, new Float64Array(allRules.length + 1), () => undefined)
    expect(scope.breaks(fieldPastEnd, 3)).toBe(fault(fieldPastEnd, 3))
  })
})
