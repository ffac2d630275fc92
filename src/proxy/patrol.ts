// What the canary finds out about the servers of one upstream: kept by address, counted, and told where it changed.

import { messageOf } from '../errors.ts'
import type { Lookup } from '../net/resolve.ts'
import type { Level, Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Verdict } from '../tls/verdict.ts'
import { lineOf, lineOfVerdict, type Account, type Line } from './account.ts'
import type { Failed, Judged, MeetingPlan, Outcome } from './meeting.ts'
import { round } from './round.ts'
import { isTrusted, judged, notReached, reasonsOf, summarise, unchecked } from './server.ts'
import type { AddressState, Server } from './server.ts'

interface PatrolDeps {
  readonly metrics: Metrics
  readonly limited: Limited
  /** Milliseconds, monotonic. */
  readonly clock: () => number
  readonly lookup: Lookup
  readonly account: Account
}

/** A server that did not answer is tried after the others for this long, so that a dead first one delays nobody. */
export const downTime = 5000

export class Patrol {
  readonly #plan: MeetingPlan
  readonly #deps: PatrolDeps
  /** The addresses that are suspect while others are trusted, as last told. */
  readonly #split = new WeakMap<Server, ReadonlySet<string>>()

  readonly #nameless = new WeakSet<Server>()

  constructor(plan: MeetingPlan, deps: PatrolDeps) {
    this.#plan = plan
    this.#deps = deps
  }

