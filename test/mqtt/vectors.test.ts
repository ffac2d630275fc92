import { describe, expect, test } from 'vitest'
import type { Mode, Rule } from '../../src/mqtt/rule.ts'
import type { Preset } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { rulebook } from '../help/rulebook.ts'
import { chunksOf, coalesce, judge, type Judgement, type JudgeOptions, type Step } from '../help/judge.ts'
import { pingreqPacket, publishPacket } from '../help/packets.ts'
import { loadVectors, type Vector } from '../help/vectors.ts'

const files = loadVectors(new URL('../vectors/', import.meta.url))

test('every rule has a file of vectors, and every file a rule', () => {
  expect([...files.keys()].toSorted()).toEqual(allRules.map(({ id }) => id).toSorted())
})

describe.each([...files])('%s', (id, vectors) => {
  const rule = allRules.find((one) => one.id === id)!

  test('has vectors that are refused by this rule and vectors that pass', () => {
    expect(vectors.some(({ refuse }) => refuse === undefined)).toBe(true)
    const refused = vectors.filter(({ refuse }) => refuse !== undefined)
    expect(new Set(refused.map(({ refuse }) => refuse?.rule))).toEqual(new Set([id]))
    // A rule that names a clause for old versions is shown in one of them, and so on.
    if (rule.clause.v5 !== undefined) expect(refused.some(({ version }) => version === 5)).toBe(true)
    if (rule.clause.v3 !== undefined) expect(refused.some(({ version }) => version !== 5)).toBe(true)
    const directions = new Set(refused.map(({ direction }) => direction))
    expect(directions).toEqual(new Set(rule.direction === 'both' ? ['up', 'down'] : [rule.direction]))
  })

  test.each(vectors.map((vector) => [`${vector.name}: ${vector.comment}`, vector] as const))(
    '%s',
    (_, vector) => {
      const steps = stepsOf(vector)
      const options = optionsFor(vector)
      const whole = judge(steps, options)
      expect({ verdict: whole.verdict, at: whole.at }).toEqual({
        verdict: vector.refuse?.rule ?? 'pass',
        at: vector.refuse?.at ?? -1,
      })
      expect(whole.passed).toEqual(expectedBytes(vector))
      for (const other of otherArrivals(vector, steps, options)) expectSame(other, whole)
      checkFollowed(vector, steps, whole)
    },
  )
})

/** By comment: vectors that another rule stops once their own lets them pass, and why nothing can be done about it. */
const stoppedOtherwise: Readonly<Record<string, { readonly by: string; readonly why: string }>> = {
  'topic-alias-range: far more, without a topic': {
    by: 'topic-alias-unknown',
    why: 'the alias is too large to have been set, and what nobody knows cannot be judged',
  },
  'reason-code: success is for the broker to say': {
    by: 'auth-out-of-turn',
    why: 'a device has no turn in which it may say this',
  },
  'reason-code: an empty AUTH means success': {
    by: 'auth-out-of-turn',
    why: 'a device has no turn in which it may say this',
  },
  'reason-code: authenticate again is for the device to say': {
    by: 'auth-out-of-turn',
    why: 'a broker has no turn in which it may say this',
  },
}

describe.each(allRules.filter(({ fixed }) => !fixed))('$id, not enforced', (rule) => {
  const refused = (files.get(rule.id) ?? []).filter((vector) => vector.refuse !== undefined)

  test.each(refused.map((vector) => [`${vector.name}: ${vector.comment}`, vector] as const))(
    '%s',
    (_, vector) => {
      const steps = stepsOf(vector)
      const options = optionsFor(vector, 'report')
      const reported = judge(steps, options)
      const otherwise = stoppedOtherwise[`${rule.id}: ${vector.comment}`]?.by ?? 'pass'
      expect(reported.verdict).toBe(otherwise)
      if (otherwise === 'pass') expect(reported.passed).toEqual(allBytes(vector))
      const isOwn = (report: string): boolean => report.startsWith(`${vector.direction} ${rule.id} @`)
      expect(reported.reports.filter(isOwn)).toEqual([`${vector.direction} ${rule.id} @${vector.refuse?.at}`])
      expect(reported.hits[rule.index]).toBeGreaterThan(0)
      for (const other of otherArrivals(vector, steps, options)) expectSame(other, reported)

      const off = judge(steps, optionsFor(vector, 'off'))
      expect(off).toEqual({
        ...reported,
        reports: reported.reports.filter((report) => !isOwn(report)),
        hits: reported.hits.with(rule.index, 0),
      })
    },
  )
})

