// What the canary finds out about the servers of one upstream: kept by address, counted, and told where it changed.

import { messageOf } from '../errors.ts'
import type { Lookup } from '../net/resolve.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import type { Hub } from './hub.ts'
import type { Outcome, ProbePlan } from './probe.ts'
import { round } from './round.ts'
import { isTrusted, judged, notReached, summarise, unchecked } from './server.ts'
import type { AddressState, Server } from './server.ts'
import type { Witness } from './witness.ts'

interface PatrolDeps {
  readonly metrics: Metrics
  readonly limited: Hub['limited']
  /** Milliseconds, monotonic. */
  readonly clock: () => number
  readonly lookup: Lookup
  readonly witness: Witness
  /** An address was trusted. */
  readonly onTrusted: (server: Server, facts: HandshakeFacts, verdict: Verdict) => void
}

/** A server that did not answer is tried after the others for this long, so that a dead first one delays nobody. */
export const downTime = 5000

export class Patrol {
  readonly #plan: ProbePlan
  readonly #deps: PatrolDeps
  /** The addresses that are suspect while others are trusted, as last told. */
  readonly #split = new WeakMap<Server, ReadonlySet<string>>()

  readonly #nameless = new WeakSet<Server>()

  constructor(plan: ProbePlan, deps: PatrolDeps) {
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

  /** What a session's own handshake says about the address it reached. */
  met(server: Server, address: string, verdict: Verdict, at: number): void {
    const before = server.addresses.find((one) => one.address === address)
    if (before === undefined) return
    // A session that was refused is told of by itself.
    if (verdict.verdict === 'trusted' && !isTrusted(before)) this.#tell(server, address, verdict)
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

  #unresolved(server: Server, outcome: Outcome): void {
    if (outcome.kind !== 'failed' || outcome.reason === 'cancelled') return
    const { reason, hint } = outcome
    const isNews = !this.#nameless.has(server) || server.verdict !== reason
    this.#nameless.add(server)
    server.checkedAt = Date.now()
    server.verdict = reason
    server.reasons = [hint]
    this.#rest(server)
    this.#deps.metrics.unreached(this.#plan.name, server.server, reason)
    const message = 'broker not reached; nothing was sent to it'
    if (isNews) this.#log('warn', server, reason, { reason, hint }, message)
  }

  #settle(server: Server, address: string, outcome: Outcome): void {
    const before = server.addresses.find((one) => one.address === address)
    const after = this.#count(server, address, outcome)
    if (before === undefined || after === undefined) return
    this.#keep(server, after)
    summarise(server)
    const isNews = before.verdict !== after.verdict || before.causes.join() !== after.causes.join()
    if (isNews) this.#announce(server, address, outcome)
  }

  /** Counts what came of a probe, and says how the address stands by it; undefined where the probe was given up. */
  #count(server: Server, address: string, outcome: Outcome): AddressState | undefined {
    const { metrics, witness } = this.#deps
    const { name } = this.#plan
    if (outcome.kind === 'judged') {
      const { facts, verdict, seconds } = outcome
      const { protocol: version, group, resumed, at } = facts
      metrics.handshaken({ leg: 'broker', version, group, result: resumed ? 'resumed' : 'full', seconds })
      const { causes } = verdict
      if (verdict.verdict !== 'trusted') {
        metrics.distrusted(name, server.server, verdict.verdict, causes[0] ?? 'unjudged')
        witness.distrusted(server.server, outcome.course, facts, verdict)
      } else this.#deps.onTrusted(server, facts, verdict)
      return judged(address, verdict, at)
    }
    if (outcome.kind === 'defect') {
      metrics.distrusted(name, server.server, 'unjudged', 'unjudged')
      witness.unjudged(server.server, outcome.course, outcome.error)
      const reasons = [messageOf(outcome.error)]
      return { address, verdict: 'unjudged', causes: [], reasons, checkedAt: Date.now(), suspect: true }
    }
    const { reason, phase } = outcome
    if (reason === 'cancelled') return undefined
    if (phase === 'handshake') {
      const result = reason === 'timeout' ? 'timeout' : 'failed'
      metrics.handshaken({ leg: 'broker', version: 'none', group: 'none', result, seconds: 0 })
    }
    const state = notReached(address, outcome, Date.now())
    if (state.suspect) {
      metrics.distrusted(name, server.server, 'downgraded', reason)
      if (outcome.course !== undefined) witness.downgraded(server.server, outcome.course, outcome)
    } else metrics.unreached(name, server.server, reason)
    return state
  }

  #keep(server: Server, state: AddressState): void {
    server.addresses = server.addresses.map((one) => (one.address === state.address ? state : one))
    this.#expose(server)
  }

  #expose(server: Server): void {
    const states = server.addresses.map((state) => ({ ...state, trusted: isTrusted(state) }))
    this.#deps.metrics.addresses(this.#plan.name, server.server, states)
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
      server.ticket = undefined
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
    server.ticket = undefined
  }

  #announce(server: Server, address: string, outcome: Outcome): void {
    if (outcome.kind === 'judged') {
      this.#tell(server, address, outcome.verdict)
    } else if (outcome.kind === 'defect') {
      const { error } = outcome
      const stack = error instanceof Error ? error.stack : String(error)
      const message = 'a defect in Pulseward: broker not judged; nothing was sent to it'
      this.#log('error', server, `${address} unjudged`, { address, stack }, message)
    } else {
      const { reason, hint } = outcome
      const message = 'broker not reached; nothing was sent to it'
      this.#log('warn', server, `${address} ${reason}`, { address, reason, hint }, message)
    }
  }

  #tell(server: Server, address: string, verdict: Verdict): void {
    const { causes, reasons, hint } = verdict
    if (verdict.verdict === 'trusted') {
      this.#log('info', server, `${address} trusted`, { address, verdict: verdict.verdict }, 'broker trusted')
      return
    }
    const fields = { address, verdict: verdict.verdict, causes, reasons, hint, served: servedOf(verdict) }
    const message = 'broker not trusted; nothing was sent to it'
    this.#log('error', server, `${address} ${causes[0] ?? 'unjudged'}`, fields, message)
  }

  #log(
    level: Parameters<Hub['limited']>[0],
    server: Server,
    kind: string,
    fields: object,
    message: string,
  ): void {
    this.#deps.limited(level, `${server.server} ${kind}`, { ...this.#named(server), ...fields }, message)
  }

  #named({ server }: Server): { readonly upstream: string; readonly server: string } {
    return { upstream: this.#plan.name, server }
  }
}

/** The certificates served, as log lines show them. */
export function servedOf({ servedPins }: Verdict): object[] {
  return servedPins.map(({ pin, subject, position, notAfter }) => ({
    pin,
    subject,
    position,
    notAfter: Number.isFinite(notAfter) ? new Date(notAfter).toISOString() : 'unreadable',
  }))
}

function keyOf({ address, verdict }: AddressState): string {
  return `${address} ${verdict}`
}
