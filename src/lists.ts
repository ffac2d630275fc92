// Revocation lists of the app: what proxy.yaml names, kept fresh, counted, and told of before it ends.

import type { Config } from './config/schema.ts'
import { readBounded } from './config/files.ts'
import type { Limited, Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Upstream } from './proxy/upstream.ts'
import { ListReminders } from './tls/crl-ends.ts'
import { CrlKeeper } from './tls/crl-keeper.ts'
import type { Use } from './tls/crl-keeper.ts'
import type { CrlSource } from './tls/crl-source.ts'

interface ListsDeps {
  readonly log: Log
  readonly limited: Limited
  readonly metrics: Metrics
}

/** Lists that are read and not in force yet. */
export interface PreparedLists {
  readonly listsOf: (place: string) => CrlSource
  /** Waits, though not for long, for lists that were never fetched. */
  readonly fill: (upstreams: ReadonlyMap<string, Upstream>) => Promise<void>
  readonly commit: (upstreams: ReadonlyMap<string, Upstream>) => void
}

export class Lists implements Disposable {
  readonly #keeper: CrlKeeper
  readonly #limited: Limited
  readonly #reminders = new ListReminders()
  #upstreams: ReadonlyMap<string, Upstream> = new Map()

  constructor({ log, limited, metrics }: ListsDeps) {
    this.#limited = limited
    this.#keeper = new CrlKeeper({
      read: readBounded,
      log: (level, fields, message) => log[level]({ ...fields }, message),
      onFetched: (succeeded) => metrics.listFetched(succeeded),
      onChanged: (source) => this.#changed(source),
    })
  }

  /** @throws {PulsewardError} where a file cannot be used. */
  async prepare({ upstreams, state }: Config): Promise<PreparedLists> {
    const places = Object.values(upstreams).flatMap(({ tls }) => tls.revocation.crl)
    const { sourceOf, fill, commit } = await this.#keeper.prepare(places, state)
    const usesOf = (used: ReadonlyMap<string, Upstream>): Use[] =>
      Array.from(used).flatMap(([name, { plan }]) => {
        const refresh = upstreams[name]?.tls.revocation.refresh ?? Infinity
        const { anchors, revocation } = plan.trust
        return (revocation?.lists.sources ?? []).map((source) => ({ source, anchors, refresh }))
      })
    return {
      listsOf: sourceOf,
      fill: async (used) => await fill(usesOf(used)),
      commit: (used) => {
        this.#upstreams = used
        commit(usesOf(used))
        this.remind(Date.now())
      },
    }
  }

  /** Whether a broker that is trusted still would be: the canary finds out before a device does. */
  #changed(source: CrlSource): void {
    for (const upstream of this.#upstreams.values()) {
      if (upstream.plan.trust.revocation?.lists.sources.includes(source)) upstream.doubt()
    }
    this.remind(Date.now())
  }

  /** Says which lists end soon, and which have ended, where that was not said today. */
  remind(now: number): void {
    for (const { ended, ...fields } of this.#reminders.due(this.#keeper.sources, now)) {
      const message = ended ? 'a revocation list has ended' : 'a revocation list ends soon'
      this.#limited(ended ? 'error' : 'warn', `${message} ${fields.crl}`, fields, message)
    }
  }

  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]()
  }
}
