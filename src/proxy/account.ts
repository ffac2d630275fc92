// What every handshake with a broker leaves behind, whoever made it: counts, evidence, watched ends, and words for the log.

import type { UpstreamPlan } from '../config/snapshot.ts'
import type { Fields, Level } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { PAIR_FAULTS, type PairFault } from '../pair/exchange.ts'
import { servedPinsOf } from '../tls/identify.ts'
import type { Verdict } from '../tls/verdict.ts'
import type { Failed, Judged, Outcome } from './meeting.ts'
import type { PinWatch } from './pin-watch.ts'
import type { ProfileWatch } from './profile-watch.ts'
import type { Witness } from './witness.ts'

interface AccountDeps {
  readonly metrics: Metrics
  readonly witness: Witness
  readonly pins: PinWatch
  readonly profiles: ProfileWatch
}

/** A line about a handshake: `kind` says which lines are alike. */
export interface Line {
  readonly level: Level
  readonly kind: string
  readonly fields: Fields
  readonly message: string
}

export class Account {
  readonly #upstream: string
  readonly #deps: AccountDeps

  constructor({ name }: Pick<UpstreamPlan, 'name'>, deps: AccountDeps) {
    this.#upstream = name
    this.#deps = deps
  }

  /** Counts what came of a handshake and keeps what is evidence; one that was given up leaves nothing. */
  enter(server: string, outcome: Outcome): void {
    if (outcome.kind === 'judged') this.#judged(server, outcome)
    else if (outcome.kind === 'failed') this.#failed(server, outcome)
    else {
      this.#deps.metrics.distrusted(this.#upstream, server, 'unjudged', 'unjudged')
      this.#deps.witness.unjudged(server, outcome.course, outcome.error)
    }
  }

  #judged(server: string, outcome: Judged): void {
    const { metrics, witness, pins, profiles } = this.#deps
    const { facts, verdict, seconds, course, pairedWith } = outcome
    const { protocol: version, group, resumed } = facts
    if (version !== 'none') {
      metrics.handshaken({ leg: 'broker', version, group, result: resumed ? 'resumed' : 'full', seconds })
    }
    const fault = verdict.causes.find(isPairFault)
    if (fault !== undefined) metrics.paired('broker', fault)
    else if (pairedWith !== undefined) metrics.paired('broker', 'proven')
    if (verdict.verdict === 'trusted') {
      pins.trusted(server, verdict, facts)
      profiles.trusted(server, outcome)
      return
    }
    metrics.distrusted(this.#upstream, server, verdict.verdict, verdict.causes[0] ?? 'unjudged')
    witness.distrusted(server, course, facts, verdict)
  }

  #failed(server: string, { reason, hint, suspicion, phase, course }: Failed): void {
    const { metrics, witness } = this.#deps
    if (reason === 'cancelled') return
    if (phase === 'handshake') {
      const result = reason === 'timeout' ? 'timeout' : 'failed'
      metrics.handshaken({ leg: 'broker', version: 'none', group: 'none', result, seconds: 0 })
    }
    if (suspicion !== undefined) {
      metrics.distrusted(this.#upstream, server, suspicion.verdict, reason)
      if (isPairFault(reason)) metrics.paired('broker', reason)
      if (course !== undefined) witness.suspected(server, course, { reason, hint, ...suspicion })
    } else metrics.unreached(this.#upstream, server, reason)
    if (phase === 'proof') metrics.paired('broker', 'pair-closed')
  }
}

function isPairFault(cause: string): cause is PairFault {
  return (PAIR_FAULTS as readonly string[]).includes(cause)
}

/** What the log says of an outcome. */
export function lineOf(outcome: Outcome): Line {
  if (outcome.kind === 'judged') return lineOfVerdict(outcome.verdict)
  if (outcome.kind === 'failed') {
    const { reason, hint, suspicion, course } = outcome
    if (suspicion !== undefined) {
      const { verdict, says } = suspicion
      const servedPins = servedPinsOf(course?.shown ?? [])
      return lineOfVerdict({ verdict, causes: [reason], reasons: [says], hint, servedPins })
    }
    const message = 'broker not reached; nothing was sent to it'
    return { level: 'warn', kind: reason, fields: { reason, hint }, message }
  }
  const { error } = outcome
  const stack = error instanceof Error ? error.stack : String(error)
  const message = 'a defect in Pulseward: broker not judged; nothing was sent to it'
  return { level: 'error', kind: 'unjudged', fields: { stack }, message }
}

/** A verdict, or what a handshake that failed amounts to. */
type Told = Pick<Verdict, 'verdict' | 'reasons' | 'hint' | 'servedPins'> & {
  readonly causes: readonly string[]
}

export function lineOfVerdict(judged: Told): Line {
  const { verdict, causes, reasons, hint, servedPins } = judged
  if (verdict === 'trusted') {
    return { level: 'info', kind: 'trusted', fields: { verdict }, message: 'broker trusted' }
  }
  const served = servedPins.map(({ pin, subject, position, notAfter }) => ({
    pin,
    subject,
    position,
    notAfter: Number.isFinite(notAfter) ? new Date(notAfter).toISOString() : 'unreadable',
  }))
  const fields = { verdict, causes, reasons, hint, served }
  const message = 'broker not trusted; nothing was sent to it'
  return { level: 'error', kind: causes[0] ?? 'unjudged', fields, message }
}
