// Who asks after the brokers while no device does.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Canary, type CanaryOptions } from '../../src/proxy/canary.ts'
import type { Upstream } from '../../src/proxy/upstream.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** An upstream whose servers are trusted when the test says so, and when it was probed. */
function upstream(trusted = false) {
  const probes: number[] = []
  const began = performance.now()
  let signal: AbortSignal | undefined
  const one = {
    /** What a probe waits for. */
    hold: Promise.resolve(),
    probes,
    signal: () => signal,
  }
  const fake = {
    trusted,
    doubted: false,
    async probe(given: AbortSignal): Promise<void> {
      signal = given
      probes.push(Math.round(performance.now() - began) / 1000)
      await one.hold
    },
  }
  return Object.assign(one, { fake, upstream: fake as unknown as Upstream })
}

/** Without intervals and jitter, unless told otherwise. */
function canaryOf(upstreams: () => Iterable<Upstream>, options: Partial<CanaryOptions> = {}): Canary {
  return new Canary(upstreams, { interval: () => undefined, random: () => 0.5, ...options })
}

test('asks at once, then ever less often, twice a minute at the least', async () => {
  const one = upstream()
  using canary = canaryOf(() => [one.upstream])
  await canary.look()
  expect(one.probes).toEqual([0])
  await vi.advanceTimersByTimeAsync(125_000)
  expect(one.probes).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121])
})

test('without an interval it leaves a trusted upstream alone, and begins anew when trust is lost', async () => {
  const one = upstream()
  using canary = canaryOf(() => [one.upstream])
  await canary.look()
  await vi.advanceTimersByTimeAsync(3000)
  expect(one.probes).toEqual([0, 1, 3])
  one.fake.trusted = true
  await vi.advanceTimersByTimeAsync(60_000)
  expect(one.probes).toEqual([0, 1, 3])
  one.fake.trusted = false
  await vi.advanceTimersByTimeAsync(3500)
  const since = one.probes.slice(3)
  expect(since).toHaveLength(2)
  expect(since[1]! - since[0]!).toBe(2)
})

test('asks at start and at every interval, however much it is trusted', async () => {
  const one = upstream(true)
  using canary = canaryOf(() => [one.upstream], { interval: () => 300_000 })
  await canary.look()
  await vi.advanceTimersByTimeAsync(900_000)
  expect(one.probes).toEqual([0, 300, 600, 900])
})

test('no two intervals are quite the same, and none is a tenth off', async () => {
  const one = upstream(true)
  const random = vi.fn<() => number>().mockReturnValueOnce(0).mockReturnValueOnce(0.9999)
  using canary = canaryOf(() => [one.upstream], { interval: () => 100_000, random })
  await canary.look()
  await vi.advanceTimersByTimeAsync(200_000)
  expect(one.probes).toEqual([0, 90, 200])
})

test('a new interval counts at once, without another upstream', async () => {
  const one = upstream(true)
  let interval: number | undefined
  using canary = canaryOf(() => [one.upstream], { interval: () => interval })
  await canary.look()
  await vi.advanceTimersByTimeAsync(50_000)
  expect(one.probes).toEqual([0])
  interval = 60_000
  await canary.look()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(one.probes).toEqual([0, 60])
})

test('a server that hung up on a session is looked at before the interval', async () => {
  const one = upstream(true)
  using canary = canaryOf(() => [one.upstream], { interval: () => 300_000 })
  await canary.look()
  one.fake.doubted = true
  await vi.advanceTimersByTimeAsync(1000)
  one.fake.doubted = false
  await vi.advanceTimersByTimeAsync(5000)
  expect(one.probes).toEqual([0, 1])
})

test('a second look asks only after upstreams that are new', async () => {
  const [one, two] = [upstream(true), upstream()]
  const all = [one.upstream]
  using canary = canaryOf(() => all)
  await canary.look()
  all.push(two.upstream)
  await Promise.all([canary.look(), canary.look()])
  expect(one.probes).toEqual([0])
  expect(two.probes).toEqual([0])
  expect(vi.getTimerCount()).toBe(2)
})

test('forgets an upstream that a reload removed, and breaks off what it was doing there', async () => {
  const one = upstream()
  const slow = Promise.withResolvers<void>()
  let all = [one.upstream]
  using canary = canaryOf(() => all)
  await canary.look()
  one.hold = slow.promise
  await vi.advanceTimersByTimeAsync(1000)
  expect(one.probes).toEqual([0, 1])
  all = []
  await canary.look()
  expect(one.signal()?.aborted).toBe(true)
  slow.resolve()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(one.probes).toEqual([0, 1])
  expect(vi.getTimerCount()).toBe(0)
})

test('its end cancels what is under way, and leaves no timer', async () => {
  const slow = Promise.withResolvers<void>()
  const [one, two] = [upstream(), upstream()]
  two.fake.probe = async () => await slow.promise
  const canary = canaryOf(() => [one.upstream, two.upstream])
  const looked = canary.look()
  await vi.advanceTimersByTimeAsync(10)
  expect(one.signal()?.aborted).toBe(false)
  canary[Symbol.dispose]()
  expect(one.signal()?.aborted).toBe(true)
  slow.resolve()
  await looked
  await canary.look()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(one.probes).toEqual([0])
  expect(vi.getTimerCount()).toBe(0)
})
