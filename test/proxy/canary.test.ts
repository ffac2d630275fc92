// Who asks after the brokers while no device does.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Canary } from '../../src/proxy/canary.ts'
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
  const began = Date.now()
  let signal: AbortSignal | undefined
  const fake = {
    trusted,
    async probe(given: AbortSignal): Promise<void> {
      signal = given
      probes.push((Date.now() - began) / 1000)
    },
  }
  return { fake, probes, signal: () => signal, upstream: fake as unknown as Upstream }
}

test('asks at once, then ever less often, twice a minute at the least', async () => {
  const one = upstream()
  using canary = new Canary(() => [one.upstream])
  await canary.look()
  expect(one.probes).toEqual([0])
  await vi.advanceTimersByTimeAsync(125_000)
  expect(one.probes).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121])
})

test('leaves a trusted upstream alone, and begins anew when trust is lost', async () => {
  const one = upstream()
  using canary = new Canary(() => [one.upstream])
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

test('a second look asks only after upstreams that are new', async () => {
  const [one, two] = [upstream(true), upstream()]
  const all = [one.upstream]
  using canary = new Canary(() => all)
  await canary.look()
  all.push(two.upstream)
  await Promise.all([canary.look(), canary.look()])
  expect(one.probes).toEqual([])
  expect(two.probes).toEqual([0])
  expect(vi.getTimerCount()).toBe(2)
})

test('forgets an upstream that a reload removed', async () => {
  const one = upstream()
  let all = [one.upstream]
  using canary = new Canary(() => all)
  await canary.look()
  all = []
  await vi.advanceTimersByTimeAsync(60_000)
  expect(one.probes).toEqual([0, 1])
  expect(vi.getTimerCount()).toBe(0)
})

test('its end cancels what is under way, and leaves no timer', async () => {
  const slow = Promise.withResolvers<void>()
  const [one, two] = [upstream(), upstream()]
  two.fake.probe = async () => await slow.promise
  const canary = new Canary(() => [one.upstream, two.upstream])
  const looked = canary.look()
  await vi.advanceTimersByTimeAsync(10)
  expect(one.signal()?.aborted).toBe(false)
  canary[Symbol.dispose]()
  expect(one.signal()?.aborted).toBe(true)
  slow.resolve()
  await looked
  await vi.advanceTimersByTimeAsync(60_000)
  expect(one.probes).toEqual([0])
  expect(vi.getTimerCount()).toBe(0)
})
