// Labelled counters stay bounded and lose no count; the histogram agrees with a naive one.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram, LabelledCounter } from '../../src/observe/counters.ts'

describe('a labelled counter', () => {
  const labels = { side: { meaning: '', values: ['up', 'down'] }, code: { meaning: '', most: 3 } }
  const side = fc.constantFrom('up', 'down', 'other', 'left', 'up\nx')
  const code = fc.oneof(fc.constantFrom('a', 'b', 'c', 'd', 'other', 'x\nup', '__proto__'), fc.string())

  it('keeps every count in at most as many series as its sets allow', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ side, code }), { maxLength: 60 }), (adds) => {
        const counter = new LabelledCounter<'side' | 'code'>(labels)
        for (const add of adds) counter.add(add)
        const samples = [...counter.samples()]
        expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(adds.length)
        expect(samples.length).toBeLessThanOrEqual(3 * 4)
        expect(new Set(samples.map((sample) => JSON.stringify(sample.labels))).size).toBe(samples.length)
        for (const { labels: shown } of samples) {
          expect(['up', 'down', 'other']).toContain(shown['side'])
          expect(shown['code']).toMatch(/^[\w.:[\]-]+$/)
        }
      }),
    )
  })

  it('files each count under the very values it was given, while there is room', () => {
    const counter = new LabelledCounter<'side' | 'code'>(labels)
    counter.add({ side: 'up', code: 'a' })
    counter.add({ code: 'a', side: 'up' }, 4)
    counter.add({ side: 'down', code: 'a' }, 0)
    expect([...counter.samples()]).toEqual([
      { labels: { side: 'up', code: 'a' }, value: 5 },
      { labels: { side: 'down', code: 'a' }, value: 0 },
    ])
    expect(counter.overflowed).toBe(0)
  })
})

describe('a histogram', () => {
  const bounds = [0.1, 1, 10]

  it('counts like a naive one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(0, 0.1, 1, 10), fc.double({ min: 0, max: 100, noNaN: true }))),
        (values) => {
          const histogram = new Histogram(bounds)
          for (const value of values) histogram.observe(value)
          const shown = histogram.samples('x_seconds', { leg: 'device' }).map(({ value }) => value)
          const naive = [...bounds, Infinity].map((bound) => values.filter((value) => value <= bound).length)
          expect(shown.slice(0, 4)).toEqual(naive)
          expect(shown[4]).toBeCloseTo(values.reduce((sum, value) => sum + value, 0))
          expect(shown[5]).toBe(values.length)
        },
      ),
    )
  })

  it('takes a clock that went backwards, or none, for no time at all', () => {
    const histogram = new Histogram(bounds)
    histogram.observe(-1)
    histogram.observe(Number.NaN)
    expect(histogram.samples('x', {}).map(({ value }) => value)).toEqual([2, 2, 2, 2, 0, 2])
  })
})
