// The way to one upstream: its servers in order, what is known of each, and a trusted connection or the reason why not.

import type { TLSSocket } from 'node:tls'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort, peerAddress } from '../net/address.ts'
import { systemLookup, type Lookup } from '../net/resolve.ts'
import type { Metrics } from '../observe/metrics.ts'
import { explainFailure } from '../tls/failure.ts'
import { describe } from '../tls/handshake.ts'
import { judge } from '../tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { dial, DialError, type Dialled } from './dial.ts'
import type { Hub } from './hub.ts'
import { downTime, Patrol, servedOf } from './patrol.ts'
import { PinWatch, reasonsOf } from './pin-watch.ts'
import { weaker } from './probe.ts'
import type { Server, ServerState } from './server.ts'
import { Witness, type Course, type Evidence } from './witness.ts'

/** A connection to a server that was trusted; nothing has been written to it yet. */
export interface Connected {
  readonly socket: TLSSocket
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  readonly facts: HandshakeFacts
}

interface UpstreamDeps {
  readonly metrics: Metrics
  readonly limited: Hub['limited']
  /** Milliseconds, monotonic. */
  readonly clock?: () => number
  /** Of the canary; sessions have the system resolve names. */
  readonly lookup?: Lookup
  /** Gets what is seen of every server that is not trusted. */
  readonly evidence?: Evidence
}

/** Brokers hang up for many reasons; a handshake for each of them would only fill their logs. */
const doubtTime = 5000
/** Sessions are resumed for this long after the full handshake they began with; then the chain is shown again. */
const ticketTime = 3_600_000

export class Upstream {
  readonly plan: UpstreamPlan
  readonly #servers: readonly Server[]
  readonly #metrics: Metrics
  /** Limited by server and reason: devices that come again and again must not fill the log. */
  readonly #limited: Hub['limited']
  /** Milliseconds, monotonic. */
  readonly #clock: () => number
  readonly #patrol: Patrol
  readonly #witness: Witness
  /** Sessions that wait for a server. */
  #waiting = 0
  #doubtedAt = -Infinity
  #probedAt = -Infinity
  readonly #pins: PinWatch

