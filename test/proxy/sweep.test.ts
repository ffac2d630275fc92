// One timer for all deadlines.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Sweep } from '../../src/proxy/sweep.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('looks at every member four times a second, at the time of its clock', () => {
  let time = 100
  using sweep = new Sweep(() => time)
  const seen: number[] = []
  sweep.add({ sweep: (now) => seen.push(now) })
  for (time of [350, 600]) vi.advanceTimersByTime(250)
  expect(seen).toEqual([350, 600])
  expect(sweep.now).toBe(600)
  expect(vi.getTimerCount()).toBe(1)
})

test('brings its time up to date for a newcomer, so that no deadline begins in the past', () => {
  let time = 0
  using sweep = new Sweep(() => time)
  time = 249
  expect(sweep.now).toBe(0)
  sweep.add({ sweep: () => {} })
  expect(sweep.now).toBe(249)
})

test('members may leave, and others come, while it looks', () => {
  using sweep = new Sweep(() => 0)
  const seen: string[] = []
  const member = (name: string, act = () => {}) => ({
    sweep() {
      seen.push(name)
      act()
    },
  })
  const last = member('last')
  const first = member('first', () => {
    sweep.delete(first)
    sweep.delete(last)
    sweep.add(member('new'))
  })
  sweep.add(first)
  sweep.add(member('second'))
  sweep.add(last)
  sweep.tick()
  sweep.tick()
  expect(seen).toEqual(['first', 'second', 'new', 'second', 'new'])
})

test('looks no more when it is over', () => {
  const look = vi.fn<(now: number) => void>()
  const sweep = new Sweep()
  sweep.add({ sweep: look })
  sweep[Symbol.dispose]()
  vi.advanceTimersByTime(10_000)
  expect(look).not.toHaveBeenCalled()
  expect(vi.getTimerCount()).toBe(0)
})

test('has a monotonic clock of its own', () => {
  using sweep = new Sweep()
  const before = sweep.now
  vi.advanceTimersByTime(500)
  expect(sweep.now - before).toBe(500)
})
