// A TCP connection out of a capture: the bytes of both directions in the order in which the two sides saw them, or a gap.

import { Assembly } from './assembly.ts'
import type { Segment } from './segment.ts'

/** The two sides: 0 is the one whose packet was seen first. */
export type Side = 0 | 1

/** Who takes the bytes of a connection. */
export interface Listener {
  /** Whether the bytes that are still to come matter to nobody. */
  readonly isDeaf: boolean
  /** The next bytes of one side, completed by this packet. They are good until the call returns. */
  take(side: Side, bytes: Buffer, packet: number): void
  /** Bytes are not in the capture; none follow. */
  lost(): void
  /** The connection is over, or the capture is; called once, with the payload bytes of both sides. */
  end(bytes: number): void
}

/** Bytes held by all connections together. */
export interface Pool {
  held: number
  readonly most: number
}

/** Most bytes that wait in one connection for others before them. */
const mostHeld = 1024 * 1024
/** What was received and does not come within so many milliseconds, or packets of its connection, was not captured. */
const patience = 2000
const patiencePackets = 256
/** How far a RST may lie from what is expected: it may overtake what was lost, but not come from anywhere. */
const resetWindow = 1024 * 1024

export interface Arrivals {
  retransmitted: number
  outOfOrder: number
}

interface ConnectionOptions {
  readonly listener: Listener
  readonly pool: Pool
  readonly arrivals: Arrivals
  /** Under which the packets of side 0 are found, and those of side 1. */
  readonly keys: readonly [string, string]
}

export class Connection {
  readonly keys: readonly [string, string]
  /** Milliseconds. */
  lastSeen = 0
  /** Sequence number of the SYN of each side; one that comes again begins nothing. */
  readonly syn: [number, number] = [-1, -1]
  isOver = false
  readonly #listener: Listener
  readonly #pool: Pool
  readonly #arrivals: Arrivals
  #sides: readonly [Assembly, Assembly] | undefined = [new Assembly(), new Assembly()]
  readonly #finished: [boolean, boolean] = [false, false]
  /** Since when, and for how many packets, something is missing. */
  #missingSince: number | undefined
  #missingPackets = 0
  /** Payload of both sides, as it was captured. */
  #bytes = 0

  constructor({ listener, pool, arrivals, keys }: ConnectionOptions) {
    this.#listener = listener
    this.#pool = pool
    this.#arrivals = arrivals
    this.keys = keys
  }

  take(side: Side, segment: Segment, packet: number, now: number): void {
    this.lastSeen = now
    this.#bytes += segment.size
    if (segment.isSyn) this.syn[side] = segment.sequence
    if (segment.isFin) this.#finished[side] = true
    if (this.isOver) return
    const sides = this.#sides
    if (sides === undefined) return this.#awaitEnd(segment)
    const own = sides[side]
    const other = sides[1 - side]!
    if (segment.isRst) return this.#reset(own, segment)
    const sequence = segment.isSyn ? segment.sequence + 1 : segment.sequence
    if (!own.isOpen) own.open(sequence)
    let needs = 0
    if (segment.isAck) {
      if (!other.isOpen) other.open(segment.acknowledged)
      other.acknowledge(segment.acknowledged)
      needs = Math.min(other.offsetOf(segment.acknowledged), other.acknowledged)
    }
    const at = own.offsetOf(sequence)
    if (segment.isFin) own.finAt = Math.min(own.finAt, at + segment.size + segment.cut)
    if (segment.size > 0)
      this.#data(side, { at, needs, packet, bytes: segment.bytes.subarray(segment.start, segment.end) })
    if (own.held.length + other.held.length > 0) this.#drain()
    this.#checkPatience(now)
    if (own.at >= own.finAt && other.at >= other.finAt) this.finish()
  }

  /** The connection is over, or the capture is. */
  finish(): void {
    if (this.isOver) return
    this.isOver = true
    if (this.#sides?.some((side) => side.isWaiting) === true) this.#listener.lost()
    this.#forget()
    this.#listener.end(this.#bytes)
  }

  #data(
    side: Side,
    { at, needs, packet, bytes }: { at: number; needs: number; packet: number; bytes: Buffer },
  ): void {
    const own = this.#sides![side]
    const known = own.at - at
    if (known > 0) this.#arrivals.retransmitted += 1
    if (known >= bytes.length) return
    const fresh = known > 0 ? bytes.subarray(known) : bytes
    if (known >= 0 && own.held.length === 0 && needs <= this.#reach(side))
      return this.#deliver(side, fresh, packet)
    if (known < 0) this.#arrivals.outOfOrder += 1
    const before = own.heldBytes
    own.hold({ at: Math.max(at, own.at), needs, packet, bytes: fresh })
    this.#pool.held += own.heldBytes - before
  }

  /** Lets go on what waited, in the order that acknowledgements tell. */
  #drain(): void {
    for (let moved = true; moved;) {
      moved = false
      for (const side of [0, 1] as const) {
        const own = this.#sides?.[side]
        if (own === undefined) return
        const before = own.heldBytes
        const next = own.next(this.#reach(side))
        if (next === undefined) continue
        this.#pool.held += own.heldBytes - before
        this.#deliver(side, next.bytes.subarray(own.at - next.at), next.packet)
        moved = true
      }
    }
  }

  /** What this side may have received: all that went on, and the FIN behind it. */
  #reach(side: Side): number {
    const other = this.#sides![1 - side]!
    return other.at >= other.finAt ? Infinity : other.at
  }

  #deliver(side: Side, bytes: Buffer, packet: number): void {
    this.#sides![side].advance(bytes.length)
    this.#listener.take(side, bytes, packet)
    if (this.#listener.isDeaf) this.#forget()
  }

  #checkPatience(now: number): void {
    const sides = this.#sides
    if (sides === undefined) return
    const [a, b] = sides
    const held = a.heldBytes + b.heldBytes
    const isFull = held > mostHeld || (held > 0 && this.#pool.held > this.#pool.most) || a.isFull || b.isFull
    if (!isFull && !a.isMissing && !b.isMissing) {
      this.#missingSince = undefined
      this.#missingPackets = 0
      return
    }
    this.#missingSince ??= now
    this.#missingPackets += 1
    if (!isFull && now - this.#missingSince <= patience && this.#missingPackets <= patiencePackets) return
    this.#listener.lost()
    this.#forget()
  }

  #reset(own: Assembly, { sequence }: Segment): void {
    const distance = own.isOpen ? own.offsetOf(sequence) - own.at : 0
    if (distance >= 0 && distance <= resetWindow) this.finish()
  }

  /** Nobody listens any more: all that matters is when the connection is over, so that its ports may serve another. */
  #awaitEnd(segment: Segment): void {
    if (segment.isRst || this.#finished.every(Boolean)) this.finish()
  }

  #forget(): void {
    for (const side of this.#sides ?? []) {
      this.#pool.held -= side.heldBytes
      side.drop()
    }
    this.#sides = undefined
  }
}
