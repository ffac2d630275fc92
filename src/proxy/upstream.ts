// The way to one upstream: its servers in order, what is known of each, and a trusted connection or the reason why not.

import type { Socket } from 'node:net'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { systemLookup, type Lookup } from '../net/resolve.ts'
import type { Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { firstKey, type FirstUsePin } from '../tls/first-use.ts'
import type { Showing } from '../tls/profile.ts'
import type { ProfileBook } from '../tls/profile-book.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { Account, lineOf, lineOfVerdict, type Line } from './account.ts'
import { meet, type Defect, type Failed, type Judged, type MeetingPlan } from './meeting.ts'
import { downTime, Patrol } from './patrol.ts'
import { PinWatch } from './pin-watch.ts'
import { ProfileWatch } from './profile-watch.ts'
import { accusation, type Server, type ServerState } from './server.ts'
import { Tickets, type Ticket } from './tickets.ts'
import { Witness, type Evidence } from './witness.ts'

/** A connection to a server that was trusted; nothing of any device has been written to it yet. */
export interface Connected {
  readonly socket: Socket
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  readonly facts: HandshakeFacts
  /** To be told what CONNACK shows of the server. */
  readonly answered: (showing: Showing) => void
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
  /** What servers showed before; without it nothing is learnt of them. */
  readonly profiles?: ProfileBook
  /** Stores the key a server showed first, and has it come into force; never throws and never waits. */
  readonly firstUse?: (pin: FirstUsePin) => void
}

/** Brokers hang up for many reasons; a handshake for each of them would only fill their logs. */
const doubtTime = 5000

export class Upstream {
  readonly plan: UpstreamPlan
  readonly #servers: readonly Server[]
  readonly #limited: Limited
  /** Milliseconds, monotonic. */
  readonly #clock: () => number
  readonly #patrol: Patrol
  readonly #account: Account
  readonly #firstUse: UpstreamDeps['firstUse']
  /** Sessions that wait for a server. */
  #waiting = 0
  #doubtedAt = -Infinity
  #probedAt = -Infinity
  readonly #pins: PinWatch
  readonly #profiles: ProfileWatch
  readonly #meeting: MeetingPlan

  constructor(plan: UpstreamPlan, deps: UpstreamDeps) {
    this.plan = plan
    this.#limited = deps.limited
    this.#clock = deps.clock ?? (() => performance.now())
    this.#pins = new PinWatch(plan, deps)
    this.#profiles = new ProfileWatch(plan, deps)
    this.#meeting = {
      ...plan,
      least: (server) => this.#profiles.least(server),
      introduce: (server, outcome) => this.#introduce(server, outcome),
    }
    this.#firstUse = deps.firstUse
    const { evidence, metrics } = deps
    const witness = new Witness(plan, { evidence, waiting: () => this.#waiting })
    this.#account = new Account(plan, { metrics, witness, pins: this.#pins, profiles: this.#profiles })
    this.#patrol = new Patrol(this.#meeting, {
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
      tickets: new Tickets(),
    }))
  }

  get servers(): readonly ServerState[] {
    return this.#servers
  }

  /** Whether there was reason to doubt a server since the last look at it, and that look is not of just now. */
  get doubted(): boolean {
    return this.#doubtedAt > this.#probedAt && this.#clock() - this.#probedAt > doubtTime
  }

  /** A server hung up on a session, or may be revoked by now: nobody would know until the next device comes. */
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
    const { tickets } = server
    const ticket = tickets.offer(this.#clock())
    let given: Omit<Ticket, 'session'> | undefined
    let early: Buffer | undefined
    let hasTicket = false
    const take = (session: Buffer): void => {
      hasTicket = true
      if (given === undefined) early = session
      else tickets.keep({ ...given, session })
    }
    const wants = this.plan.resumption === 'on' && tickets.wants(ticket, this.#clock())
    const onTicket = wants ? take : undefined
    const outcome = await meet(this.#meeting, server, signal, { ticket, onTicket })
    this.#account.enter(server.server, outcome)
    if (outcome.kind !== 'judged') return this.#notJudged(server, outcome)
    this.#patrol.met(server, outcome)
    const { facts, verdict, socket, course, pairedWith } = outcome
    if (verdict.verdict !== 'trusted') return this.#distrust(server, verdict)
    given = { verdict, until: tickets.tried(ticket, facts.resumed, this.#clock()) }
    if (early !== undefined) tickets.keep({ ...given, session: early })
    server.downUntil = 0
    course.writes.release()
    const answered = (showing: Showing): void => {
      // Whom its pins speak against teaches nothing.
      if (verdict.reported !== undefined) return
      // Tickets come before CONNACK, or not at all.
      const isAsked = !facts.resumed && onTicket !== undefined
      const ticketing = isAsked ? { tickets: hasTicket ? 'sent' : 'none' } : {}
      this.#profiles.answered(server.server, { ...showing, ...ticketing }, Date.now())
    }
    return { socket, server: server.server, facts, pairedWith, answered }
  }

  /** The first key of a server becomes its pin where the upstream says so, and nothing else speaks against it. */
  #introduce(server: string, { facts, verdict, address }: Judged): boolean {
    const { name, trust, strangers } = this.plan
    if (trust.firstUse === undefined || this.#firstUse === undefined || !strangers.has(server)) return false
    const key = firstKey(facts, verdict, trust.firstUse)
    if (key === undefined) return false
    this.#firstUse({ upstream: name, server, ...key, at: new Date(facts.at).toISOString(), address })
    return true
  }

  /** No handshake, or none that could be judged; a defect of ours fails closed, and takes nobody else along. */
  #notJudged(server: Server, outcome: Failed | Defect): string {
    const [verdict, reasons] =
      outcome.kind === 'failed' ? accusation(outcome) : ['unjudged', [messageOf(outcome.error)]]
    if (verdict === 'cancelled') return verdict
    const leaveAlone = outcome.kind === 'defect' || outcome.suspicion !== undefined
    server.checkedAt = Date.now()
    server.verdict = verdict
    server.reasons = reasons
    // A ticket the broker no longer knows must not fail the next attempt too.
    server.tickets.drop()
    if (leaveAlone) server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    else server.downUntil = this.#clock() + downTime
    this.#tell(server, lineOf(outcome))
    return outcome.kind === 'failed' && leaveAlone ? `${verdict} (${outcome.reason})` : verdict
  }

  #distrust(server: Server, verdict: Verdict): string {
    server.distrustedUntil = this.#clock() + this.plan.timeouts.distrust
    server.tickets.drop()
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