  /** One handshake with every address of these servers; no MQTT is spoken, and no ticket is used. Never rejects. */
  async round(servers: readonly Server[], signal: AbortSignal): Promise<void> {
    await round(this.#plan, servers, {
      lookup: this.#deps.lookup,
      signal,
      onAddresses: (server, addresses, omitted) => this.#adopt(server, addresses, omitted),
      onUnresolved: (server, outcome) => this.#unresolved(server, outcome),
      onOutcome: (server, address, outcome) => this.#settle(server, address, outcome),
      onDone: (server) => this.#conclude(server),
    })
  }

  /** A session's own handshake with a server: how the server stands by it, and the address that answered. */
  met(server: Server, { address, verdict, facts: { at } }: Judged): void {
    const before = server.addresses.find((one) => one.address === address)
    server.checkedAt = at
    if (isSettled(server, before, verdict)) {
      if (before !== undefined) before.checkedAt = at
      return
    }
    server.verdict = verdict.verdict
    server.reasons = reasonsOf(verdict)
    if (before === undefined) return
    // A session that was refused is told of by itself.
    if (verdict.verdict === 'trusted' && !isTrusted(before))
      this.#tell(server, address, lineOfVerdict(verdict))
    this.#keep(server, judged(address, verdict, at))
    if (verdict.verdict === 'trusted') summarise(server)
  }

  #adopt(server: Server, addresses: readonly string[], omitted: number): void {
    const known = new Map(server.addresses.map((state) => [state.address, state]))
    server.addresses = addresses.map((address) => known.get(address) ?? unchecked(address))
    this.#expose(server)
    if (this.#nameless.delete(server)) {
      this.#log('info', server, 'resolves', { addresses }, 'the name of a broker resolves again')
    }
    if (omitted === 0) return
    const fields = { ...this.#named(server), looked: addresses.length, omitted }
    const message = 'a broker has more addresses than are looked after'
    if (addresses.some((address) => !known.has(address)))
      this.#deps.limited('warn', server.server, fields, message)
  }

  #unresolved(server: Server, outcome: Failed): void {
    const { reason, hint } = outcome
    if (reason === 'cancelled') return
    const isNews = !this.#nameless.has(server) || server.verdict !== reason
    this.#nameless.add(server)
    server.checkedAt = Date.now()
    server.verdict = reason
    server.reasons = [hint]
    this.#rest(server)
    this.#deps.account.enter(server.server, outcome)
    const { level, fields, message } = lineOf(outcome)
    if (isNews) this.#log(level, server, reason, fields, message)
  }

  #settle(server: Server, address: string, outcome: Outcome): void {
    this.#deps.account.enter(server.server, outcome)
    const before = server.addresses.find((one) => one.address === address)
    const after = standingOf(address, outcome)
    if (before === undefined || after === undefined) return
    this.#keep(server, after)
    summarise(server)
    const isNews = before.verdict !== after.verdict || before.causes.join() !== after.causes.join()
    if (isNews) this.#tell(server, address, lineOf(outcome))
  }

  #keep(server: Server, state: AddressState): void {
    server.addresses = server.addresses.map((one) => (one.address === state.address ? state : one))
    this.#expose(server)
  }

  #expose(server: Server): void {
    this.#deps.metrics.addresses(this.#plan.name, server.server, server.addresses)
  }

  /** All addresses were asked: what does that mean for sessions? */
  #conclude(server: Server): void {
    const { clock, metrics } = this.#deps
    const { addresses } = server
    const suspects = addresses.filter(({ suspect }) => suspect)
    if (addresses.some(isTrusted)) {
      server.downUntil = 0
      // A suspect that was asked last must not hide that the server can be used.
      if (suspects.length > 0) metrics.usable(this.#plan.name, server.server)
    } else if (suspects.length > 0) {
      server.distrustedUntil = clock() + this.#plan.timeouts.distrust
      server.tickets.drop()
    } else this.#rest(server)
    this.#accuse(server, addresses.some(isTrusted) ? suspects : [])
  }

  /** Somebody else answers at one of several addresses: nobody but the canary would ever say so. */
  #accuse(server: Server, suspects: readonly AddressState[]): void {
    const told = this.#split.get(server)
    this.#split.set(server, new Set(suspects.map(keyOf)))
    const trusted = server.addresses.filter(isTrusted).map(({ address }) => address)
    for (const suspect of suspects.filter((one) => told?.has(keyOf(one)) !== true)) {
      const { address, verdict, causes, reasons } = suspect
      this.#deps.metrics.found('broker-address', 'critical', 'report')
      const fields = { address, verdict, causes, reasons, trusted }
      const message = 'an address of a broker is not trusted while others are'
      this.#log('error', server, `split ${address} ${verdict}`, fields, message)
    }
  }

  /** Sessions try it last for a while; a ticket that the broker may no longer know must not fail the next attempt. */
  #rest(server: Server): void {
    server.downUntil = this.#deps.clock() + downTime
    server.tickets.drop()
  }

  #tell(server: Server, address: string, { level, kind, fields, message }: Line): void {
    this.#log(level, server, `${address} ${kind}`, { address, ...fields }, message)
  }

  #log(level: Level, server: Server, kind: string, fields: object, message: string): void {
    this.#deps.limited(level, `${server.server} ${kind}`, { ...this.#named(server), ...fields }, message)
  }

  #named({ server }: Server): { readonly upstream: string; readonly server: string } {
    return { upstream: this.#plan.name, server }
  }
}

/** How an address stands after a probe; undefined where the probe was given up. */
function standingOf(address: string, outcome: Outcome): AddressState | undefined {
  if (outcome.kind === 'judged') return judged(address, outcome.verdict, outcome.facts.at)
  if (outcome.kind === 'failed') {
    return outcome.reason === 'cancelled' ? undefined : notReached(address, outcome, Date.now())
  }
  const reasons = [messageOf(outcome.error)]
  return { address, verdict: 'unjudged', causes: [], reasons, checkedAt: Date.now(), suspect: true }
}

/** Whether a handshake says nothing that was not known: the ordinary case, and there is one for every session. */
function isSettled(
  server: Server,
  before: AddressState | undefined,
  { verdict, reported }: Verdict,
): boolean {
  if (verdict !== 'trusted' || reported !== undefined) return false
  if (before === undefined) return server.verdict === 'trusted' && server.reasons.length === 0
  return isTrusted(before) && before.reasons.length === 0 && MET.has(server.verdict)
}

/** What a server is when one of its addresses is trusted. */
const MET: ReadonlySet<string> = new Set(['trusted', 'mixed'])

function keyOf({ address, verdict }: AddressState): string {
  return `${address} ${verdict}`
}