describe('a preset', () => {
  const refused = [...files.values()].flat().filter(({ refuse }) => refuse !== undefined)
  const ruleOf = ({ rule }: Vector): Rule => allRules.find(({ id }) => id === rule)!
  const verdictOf = (vector: Vector, preset: Preset): string => {
    const { limits, policy, classes, earlier } = vector
    const book = rulebook({ preset, frames: limits, limits: policy, classes })
    const whole = judge(stepsOf(vector), { limits, book, earlier })
    expectSame(judge(stepsOf(vector), { limits, book, earlier, cut: chunksOf(1) }), whole)
    return whole.verdict
  }

  test('standard refuses what breaks the rules that it enforces', () => {
    for (const vector of refused) {
      if (ruleOf(vector).mode.standard !== 'enforce') continue
      expect([vector.name, verdictOf(vector, 'standard')]).toEqual([vector.name, vector.rule])
    }
  })

  test('strict refuses what breaks the rules that it enforces, though another may come first', () => {
    for (const vector of refused) {
      if (ruleOf(vector).mode.strict === 'enforce')
        expect([vector.name, verdictOf(vector, 'strict')]).not.toEqual([vector.name, 'pass'])
    }
  })

  test('observe refuses what breaks a fixed rule, and nothing else', () => {
    const fixed = new Set(allRules.filter((rule) => rule.fixed).map(({ id }) => id))
    for (const vector of refused) {
      const verdict = verdictOf(vector, 'observe')
      if (ruleOf(vector).fixed) expect([vector.name, verdict]).toEqual([vector.name, vector.rule])
      else expect([vector.name, verdict === 'pass' || fixed.has(verdict)]).toEqual([vector.name, true])
    }
  })
})

function stepsOf({ before, direction, bytes }: Vector): Step[] {
  return [...before, { direction, bytes }]
}

/** All that came before goes on; of the vector itself everything, or nothing. */
function expectedBytes(vector: Vector): Judgement['passed'] {
  return vector.refuse === undefined ? allBytes(vector) : hexOf(vector.before)
}

function allBytes(vector: Vector): Judgement['passed'] {
  return hexOf(stepsOf(vector))
}

function hexOf(steps: readonly Step[]): Judgement['passed'] {
  const passed = { up: '', down: '' }
  for (const { direction, bytes } of steps) passed[direction] += bytes.toString('hex')
  return passed
}

/** The same bytes as they may come: one at a time, cut in two anywhere, and joined with what came before them. */
function* otherArrivals(
  { bytes }: Vector,
  steps: readonly Step[],
  options: JudgeOptions,
): Generator<Judgement> {
  yield judge(steps, { ...options, cut: chunksOf(1) })
  for (let at = 1; at < bytes.length; at++) {
    yield judge(steps, {
      ...options,
      cut: (one) => (one === bytes ? [one.subarray(0, at), one.subarray(at)] : [one]),
    })
  }
  yield judge(coalesce(steps), options)
  for (const size of [2, 3, 5, 7]) yield judge(coalesce(steps), { ...options, cut: chunksOf(size) })
}

/** What follows changes nothing about what was there, and its own verdict does not depend on how it arrives. */
function checkFollowed(vector: Vector, steps: readonly Step[], whole: Judgement): void {
  const { version, direction } = vector
  const options = optionsFor(vector)
  const message = publishPacket({ version, topic: 't', payload: '!' })
  const tail = direction === 'up' ? Buffer.concat([pingreqPacket, message]) : message
  const longer = [...steps, { direction, bytes: tail }]
  const apart = judge(longer, options)
  if (vector.refuse !== undefined) expect(apart).toEqual(whole)
  expect(apart.passed[direction].startsWith(whole.passed[direction])).toBe(true)
  const joined = coalesce(longer)
  expectSame(judge(joined, options), apart)
  expectSame(judge(joined, { ...options, cut: chunksOf(1) }), apart)
  for (let size = 2; size <= vector.bytes.length + tail.length; size++) {
    expectSame(judge(joined, { ...options, cut: chunksOf(size) }), apart)
  }
}

/** As `toEqual`, which takes its time and is called half a million times. */
function expectSame(one: Judgement, other: Judgement): void {
  if (JSON.stringify(one) !== JSON.stringify(other)) expect(one).toEqual(other)
}

/** The preset `standard`, with the rule the file is about in this mode. */
function optionsFor(
  { rule, limits, policy, classes, earlier }: Vector,
  mode: Mode = 'enforce',
): JudgeOptions {
  const book = rulebook({ frames: limits, limits: policy, classes, rules: { [rule]: mode } })
  return { limits, book, earlier }
}
