// An MQTT session out of a capture, judged by the very core that judges live ones; where that would end it, listening ends.

import type { Finding } from '../detect/finding.ts'
import { FrameStream } from '../mqtt/frames.ts'
import type { Direction } from '../mqtt/packet.ts'
import type { Outcome } from '../mqtt/rule.ts'
import { brokenRule } from '../mqtt/rules.ts'
import { SessionState } from '../mqtt/session.ts'
import type { Action } from '../policy/decide.ts'
import { Judge } from '../proxy/judge.ts'
import type { Plan, Stage } from './stage.ts'
import type { Conversation } from './talk.ts'

const ignore = (): void => {}

export class ReplayedSession implements Conversation {
  readonly #stage: Stage
  readonly #address: string
  readonly #judge: Judge
  readonly #state: SessionState
  readonly #streams: Readonly<Record<Direction, FrameStream>>
  /** The packet that completed what is being judged. */
  #packet = 0
  /** Set once the proxy would have ended the session; called with the bytes that come after. */
  #heldBack: ((bytes: number) => void) | undefined

  constructor(stage: Stage, plan: Plan, address: string) {
    this.#stage = stage
    this.#address = address
    const { churn, clock } = stage
    this.#state = new SessionState({ book: plan.book, churn, clock })
    const found = (finding: Finding, action: Action): void => {
      this.#stage.incidents.add({ ...this.#scene(), finding, action })
    }
    const court = { plan, metrics: ofNobody, limited: ignore, found }
    this.#judge = new Judge(court, { address, transport: 'plain' })
    this.#streams = { up: this.#stream('up'), down: this.#stream('down') }
  }

  take(direction: Direction, bytes: Buffer, packet: number): void {
    if (this.#heldBack !== undefined) return this.#heldBack(bytes.length)
    this.#packet = packet
    const outcome = this.#streams[direction].push(bytes)
    if (outcome < 0 && this.#heldBack === undefined) this.#broken(direction, outcome)
  }

  end(): void {
    const { version } = this.#judge.connect ?? { version: 0 }
    const { versions } = this.#stage
    versions.set(version, (versions.get(version) ?? 0) + 1)
  }

  #stream(direction: Direction): FrameStream {
    const { counts, hits } = this.#stage
    return new FrameStream(direction, this.#state, {
      counts,
      hits,
      tolerated: (rule, offset) => this.#judge.tolerated(rule, direction, offset),
      watched: this.#judge.watched,
      witness: (type, bytes, start, body, end) => {
        const refused = this.#judge.see(type, bytes, start, body, end)
        if (refused === undefined) return true
        this.#refuse(direction, refused.detector)
        return false
      },
    })
  }

  #broken(direction: Direction, outcome: Outcome): void {
    const rule = brokenRule(outcome)
    this.#judge.broken(rule, direction, this.#streams[direction].faultAt)
    this.#refuse(direction, rule.id)
  }

  #refuse(direction: Direction, reason: string): void {
    this.#heldBack = this.#stage.refusals.add({ ...this.#scene(), reason, direction })
  }

  /** Who it is, and where and when in the capture. */
  #scene() {
    return {
      address: this.#address,
      clientId: this.#judge.connect?.clientId ?? '',
      time: this.#stage.now,
      place: this.#stage.place(this.#packet),
    }
  }
}

/** Nobody asks a capture for metrics. */
const ofNobody = { connacks: new Float64Array(256), found: ignore }
