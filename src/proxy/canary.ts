// Looks after readiness: tries every upstream at start, again while none of its servers is trusted, and when one hung up.

import type { Upstream } from './upstream.ts'

const firstDelay = 1000
const longestDelay = 30_000

/** Sessions report what they meet themselves; this only asks where nobody else does. */
export class Canary implements Disposable {
  readonly #upstreams: () => Iterable<Upstream>
  readonly #delays = new WeakMap<Upstream, number>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #watched = new WeakSet<Upstream>()
  readonly #stopping = new AbortController()

  constructor(upstreams: () => Iterable<Upstream>) {
    this.#upstreams = upstreams
  }

  /** Probes every upstream that is new, once; resolves when each has answered or failed. */
  async look(): Promise<void> {
    await Promise.all(
      [...this.#upstreams()].map(async (upstream) => {
        if (this.#watched.has(upstream)) return
        this.#watched.add(upstream)
        await this.#probe(upstream)
      }),
    )
  }

  [Symbol.dispose](): void {
    this.#stopping.abort()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  async #probe(upstream: Upstream): Promise<void> {
    const { signal } = this.#stopping
    if (!upstream.trusted || upstream.doubted) await upstream.probe(signal)
    if (signal.aborted || ![...this.#upstreams()].includes(upstream)) return
    const delay = upstream.trusted ? firstDelay : (this.#delays.get(upstream) ?? firstDelay)
    this.#delays.set(upstream, Math.min(delay * 2, longestDelay))
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#probe(upstream)
    }, delay).unref()
    this.#timers.add(timer)
  }
}
