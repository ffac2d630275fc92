// SUBSCRIBE and UNSUBSCRIBE that wait for their answer, and what the answer has to fit.

import { PacketType } from './packet.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { uint16 } from './text.ts'

/** What was asked for; `asked` is the QoS of each filter, empty for UNSUBSCRIBE. */
interface Request {
  readonly filters: number
  readonly asked: Uint8Array
  /** Answers that wait under this identifier; where there was more than one, nobody can tell which is which. */
  waiting: number
  ambiguous: boolean
}

/** Most requests that are remembered while they wait; the answers to more are not compared with what was asked. */
const mostWaiting = 64
/** Most filters of one request whose QoS is remembered; listeners that only report how many there are let more pass. */
const mostAsked = 1024

export class Requests {
  readonly #waiting = new Map<number, Request>()

  /** Notes what a SUBSCRIBE or UNSUBSCRIBE asks for; its filters lie from `from` to `end`. */
  add(id: number, type: number, bytes: Buffer, from: number, end: number): void {
    const before = this.#waiting.get(id)
    if (before !== undefined) {
      before.waiting += 1
      before.ambiguous = true
      return
    }
    if (this.#waiting.size === mostWaiting) return
    const asked: number[] = []
    let filters = 0
    for (let at = from; at < end; filters += 1) {
      at += 2 + uint16(bytes, at)
      if (type !== PacketType.subscribe) continue
      if (filters < mostAsked) asked.push(bytes[at]! & 3)
      at += 1
    }
    this.#waiting.set(id, { filters, asked: Uint8Array.from(asked), waiting: 1, ambiguous: false })
  }

  /** Takes note of an answer without codes. */
  answered(id: number): void {
    const request = this.#waiting.get(id)
    if (request !== undefined && --request.waiting === 0) this.#waiting.delete(id)
  }

  /** Compares an answer, whose codes lie from `from` to `end`, with its request; returns `end` or a fault. */
  settle(id: number, type: number, bytes: Buffer, from: number, end: number, scope: Scope): Outcome {
    const request = this.#waiting.get(id)
    if (request === undefined) return end
    this.answered(id)
    if (request.ambiguous) return end
    const isSuback = type === PacketType.suback
    if (end - from !== request.filters) {
      return scope.breaks(isSuback ? rules.subackCount : rules.unsubackCodes, from)
    }
    if (!isSuback || request.filters > mostAsked) return end
    for (let i = 0; i < request.filters; i++) {
      const granted = bytes[from + i]!
      if (granted < 0x80 && granted > request.asked[i]!) return scope.breaks(rules.subackGranted, from + i)
    }
    return end
  }
}
