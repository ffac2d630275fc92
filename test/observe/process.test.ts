// The process as metrics see it: plausible readings, and lag windows two scrapers can share.
import { open } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { LoopLag, readUsage } from '../../src/observe/process.ts'

describe('usage', () => {
  it('is plausible', async () => {
    const usage = await readUsage()
    expect(usage.cpuSeconds).toBeGreaterThan(0)
    expect(usage.residentBytes).toBeGreaterThan(usage.heapUsedBytes)
    expect(usage.heapTotalBytes).toBeGreaterThan(0)
  })

  it.skipIf(!existsSync('/proc/self/fd'))('counts open descriptors', async () => {
    const before = await readUsage()
    const handles = await Promise.all(Array.from({ length: 50 }, () => open('/dev/null')))
    const during = await readUsage()
    await Promise.all(handles.map((handle) => handle.close()))
    // Other descriptors of the test runner come and go meanwhile.
    expect((during.openFiles ?? 0) - (before.openFiles ?? 0)).toBeGreaterThan(30)
    expect(during.maxFiles).toBeGreaterThan(during.openFiles ?? Infinity)
  })
})

describe('event-loop lag', () => {
  it('sees a loop that was blocked, keeps the figure for scrapes close by, then forgets it', async () => {
    let now = 0
    using lag = new LoopLag(() => now)
    await delay(60)
    const until = performance.now() + 200
    while (performance.now() < until);
    await delay(60)
    const first = lag.read()
    expect(first.max).toBeGreaterThan(0.1)
    expect(first.p50).toBeLessThanOrEqual(first.p99)
    expect(first.p99).toBeLessThanOrEqual(first.max + 1e-3)
    now = 1000
    expect(lag.read()).toBe(first)
    now = 5000
    expect(lag.read()).not.toBe(first)
  })
})
