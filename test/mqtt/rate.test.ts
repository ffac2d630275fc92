// Windows of a second and of a minute, and how many of them are remembered.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Churn, Rate } from '../../src/mqtt/rate.ts'

describe('the rate of a connection', () => {
  test('counts each direction for itself, in windows of a second that begin with a message', () => {
    const steps = fc.array(
      fc.record({
        direction: fc.constantFrom('up' as const, 'down' as const),
        wait: fc.constantFrom(0, 1, 250, 999, 1000),
      }),
    )
    fc.assert(
      fc.property(steps, (all) => {
        const rate = new Rate()
        const windows = { up: { began: -Infinity, count: 0 }, down: { began: -Infinity, count: 0 } }
        let now = 5
        for (const { direction, wait } of all) {
          now += wait
          if (now - windows[direction].began >= 1000) windows[direction] = { began: now, count: 0 }
          windows[direction].count += 1
          expect(rate.count(direction, now)).toBe(windows[direction].count)
        }
      }),
    )
  })
})

describe('the CONNECTs of an identifier', () => {
  test('are counted within a minute from the first, each identifier for itself', () => {
    const churn = new Churn()
    expect([churn.count('a', 0), churn.count('a', 59_999), churn.count('b', 59_999)]).toEqual([1, 2, 1])
    expect([churn.count('a', 60_000), churn.count('b', 60_000), churn.count('a', 60_001)]).toEqual([1, 2, 2])
  })

  test('of 4096 identifiers are remembered; the oldest window makes room', () => {
    const churn = new Churn()
    for (let one = 0; one < 4096; one++) churn.count(`pump-${one}`, one)
    for (let one = 0; one < 4096; one++) expect(churn.count(`pump-${one}`, 5000)).toBe(2)
    churn.count('another', 5000)
    expect(churn.count('pump-1', 5000)).toBe(3)
    expect(churn.count('pump-4095', 5000)).toBe(3)
    expect(churn.count('pump-0', 5000)).toBe(1)
  })

  test('whose window was renewed are the youngest', () => {
    const churn = new Churn()
    for (let one = 0; one < 4096; one++) churn.count(`pump-${one}`, 0)
    churn.count('pump-0', 60_000)
    churn.count('another', 60_000)
    expect(churn.count('pump-0', 60_001)).toBe(2)
    expect(churn.count('pump-2', 59_999)).toBe(2)
    expect(churn.count('pump-1', 59_999)).toBe(1)
  })

  test('do not run into each other', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 50, maxLength: 200 }), (identifiers) => {
        const churn = new Churn()
        for (const one of identifiers) expect(churn.count(one, 0)).toBe(1)
      }),
    )
    const churn = new Churn()
    for (let one = 0; one < 4000; one++) expect(churn.count(`urn:ward-7:infusion-pump:${one}`, 0)).toBe(1)
  })
})