  constructor(plan: UpstreamPlan, deps: UpstreamDeps) {
    this.plan = plan
    this.#metrics = deps.metrics
    this.#limited = deps.limited
    this.#clock = deps.clock ?? (() => performance.now())
    this.#pins = new PinWatch(plan, deps)
    this.#witness = new Witness(plan, { evidence: deps.evidence, waiting: () => this.#waiting })
    this.#patrol = new Patrol(plan, {
      lookup: systemLookup,
      ...deps,
      clock: this.#clock,
      witness: this.#witness,
      onTrusted: (server, facts, verdict) => this.#welcome(server, facts, verdict),
    })
    this.#servers = plan.servers.map(({ host, port }) => ({
      host,
      port,
      server: hostPort(host, port),
      verdict: 'unchecked',
      reasons: [],
      checkedAt: 0,
      addresses: [],
      distrustedUntil: -Infinity,
      downUntil: -Infinity,
      ticket: undefined,
    }))
  }

  get servers(): readonly ServerState[] {
    return this.#servers
  }

  /** Whether a server hung up on a session since the last look at it, and that look is not of just now. */
  get doubted(): boolean {
    return this.#doubtedAt > this.#probedAt && this.#clock() - this.#probedAt > doubtTime
  }

  /** A server hung up on a session: it may be gone, and nobody would know until the next device comes. */
  doubt(): void {
    this.#doubtedAt = this.#clock()
  }

  /** Whether the last handshake of at least one server was trusted, or one of its addresses is. */
  get trusted(): boolean {
    const now = this.#clock()
    return this.#servers.some(
      ({ verdict, distrustedUntil }) =>
        verdict === 'trusted' || (verdict === 'mixed' && distrustedUntil <= now),
    )
  }

  /**
   * Connects to the first server that answers and is trusted. Rejects with `upstream-untrusted` where one was reached
   * and none trusted, else with `upstream-unreachable`; the latter too once `signal` says that nobody waits any more.
   */
  async connect(signal: AbortSignal): Promise<Connected> {
    this.#waiting += 1
    try {
      return await this.#connect(signal)
    } finally {
      this.#waiting -= 1
    }
  }

  async #connect(signal: AbortSignal): Promise<Connected> {
    const began = this.#clock()
    const failures: string[] = []
    for (const server of this.#inOrder()) {
      if (signal.aborted) break
      const connected = await this.#attempt(server, signal)
      if (typeof connected !== 'string') return connected
      failures.push(`${server.server}: ${connected}`)
    }
    const distrusted = this.#servers.filter(({ distrustedUntil }) => distrustedUntil >= began)
    const { name } = this.plan
    if (distrusted.length > 0) {
      const seen =
        failures.length > 0 ? failures : distrusted.map(({ server, verdict }) => `${server}: ${verdict}`)
      throw new PulsewardError(
        'upstream-untrusted',
        'broker',
        `no trusted server of "${name}" (${seen.join('; ')})`,
        {
          hint: 'compare "pulseward pin HOST:PORT" with the pins in proxy.yaml before you change anything',
        },
      )
    }
    throw new PulsewardError(
      'upstream-unreachable',
      'broker',
      `no server of "${name}" (${failures.join('; ')})`,
      {
        hint: 'see whether the broker runs and whether a firewall lets the proxy reach it',
      },
    )
  }

  /** One handshake with every address of each server that is not left alone just now; see `Patrol.round`. */
  async probe(signal: AbortSignal): Promise<void> {
    const now = this.#clock()
    this.#probedAt = now
    const willing = this.#servers.filter(({ distrustedUntil }) => distrustedUntil <= now)
    await this.#patrol.round(willing, signal)
  }

  /** Servers to try: not those that failed trust a short while ago; those that did not answer come last. */
  #inOrder(): readonly Server[] {
    const now = this.#clock()
    const willing = this.#servers.filter(({ distrustedUntil }) => distrustedUntil <= now)
    return willing.toSorted((a, b) => Number(a.downUntil > now) - Number(b.downUntil > now))
  }

  /** A trusted connection, or in a few words why there is none. */
  async #attempt(server: Server, signal: AbortSignal): Promise<Connected | string> {
    const { serverName, context, timeouts } = this.plan
    const name = serverName ?? server.host
    const ticket =
      server.ticket === undefined || server.ticket.until < this.#clock() ? undefined : server.ticket
    let verdict: Verdict | undefined
    let until = 0
    let early: Buffer | undefined
    const onTicket = (session: Buffer): void => {
      if (verdict === undefined) early = session
      else if (verdict.verdict === 'trusted') server.ticket = { session, verdict, until }
    }
    let dialled: Dialled
    try {
      dialled = await dial({ ...server, name, context, session: ticket?.session, timeouts, onTicket, signal })
    } catch (error) {
      return this.#notReached(server, error)
    }
    const { socket, seconds, course } = dialled
    let facts: HandshakeFacts
    try {
      facts = describe(socket, { name, at: Date.now(), earlier: ticket?.verdict })
      verdict = judge(facts, this.plan.trust)
    } catch (error) {
      course.hangUp()
      return this.#unjudged(server, error, course)
    }
    this.#metrics.handshaken({
      leg: 'broker',
      version: facts.protocol,
      group: facts.group,
      result: facts.resumed ? 'resumed' : 'full',
      seconds,
    })
    server.checkedAt = facts.at
    server.verdict = verdict.verdict
    server.reasons = reasonsOf(verdict)
    this.#patrol.met(server, peerAddress(socket.remoteAddress), verdict, facts.at)
    if (verdict.verdict !== 'trusted') {
      course.hangUp()
      this.#witness.distrusted(server.server, course, facts, verdict)
      return this.#distrust(server, verdict)
    }
    // However often it is renewed, a session ends an hour after the handshake that showed the certificates.
    until = (facts.resumed ? ticket?.until : undefined) ?? this.#clock() + ticketTime
    if (early !== undefined) server.ticket = { session: early, verdict, until }
    server.downUntil = 0
    course.writes.release()
    this.#welcome(server, facts, verdict)
    return { socket, server: server.server, facts }
  }

  /** What a trusted handshake shows is counted and watched, whether a session or the canary made it. */
  #welcome(server: Server, facts: HandshakeFacts, verdict: Verdict): void {
    this.#pins.trusted(server.server, verdict, facts)
  }

  #notReached(server: Server, error: unknown): string {
    const { trust, name } = this.plan
    const cause = error instanceof DialError ? error.cause : error
    const { reason, hint } = explainFailure(cause, { postQuantum: trust.postQuantum })
    if (reason === 'cancelled') return reason
    server.checkedAt = Date.now()
    server.verdict = reason
    server.reasons = [hint]
    // A ticket the broker no longer knows must not fail the next attempt too.
    server.ticket = undefined
    if (error instanceof DialError && error.phase === 'handshake') {
      const result = reason === 'timeout' ? 'timeout' : 'failed'
      this.#metrics.handshaken({ leg: 'broker', version: 'none', group: 'none', result, seconds: 0 })
    }
    if (weaker.has(reason)) {
      server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
      this.#metrics.distrusted(name, server.server, 'downgraded', reason)
      if (error instanceof DialError) this.#witness.downgraded(server.server, error.course, { reason, hint })
    } else {
      server.downUntil = this.#clock() + downTime
      this.#metrics.unreached(name, server.server, reason)
    }
    const fields = { upstream: name, server: server.server, reason, hint }
    const message = 'broker not reached; nothing was sent to it'
    this.#limited('warn', `${server.server} ${reason}`, fields, message)
    return reason
  }

  /** Says which certificates and pins end soon, where that was not said today. */
  remind(now: number): void {
    this.#pins.remind(now)
  }

  /** A defect of ours in judging what was shown: fails closed, and takes nobody else along. */
  #unjudged(server: Server, error: unknown, course: Course): string {
    server.checkedAt = Date.now()
    server.verdict = 'unjudged'
    server.reasons = [messageOf(error)]
    server.ticket = undefined
    server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    this.#metrics.distrusted(this.plan.name, server.server, server.verdict, 'unjudged')
    this.#witness.unjudged(server.server, course, error)
    const stack = error instanceof Error ? error.stack : String(error)
    const fields = { upstream: this.plan.name, server: server.server, stack }
    const message = 'a defect in Pulseward: broker not judged; nothing was sent to it'
    this.#limited('error', `${server.server} unjudged`, fields, message)
    return server.verdict
  }

  #distrust(server: Server, verdict: Verdict): string {
    server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    server.ticket = undefined
    const { causes, reasons, hint } = verdict
    const cause = causes[0] ?? 'unjudged'
    this.#metrics.distrusted(this.plan.name, server.server, verdict.verdict, cause)
    const fields = {
      upstream: this.plan.name,
      server: server.server,
      verdict: verdict.verdict,
      causes,
      reasons,
      hint,
      served: servedOf(verdict),
    }
    const message = 'broker not trusted; nothing was sent to it'
    this.#limited('error', `${server.server} ${cause}`, fields, message)
    return `${verdict.verdict} (${causes.join(', ')})`
  }
}
