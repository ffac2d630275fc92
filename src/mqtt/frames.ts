// One direction of a connection: finds the frames in the chunks that arrive, judges each, and says what may go on.

import { checkConnectHeader, claimedVersion } from './connect.ts'
import { PacketType, type Direction } from './packet.ts'
import { PublishView, checkPublishHead, headFault, headNeed } from './publish.ts'
import { fault, faultOffset, type Outcome } from './rule.ts'
import type { FrameLimits } from './rulebook.ts'
import { rules } from './rules.ts'
import { Scope, type Tolerated } from './scope.ts'
import { stateful, type SessionState } from './session.ts'
import { checkBody, checkFirstByte } from './validate.ts'

/** Sees frames that passed; `false` stops the stream in front of this frame. PUBLISH may be there without its payload. */
export type Witness = (type: number, bytes: Buffer, start: number, body: number, end: number) => boolean

/** Whom a stream tells of what it judges. */
export interface Bench {
  /** Gets one added at `direction * 16 + type` for each frame that passes (0 up, 1 down). */
  readonly counts: Float64Array
  /** Gets one added at the index of a rule each time it is broken and only reported. */
  readonly hits: Float64Array
  /** Bit set of packet types the witness wants to see. */
  readonly watched: number
  readonly witness: Witness
  readonly tolerated: Tolerated
}

/** The stream was stopped by its witness, not by a rule. */
export const stopped = -1

const { connect, publish, disconnect } = PacketType

/** How much of a frame that is held back has been judged already. */
type Judged = 'nothing' | 'first byte' | 'header'

export class FrameStream {
  /** After `push`: a frame that was held back and is now judged; it goes on before the rest. */
  carry: Buffer | undefined
  /** After `push`: `chunk.subarray(from, to)` goes on. */
  from = 0
  to = 0
  /** Offset of the offending byte inside its frame, after `push` returned a fault. */
  faultAt = 0

  readonly direction: Direction
  #view: PublishView | undefined
  readonly #session: SessionState
  readonly #scope: Scope
  readonly #limits: FrameLimits
  readonly #bench: Bench
  readonly #countBase: number
  #payloadLeft = 0
  #store: Buffer | undefined
  #held = 0
  #need = 0
  #judged: Judged = 'nothing'

  constructor(direction: Direction, session: SessionState, bench: Bench) {
    const { book } = session.around
    this.direction = direction
    this.#session = session
    this.#limits = book.frames
    this.#bench = bench
    this.#scope = new Scope(direction, book, bench.hits, bench.tolerated)
    this.#countBase = direction === 'up' ? 0 : 16
  }

  /** The PUBLISH that is shown to the witness; undefined before the first, and without its topic after `push`. */
  get view(): PublishView | undefined {
    return this.#view
  }

  /** Whether the bytes that went on end between two frames, so that a packet of our own may follow. */
  get betweenFrames(): boolean {
    return this.#payloadLeft === 0
  }

  /** Bytes held back because their frame is not whole yet. */
  get held(): number {
    return this.#held
  }

  /**
   * Judges the next chunk. Returns 0, `stopped`, or the fault that ends the stream; in every case `carry`, `from`
   * and `to` say which bytes passed before that.
   */
  push(chunk: Buffer): Outcome {
    const outcome = this.#push(chunk)
    // A device that falls silent must not keep its last chunk, up to 64 KiB of it, in memory.
    this.#view?.forget()
    return outcome
  }

  #push(chunk: Buffer): Outcome {
    this.carry = undefined
    this.from = 0
    this.to = 0
    let at = 0
    if (this.#held > 0) {
      at = this.#fill(chunk)
      if (at < 0) return at
      this.from = at
    }
    if (this.#payloadLeft > 0) {
      const streamed = Math.min(this.#payloadLeft, chunk.length - at)
      this.#payloadLeft -= streamed
      at += streamed
    }
    this.to = at
    while (at < chunk.length) {
      const next = this.#judge(chunk, at, chunk.length)
      if (next < 0) return next
      if (next === at) {
        this.#hold(chunk, at)
        return 0
      }
      at = next
      this.to = at
    }
    return 0
  }

