import { describe, expect, test } from 'vitest'
import { allRules } from '../../src/mqtt/rules.ts'
import { rulebook } from '../help/rulebook.ts'
import { chunksOf, coalesce, judge, type Judgement, type Step } from '../help/judge.ts'
import { pingreqPacket, publishPacket } from '../help/packets.ts'
import { loadVectors, type Vector } from '../help/vectors.ts'

const files = loadVectors(new URL('../vectors/', import.meta.url))

test('every rule has a file of vectors, and every file a rule', () => {
  expect([...files.keys()]).toEqual(allRules.map(({ id }) => id).toSorted())
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
      const steps: Step[] = [...vector.before, { direction: vector.direction, bytes: vector.bytes }]
      const whole = judge(steps, optionsFor(vector))
      expect({ verdict: whole.verdict, at: whole.at }).toEqual({
        verdict: vector.refuse?.rule ?? 'pass',
        at: vector.refuse?.at ?? -1,
      })
      expect(whole.passed).toEqual(expectedBytes(vector))
      for (const other of otherArrivals(vector, steps)) expect(other).toEqual(whole)
      checkFollowed(vector, steps, whole)
    },
  )
})

/** All that came before goes on; of the vector itself everything but what is still held, or nothing. */
function expectedBytes({ before, direction, bytes, refuse }: Vector): Judgement['passed'] {
  const passed = { up: '', down: '' }
  for (const step of before) passed[step.direction] += step.bytes.toString('hex')
  if (refuse === undefined) passed[direction] += bytes.toString('hex')
  return passed
}

/** The same bytes as they may come: one at a time, cut in two anywhere, and joined with what came before them. */
function* otherArrivals(vector: Vector, steps: readonly Step[]): Generator<Judgement> {
  const { bytes } = vector
  const options = optionsFor(vector)
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
  expect(judge(joined, options)).toEqual(apart)
  expect(judge(joined, { ...options, cut: chunksOf(1) })).toEqual(apart)
  for (let size = 2; size <= vector.bytes.length + tail.length; size++) {
    expect(judge(joined, { ...options, cut: chunksOf(size) })).toEqual(apart)
  }
}

/** The preset `standard`, with the rule the file is about enforced. */
function optionsFor({ rule, limits }: Vector) {
  return { limits, book: rulebook({ frames: limits, rules: { [rule]: 'enforce' } }) }
}
