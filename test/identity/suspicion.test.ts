// Suspicion as a number: bounded, never raised by repetition, fading, and independent of the order of what was seen.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { signals, type Signal, type SignalName } from '../../src/identity/signals.ts'
import { halfLife, stageOf, suspect, suspicion, withSignals } from '../../src/identity/suspicion.ts'

const names = Object.keys(signals) as SignalName[]
const signal = fc.record({
  name: fc.constantFrom(...names),
  before: fc.string(),
  after: fc.string(),
}) satisfies fc.Arbitrary<Signal>
const evidence = fc
  .uniqueArray(signal, { selector: ({ name }) => name })
  .chain((seen) =>
    fc
      .array(fc.nat(10_000_000), { minLength: seen.length, maxLength: seen.length })
      .map((times) => seen.map((one, at) => ({ ...one, at: times[at] ?? 0 }))),
  )
const now = 10_000_000

describe('for any evidence', () => {
  test('suspicion lies between 0 and 1', () => {
    fc.assert(
      fc.property(evidence, fc.nat(now * 2), (seen, when) => {
        const amount = suspicion(seen, when)
        expect(amount).toBeGreaterThanOrEqual(0)
        expect(amount).toBeLessThan(1)
      }),
    )
  })

  test('a further signal never lowers it', () => {
    fc.assert(
      fc.property(evidence, signal, (seen, more) => {
        expect(suspicion(withSignals(seen, [more], now), now)).toBeGreaterThanOrEqual(
          suspicion(withSignals(seen, [], now), now) - 1e-9,
        )
      }),
    )
  })

  test('the same signal again counts once', () => {
    fc.assert(
      fc.property(evidence, signal, (seen, more) => {
        const once = withSignals(seen, [more], now)
        expect(suspicion(withSignals(once, [more, more], now), now)).toBeCloseTo(suspicion(once, now), 9)
      }),
    )
  })

  test('the order does not matter', () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        expect(suspicion(seen.toReversed(), now)).toBeCloseTo(suspicion(seen, now), 9)
      }),
    )
  })

  test('it fades: never more later, and nothing is left in the end', () => {
    fc.assert(
      fc.property(evidence, fc.nat(now), (seen, later) => {
        expect(suspicion(seen, now + later)).toBeLessThanOrEqual(suspicion(seen, now) + 1e-9)
        expect(withSignals(seen, [], now + 20 * halfLife)).toEqual([])
      }),
    )
  })
})

test.each([
  [['mac-changed'], 'suspected'],
  [['mac-changed', 'hop-added'], 'likely'],
  [['hop-added'], 'suspected'],
  [['frame-mac-differs'], 'suspected'],
  [['station-changed', 'old-address-answers'], 'suspected'],
  [['station-changed', 'two-places'], 'suspected'],
  [['two-places'], 'noticed'],
  [['syn-changed'], 'noticed'],
  [['login-changed'], 'noticed'],
  [['profile-changed'], undefined],
  [['station-changed'], undefined],
  [['hops-changed'], undefined],
  [['round-trip-shifted'], undefined],
] as const)('%j is %s', (seen: readonly SignalName[], stage) => {
  const found = seen.map((name) => ({ name, before: '', after: '' }))
  expect(stageOf(suspicion(withSignals([], found, now), now))).toBe(stage)
})

test('a signal of an hour ago has half its weight', () => {
  const seen = withSignals([], [{ name: 'mac-changed', before: 'a', after: 'b' }], now)
  expect(suspicion(seen, now + halfLife)).toBeCloseTo(0.3, 9)
})

test('the finding has the stage and every signal with before and after', () => {
  const seen = withSignals(
    [],
    [
      { name: 'mac-changed', before: '02:00:00:00:00:01', after: '02:00:00:00:00:66' },
      { name: 'login-changed', before: 'k:1', after: '' },
    ],
    now,
  )
  expect(suspect(seen, 'suspected', now)).toMatchObject({
    detector: 'mitm-suspected',
    severity: 'warning',
    evidence: {
      stage: 'suspected',
      suspicion: 0.74,
      signals: 'mac-changed login-changed',
      'mac-changed': expect.stringMatching(/^02:00:00:00:00:01 -> 02:00:00:00:00:66: \w/) as unknown,
      'login-changed': expect.stringMatching(/^k:1 -> nothing: \w/) as unknown,
    },
  })
})
