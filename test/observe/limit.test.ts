// The line limiter: long-run rate, burst, honest counts, and no way around it by inventing kinds.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineLimiter } from '../../src/observe/limit.ts'

describe('a line limiter', () => {
  it('lets a burst through, then counts, then says how many are missing', () => {
    let now = 0
    const limiter = new LineLimiter({ clock: () => now, rate: 1, burst: 2 })
    expect([1, 2, 3, 4, 5].map(() => limiter.admit('http'))).toEqual([0, 0, undefined, undefined, undefined])
    expect(limiter.admit('ssh')).toBe(0)
    now = 1000
    expect(limiter.admit('http')).toBe(3)
    expect(limiter.admit('http')).toBeUndefined()
    now = 3000
    expect(limiter.admit('http')).toBe(1)
    expect(limiter.admit('http')).toBe(0)
  })

  it('shares one bucket among the kinds beyond its limit', () => {
    const limiter = new LineLimiter({ clock: () => 0, rate: 1, burst: 2, keys: 3 })
    const admitted = Array.from({ length: 100 }, (_, kind) => limiter.admit(`kind-${kind}`))
    expect(admitted.filter((line) => line !== undefined)).toHaveLength(3 + 2)
  })

  it('gives the place of a kind that fell silent to a new one, and its count is still told', () => {
    let now = 0
    const limiter = new LineLimiter({ clock: () => now, rate: 1, burst: 1, keys: 1 })
    limiter.admit('old')
    limiter.admit('old')
    now = 1000
    expect(limiter.admit('new')).toBe(0)
    expect(limiter.admit('another')).toBe(1)
  })

  it('never exceeds burst and rate over all kinds, and accounts for every line, whatever comes', () => {
    const step = fc.record({
      kind: fc.integer({ min: 0, max: 20 }),
      wait: fc.constantFrom(0, 0, 0, 10, 500, -50),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let now = 0
        let elapsed = 0
        const options = { rate: 2, burst: 3, keys: 4 }
        const limiter = new LineLimiter({ clock: () => now, ...options })
        let admitted = 0
        let left = 0
        let told = 0
        for (const { kind, wait } of steps) {
          now += wait
          elapsed += Math.abs(wait)
          const line = limiter.admit(String(kind))
          if (line === undefined) left += 1
          else {
            admitted += 1
            told += line
          }
        }
        // Four buckets and the shared one; a full bucket that was evicted had refilled first.
        expect(admitted).toBeLessThanOrEqual(
          (options.keys + 1) * (options.burst + (options.rate * elapsed) / 1000),
        )
        expect(told).toBeLessThanOrEqual(left)
      }),
    )
  })
})