  /**
   * Judges the frame at `at`, of which bytes up to `filled` are there. Returns the offset behind what passed, `at`
   * when more bytes are needed (`#need` says how many in all), or a fault.
   */
  #judge(bytes: Buffer, at: number, filled: number): Outcome {
    const session = this.#session
    const scope = this.#scope
    scope.start = at
    scope.seen = 0
    scope.quiet = this.#judged !== 'nothing'
    const first = bytes[at]!
    const type = first >> 4
    let outcome = session.admit(type, at, scope)
    if (outcome >= 0) outcome = checkFirstByte(first, session.version, at, scope)
    if (outcome < 0) return this.#fail(outcome, at)
    // The remaining length, read in place (MQTT 5.0, 2.1.4).
    scope.quiet = this.#judged === 'header'
    let remaining = 0
    let body = at + 1
    for (let shift = 0; ; shift += 7) {
      if (body >= filled) return this.#wants(body + 1 - at, at, 'first byte')
      const byte = bytes[body++]!
      remaining |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) outcome = scope.breaks(rules.remainingLengthNotMinimal, body - 1)
        break
      }
      if (shift === 21) return this.#fail(fault(rules.remainingLengthTooLong, body - 1), at)
    }
    if (outcome < 0) return this.#fail(outcome, at)
    scope.quiet = false
    const end = body + remaining
    if (type === publish) return this.#judgePublish(bytes, at, body, end, filled)
    const limit = session.version === 0 ? this.#limits.connect : this.#limits.control
    if (remaining > limit) return this.#fail(fault(rules.packetTooLarge, at + 1), at)
    if (end > filled) return this.#wants(end - at, at, 'header')
    outcome = checkBody(bytes, body, end, type, session.version, scope)
    if (outcome >= 0 && type === connect) outcome = checkConnectHeader(bytes, at, body, scope)
    if (outcome >= 0) outcome = session.check(type, bytes, at, body, end, scope)
    if (outcome < 0) {
      if (type === connect) session.claimed = claimedVersion(bytes, body, end)
      return this.#fail(outcome, at)
    }
    const { watched, witness, counts } = this.#bench
    if ((watched & (1 << type)) !== 0 && !witness(type, bytes, at, body, end)) return stopped
    if ((stateful & (1 << type)) !== 0) {
      if (type === disconnect) session.leave(this.direction)
      else session.advance(type, bytes, body)
    }
    counts[this.#countBase + type]! += 1
    return end
  }

  /** PUBLISH passes as soon as its head does; the payload that is still to come streams through. */
  #judgePublish(bytes: Buffer, at: number, body: number, end: number, filled: number): Outcome {
    if (end - body > this.#limits.publish) return this.#fail(fault(rules.packetTooLarge, at + 1), at)
    const flags = bytes[at]! & 0x0f
    const session = this.#session
    const { version } = session
    const head = headNeed(bytes, body, Math.min(filled, end), flags, version)
    // In this order: a head that comes in pieces outgrows the limit before its last length is known.
    if (head - body > this.#limits.control) return this.#fail(fault(rules.packetTooLarge, body), at)
    if (head > end) return this.#fail(headFault(bytes, body, end, flags), at)
    if (head > filled) return this.#wants(head - at, at, 'header')
    const view = (this.#view ??= new PublishView())
    let outcome = checkPublishHead(bytes, body, head, flags, version, this.#scope, view)
    if (outcome >= 0) outcome = session.checkPublish(view, bytes, at, body, end, this.#scope)
    if (outcome < 0) return this.#fail(outcome, at)
    const { watched, witness, counts } = this.#bench
    if ((watched & (1 << publish)) !== 0 && !witness(publish, bytes, at, body, Math.min(end, filled))) {
      return stopped
    }
    counts[this.#countBase + publish]! += 1
    if (end <= filled) return end
    this.#payloadLeft = end - filled
    return filled
  }

  /** Notes how many bytes the frame at `at` needs before it can be judged further. */
  #wants(bytes: number, at: number, judged: Judged): number {
    this.#need = bytes
    this.#judged = judged
    return at
  }

  #fail(outcome: Outcome, start: number): Outcome {
    this.faultAt = faultOffset(outcome) - start
    return outcome
  }

  /** Keeps the start of a frame that is not whole yet. */
  #hold(chunk: Buffer, at: number): void {
    const held = chunk.length - at
    this.#store = Buffer.allocUnsafeSlow(Math.min(Math.max(held * 2, 64), Math.max(this.#need, held)))
    chunk.copy(this.#store, 0, at)
    this.#held = held
  }

  /** Adds to the held frame just what it needs; returns the offset in `chunk` behind it, or a fault. */
  #fill(chunk: Buffer): Outcome {
    let at = 0
    while (at < chunk.length) {
      const store = this.#room(Math.min(this.#need, this.#held + chunk.length - at))
      const taken = chunk.copy(store, this.#held, at, Math.min(chunk.length, at + this.#need - this.#held))
      this.#held += taken
      at += taken
      if (this.#held < this.#need) return at
      const passed = this.#judge(store, 0, this.#held)
      if (passed < 0) return passed
      if (passed > 0) {
        this.carry = store.subarray(0, this.#held)
        this.#store = undefined
        this.#held = 0
        this.#judged = 'nothing'
        return at
      }
    }
    return at
  }

  /** The store, grown so that `bytes` fit: doubled, but never beyond what the frame needs. */
  #room(bytes: number): Buffer {
    const store = this.#store!
    if (store.length >= bytes) return store
    const grown = Buffer.allocUnsafeSlow(
      Math.min(Math.max(bytes, store.length * 2), Math.max(this.#need, bytes)),
    )
    store.copy(grown, 0, 0, this.#held)
    this.#store = grown
    return grown
  }
}
