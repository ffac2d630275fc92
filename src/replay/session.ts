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

/** Bytes of frames that are not whole yet, of all sessions together. */
const mostHeldFrames = 128 * 1024 * 1024

const ignore = (): void => {}

export class ReplayedSession implements Conversation {
  readonly #stage: Stage
  readonly #address: string
  readonly #judge: Judge
  readonly #state: SessionState
  /** Undefined once nothing of it is judged any more. */
  #streams: Readonly<Record<Direction, FrameStream>> | undefined
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
    this.#heldBack?.(bytes.length)
    const stream = this.#streams?.[direction]
    if (stream === undefined) return
    this.#packet = packet
    const before = stream.held
    const outcome = stream.push(bytes)
    this.#stage.heldFrames += stream.held - before
    if (outcome < 0) {
      if (this.#heldBack === undefined) this.#broken(stream, outcome)
      this.#forget()
    } else if (stream.held > before && this.#stage.heldFrames > mostHeldFrames) {
      this.#stage.gaps += 1
      this.#forget()
    }
  }

  end(): void {
    this.#forget()
    const { version } = this.#judge.connect ?? { version: 0 }
    const { versions } = this.#stage
    versions.set(version, (versions.get(version) ?? 0) + 1)
  }

  #forget(): void {
    for (const { held } of Object.values(this.#streams ?? {})) this.#stage.heldFrames -= held
    this.#streams = undefined
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

  #broken({ direction, faultAt }: FrameStream, outcome: Outcome): void {
    const rule = brokenRule(outcome)
    this.#judge.broken(rule, direction, faultAt)
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
