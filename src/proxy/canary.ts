// Looks after the brokers while no device does: every server at start and at intervals, sooner where trust is lost.

import type { Upstream } from './upstream.ts'

const firstDelay = 1000
const longestDelay = 30_000
/** Several proxies that started together must not go on asking together. */
const jitter = 0.1

export interface CanaryOptions {
  /** Milliseconds between two rounds of an upstream that is in order; undefined for no rounds at intervals. */
  readonly interval: (upstream: Upstream) => number | undefined
  /** From 0 up to 1. */
  readonly random?: () => number
}

/** How one upstream is looked after. */
interface Watch {
  readonly leaving: AbortController
  timer: NodeJS.Timeout | undefined
  /** Until the next look while no server is trusted. */
  delay: number
  /** Milliseconds, monotonic; when its last round began, and by how much the interval is longer or shorter this time. */
  roundAt: number
  stretch: number
}

/** Sessions report what they meet themselves; this asks where nobody else does. */
export class Canary implements Disposable {
  readonly #upstreams: () => Iterable<Upstream>
  readonly #interval: CanaryOptions['interval']
  readonly #random: () => number
  readonly #watches = new Map<Upstream, Watch>()
  #stopped = false

  constructor(upstreams: () => Iterable<Upstream>, { interval, random = Math.random }: CanaryOptions) {
    this.#upstreams = upstreams
    this.#interval = interval
    this.#random = random
  }

  /** Probes every upstream that is new, once; resolves when each has answered or failed. Lets go of those that left. */
  async look(): Promise<void> {
    if (this.#stopped) return
    const current = new Set(this.#upstreams())
    for (const upstream of this.#watches.keys()) if (!current.has(upstream)) this.#leave(upstream)
    await Promise.all(
      [...current].map(async (upstream) => {
        if (this.#watches.has(upstream)) return
        const leaving = new AbortController()
        const watch = { leaving, timer: undefined, delay: firstDelay, roundAt: -Infinity, stretch: 1 }
        this.#watches.set(upstream, watch)
        await this.#probe(upstream, watch)
        this.#goOn(upstream, watch)
      }),
    )
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    for (const upstream of this.#watches.keys()) this.#leave(upstream)
  }

  #leave(upstream: Upstream): void {
    const watch = this.#watches.get(upstream)
    this.#watches.delete(upstream)
    clearTimeout(watch?.timer)
    watch?.leaving.abort()
  }

  async #probe(upstream: Upstream, watch: Watch): Promise<void> {
    watch.roundAt = performance.now()
    watch.stretch = 1 + jitter * (2 * this.#random() - 1)
    await upstream.probe(watch.leaving.signal)
  }

  #goOn(upstream: Upstream, watch: Watch): void {
    if (watch.leaving.signal.aborted) return
    if (![...this.#upstreams()].includes(upstream)) {
      this.#leave(upstream)
      return
    }
    const delay = upstream.trusted ? firstDelay : watch.delay
    watch.delay = Math.min(delay * 2, longestDelay)
    watch.timer = setTimeout(() => void this.#visit(upstream, watch), delay).unref()
  }

  async #visit(upstream: Upstream, watch: Watch): Promise<void> {
    if (!upstream.trusted || upstream.doubted || this.#isDue(upstream, watch)) {
      await this.#probe(upstream, watch)
    }
    this.#goOn(upstream, watch)
  }

  /** Asked each time: a reload that changes no more than the interval keeps the upstream. */
  #isDue(upstream: Upstream, { roundAt, stretch }: Watch): boolean {
    const interval = this.#interval(upstream)
    return interval !== undefined && performance.now() - roundAt >= interval * stretch
  }
}
