// The way to one upstream: its servers in order, what is known of each, and a trusted connection or the reason why not.

import type { Socket } from 'node:net'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { systemLookup, type Lookup } from '../net/resolve.ts'
import type { Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { Account, lineOf, lineOfVerdict, type Line } from './account.ts'
import { meet, weaker, type Defect, type Failed } from './meeting.ts'
import { downTime, Patrol } from './patrol.ts'
import { PinWatch } from './pin-watch.ts'
import type { Server, ServerState } from './server.ts'
import { Witness, type Evidence } from './witness.ts'

/** A connection to a server that was trusted; nothing of any device has been written to it yet. */
export interface Connected {
  readonly socket: Socket
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  readonly facts: HandshakeFacts
  /** The key by which the other end of a pair proved itself, by its name; undefined where there is no pair. */
  readonly pairedWith: string | undefined
}

interface UpstreamDeps {
  readonly metrics: Metrics
  readonly limited: Limited
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
  readonly #limited: Limited
  /** Milliseconds, monotonic. */
  readonly #clock: () => number
  readonly #patrol: Patrol
  readonly #account: Account
  /** Sessions that wait for a server. */
  #waiting = 0
  #doubtedAt = -Infinity
  #probedAt = -Infinity
  readonly #pins: PinWatch

  constructor(plan: UpstreamPlan, deps: UpstreamDeps) {
    this.plan = plan
    this.#limited = deps.limited
    this.#clock = deps.clock ?? (() => performance.now())
    this.#pins = new PinWatch(plan, deps)
    const { evidence, metrics } = deps
    const witness = new Witness(plan, { evidence, waiting: () => this.#waiting })
    this.#account = new Account(plan, { metrics, witness, pins: this.#pins })
    this.#patrol = new Patrol(plan, {
      lookup: systemLookup,
      ...deps,
      clock: this.#clock,
      account: this.#account,
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
    const ticket = this.#ticketOf(server)
    let given: Ticket | undefined
    let early: Buffer | undefined
    const onTicket = (session: Buffer): void => {
      if (given === undefined) early = session
      else server.ticket = { ...given, session }
    }
    const outcome = await meet(this.plan, server, signal, { ticket, onTicket })
    this.#account.enter(server.server, outcome)
    if (outcome.kind !== 'judged') return this.#notJudged(server, outcome)
    this.#patrol.met(server, outcome)
    const { facts, verdict, socket, course, pairedWith } = outcome
    if (verdict.verdict !== 'trusted') return this.#distrust(server, verdict)
    // However often it is renewed, a session ends an hour after the handshake that showed the certificates.
    const until = (facts.resumed ? ticket?.until : undefined) ?? this.#clock() + ticketTime
    given = { verdict, until }
    if (early !== undefined) server.ticket = { ...given, session: early }
    server.downUntil = 0
    course.writes.release()
    return { socket, server: server.server, facts, pairedWith }
  }

  #ticketOf({ ticket }: Server): Server['ticket'] {
    return ticket === undefined || ticket.until < this.#clock() ? undefined : ticket
  }

  /** No handshake, or none that could be judged; a defect of ours fails closed, and takes nobody else along. */
  #notJudged(server: Server, outcome: Failed | Defect): string {
    const [verdict, reason, leaveAlone] =
      outcome.kind === 'failed'
        ? [outcome.reason, outcome.hint, weaker.has(outcome.reason)]
        : ['unjudged', messageOf(outcome.error), true]
    if (verdict === 'cancelled') return verdict
    server.checkedAt = Date.now()
    server.verdict = verdict
    server.reasons = [reason]
    // A ticket the broker no longer knows must not fail the next attempt too.
    server.ticket = undefined
    if (leaveAlone) server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    else server.downUntil = this.#clock() + downTime
    this.#tell(server, lineOf(outcome))
    return verdict
  }

  #distrust(server: Server, verdict: Verdict): string {
    server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    server.ticket = undefined
    this.#tell(server, lineOfVerdict(verdict))
    return `${verdict.verdict} (${verdict.causes.join(', ')})`
  }

  /** Limited by server and kind: devices that come again and again must not fill the log. */
  #tell({ server }: Server, { level, kind, fields, message }: Line): void {
    this.#limited(level, `${server} ${kind}`, { upstream: this.plan.name, server, ...fields }, message)
  }

  /** Says which certificates and pins end soon, where that was not said today. */
  remind(now: number): void {
    this.#pins.remind(now)
  }
}

type Ticket = Omit<NonNullable<Server['ticket']>, 'session'>
