// What the benchmark reads from /proc.
import { describe, expect, test } from 'vitest'
import { cpuBetween, parseCore, parseRollup, parseSchedstat, parseStat } from '../../bench/proc.ts'

const TICK = 10_000_000

describe('parsing', () => {
  test('a process whose name holds brackets and spaces', () => {
    const stat = '77 (we) ird (x) S 12 77 77 0 -1 4194304 5 0 0 0 19 21 3 4 20 0 2 0 203696 1031471104 3214'
    expect(parseStat(stat)).toEqual({ parent: 12, ticks: 40 })
  })

  test('time on a core, not time waiting for one', () => {
    expect(parseSchedstat('20501840 8795106 47\n')).toBe(20_501_840)
  })

  test('memory, in bytes', () => {
    const rollup = 'Rss:                1616 kB\nPss:                 406 kB\nPss_Dirty:           112 kB\n'
    expect(parseRollup(rollup)).toEqual({ rss: 1616 * 1024, pss: 406 * 1024 })
  })

  test('one core: idle and waiting for a disk are not work, stolen time is apart', () => {
    const stat = 'cpu  1 2 3 4\ncpu1 9 9 9 9\ncpu10 5 5 5 5\ncpu0 100 1 20 5000 87 3 4 6 0 0\nintr 5\n'
    expect(parseCore(stat, 0)).toEqual({ busy: 128 * TICK, stolen: 6 * TICK })
    expect(parseCore(stat, 2)).toBeUndefined()
  })
})

describe('cpuBetween', () => {
  const start = { living: 500, ever: 7 * TICK }

  test('is exact while no thread ends', () => {
    expect(cpuBetween(start, { living: 500 + 33_333_333, ever: 9 * TICK })).toBe(33_333_333)
  })

  test('falls back to the coarse count when threads took theirs along', () => {
    expect(cpuBetween(start, { living: 500, ever: 107 * TICK })).toBe(100 * TICK)
    expect(cpuBetween(start, { living: 0, ever: 107 * TICK })).toBe(100 * TICK)
  })
})
