// Holds servers to what they showed before, learns from those that are trusted, and tells of each change once.

import type { UpstreamPlan } from '../config/snapshot.ts'
import type { Level, Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { compare, gravityOf, leastLink, weakerThan, weightOf } from '../tls/drift.ts'
import type { Drift, Gravity, Least, TimeName } from '../tls/drift.ts'
import { shownBy } from '../tls/chain-traits.ts'
import { offeredGroups } from '../tls/groups.ts'
import { adaptTo, learn, linkOf } from '../tls/profile.ts'
import type { Profile, Showing } from '../tls/profile.ts'
import type { ProfileBook } from '../tls/profile-book.ts'
import { RoundTrips } from '../tls/rtt.ts'
import type { Verdict } from '../tls/verdict.ts'
import type { Judged } from './meeting.ts'

export type ProfilePlan = Pick<UpstreamPlan, 'name' | 'plaintext' | 'profile' | 'trust'>

interface ProfileDeps {
  readonly metrics: Metrics
  readonly limited: Limited
  /** Without it, nothing is learnt. */
  readonly profiles?: ProfileBook
}

/** What this process knows of a server beside its profile. */
interface Watched {
  readonly times: Readonly<Record<TimeName, RoundTrips>>
  /** Drifts of the last hour: what comes together weighs together. */
  recent: (Drift & { readonly at: number })[]
  /** What was told of being weaker, which is not learnt and would be told again. */
  readonly told: Set<string>
  /** What the server is held to, as last told. */
  held: string
}

/** Milliseconds within which drifts belong together. */
const together = 3_600_000
const mostRecent = 32

const levels: Readonly<Record<Gravity, Level>> = {
  info: 'info',
  notice: 'info',
  warning: 'warn',
  critical: 'error',
}

export class ProfileWatch {
  readonly #plan: ProfilePlan
  readonly #deps: ProfileDeps
  /** The groups we offer. */
  readonly #offer: string
  readonly #servers = new Map<string, Watched>()
  /** What a chain shows, read once: handshakes are many and chains are few. */
  readonly #chains = new WeakMap<Verdict['path'], Showing>()

  constructor(plan: ProfilePlan, deps: ProfileDeps) {
    this.#plan = plan
    this.#deps = deps
    this.#offer = offeredGroups(plan.trust.postQuantum)
  }

  /** What a server was never seen below; undefined where that is not known or not enforced. */
  least(server: string): Least | undefined {
    const { name, profile } = this.#plan
    if (profile.mode !== 'enforce') return undefined
    const known = this.#deps.profiles?.find(name, server)
    return known === undefined ? undefined : this.#leastOf(known)
  }

  /** A handshake with a server was trusted. */
  trusted(server: string, { facts, verdict, seconds, course: { connectTime } }: Judged): void {
    const { at, resumed } = facts
    // Whom its pins speak against teaches nothing.
    const profile = verdict.reported === undefined ? this.#profileOf(server, at) : undefined
    if (profile === undefined) return
    const watched = this.#watchedOf(server)
    // Resuming is quicker than a whole handshake, and says nothing of how long one takes.
    const drifts = this.#times(watched, profile, {
      'connect-time': connectTime,
      'handshake-time': resumed ? undefined : seconds * 1000,
    })
    if (this.#plan.profile.mode === 'report') drifts.push(...this.#weaker(watched, profile, facts))
    // A resumed session repeats what its first handshake showed, and leaves the rest out.
    if (!resumed) {
      const showing = { ...linkOf(facts), ...this.#chainOf(verdict.path, facts) }
      drifts.push(...this.#learn(server, profile, showing, at))
    }
    if (drifts.length > 0) this.#tell(server, watched, drifts, at)
  }

  /** A server that was trusted answered a CONNECT. */
  answered(server: string, showing: Showing, at: number): void {
    const profile = this.#profileOf(server, at)
    if (profile === undefined) return
    const drifts = this.#learn(server, profile, showing, at)
    if (drifts.length > 0) this.#tell(server, this.#watchedOf(server), drifts, at)
  }

  #leastOf(profile: Profile): Least | undefined {
    if (adaptTo(profile, this.#offer)) this.#deps.profiles?.changed(true)
    return leastLink(profile, this.#plan.profile.settle)
  }

  #profileOf(server: string, at: number): Profile | undefined {
    const { name, plaintext, profile } = this.#plan
    // Without TLS there is no telling who it is that is learnt of.
    if (profile.mode === 'off' || plaintext) return undefined
    return this.#deps.profiles?.begin(name, server, at, this.#offer)
  }

  #watchedOf(server: string): Watched {
    let watched = this.#servers.get(server)
    if (watched === undefined) {
      const times = { 'connect-time': new RoundTrips(), 'handshake-time': new RoundTrips() }
      watched = { times, recent: [], told: new Set(), held: '' }
      this.#servers.set(server, watched)
    }
    return watched
  }

  #learn(server: string, profile: Profile, showing: Showing, at: number): Drift[] {
    const { settle } = this.#plan.profile
    adaptTo(profile, this.#offer)
    const drifts = compare(profile, showing, settle)
    const isNews = learn(profile, showing, at, settle)
    this.#deps.profiles?.changed(isNews)
    if (isNews) this.#announce(server, profile)
    return drifts
  }

  /** From when on a server is held to something, and to what: said when that changes. */
  #announce(server: string, profile: Profile): void {
    const {
      name,
      profile: { mode, settle },
    } = this.#plan
    const watched = this.#watchedOf(server)
    const held = Object.values(leastLink(profile, settle) ?? {}).join(', ')
    if (mode !== 'enforce' || held === watched.held) return
    watched.held = held
    const fields = { upstream: name, server, held }
    this.#deps.limited('info', `${server} held`, fields, 'a broker is held to what it showed')
  }

  #weaker(watched: Watched, profile: Profile, facts: Judged['facts']): Drift[] {
    const least = this.#leastOf(profile)
    if (least === undefined) return []
    return weakerThan(least, facts).filter(({ what, after }) => {
      const key = `${what} ${after}`
      const isNews = !watched.told.has(key)
      watched.told.add(key)
      return isNews
    })
  }

  #times(
    { times }: Watched,
    { floors }: Profile,
    taken: Readonly<Record<TimeName, number | undefined>>,
  ): Drift[] {
    const drifts: Drift[] = []
    for (const [what, floor] of [
      ['connect-time', 'connect'],
      ['handshake-time', 'handshake'],
    ] as const) {
      const before = floors[floor]
      const time = taken[what]
      const seen = time === undefined ? undefined : times[what].take(time, before)
      if (seen === undefined) continue
      floors[floor] = seen.floor
      if (seen.jumped) drifts.push({ what, before: `${before} ms`, after: `${seen.floor} ms`, weight: 1 })
    }
    return drifts
  }

  #chainOf(path: Verdict['path'], facts: Judged['facts']): Showing {
    const known = this.#chains.get(path)
    if (known !== undefined) return known
    const showing = shownBy(facts.served, path)
    this.#chains.set(path, showing)
    return showing
  }

  #tell(server: string, watched: Watched, drifts: readonly Drift[], at: number): void {
    const { metrics, limited } = this.#deps
    const recent = watched.recent.filter((one) => at - one.at < together)
    watched.recent = [...recent, ...drifts.map((drift) => ({ ...drift, at }))].slice(-mostRecent)
    const severity = gravityOf(watched.recent)
    for (const _ of drifts) metrics.found('broker-drift', severity, 'report')
    const fields = { upstream: this.#plan.name, server, severity, weight: weightOf(watched.recent), drifts }
    const kind = `${server} drift ${drifts.map(({ what }) => what).join()}`
    limited(levels[severity], kind, fields, 'a broker is not as it was')
  }
}
