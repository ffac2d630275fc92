// One direction of a TCP connection: puts what was captured of its bytes back in order; the first copy of a byte counts.

/** Bytes that came before what precedes them, copied; `needs` is what their sender had received when it sent them. */
export interface Held {
  readonly at: number
  readonly needs: number
  readonly packet: number
  readonly bytes: Buffer
}

/** Most segments that wait in one direction. Their bytes are bounded by who owns the connection. */
const maxHeld = 1024
/** What keeping one costs beside its bytes: tiny ones would else be as good as free. */
const overhead = 512

/** Sequence numbers so far from what is expected belong to no window (RFC 7323, 2.3, allows 1 GiB; none is so large). */
const farthest = 64 * 1024 * 1024

export class Assembly {
  /** How many bytes went on; the offset, from where the capture began, of the one that is next. */
  at = 0
  /** Offset up to which the receiver has said that it has everything. */
  acknowledged = 0
  /** Offset of the end, once FIN was seen. */
  finAt = Infinity
  /** By their offsets, without overlaps. */
  readonly held: Held[] = []
  /** What they take up in memory, about. */
  heldBytes = 0
  /** Whether it is known where the bytes begin. */
  isOpen = false
  /** Sequence number of the byte that is next. */
  #sequence = 0

  /** The next byte has this sequence number. */
  open(sequence: number): void {
    this.isOpen = true
    this.#sequence = sequence >>> 0
  }

  /** The offset of a sequence number; below 0 for what lies before the beginning. */
  offsetOf(sequence: number): number {
    return this.at + ((sequence - this.#sequence) | 0)
  }

  /** The receiver has everything up to this sequence number; one that nobody can have sent is not believed. */
  acknowledge(sequence: number): void {
    const offset = this.offsetOf(sequence)
    if (offset > this.acknowledged && offset - this.at <= farthest) this.acknowledged = offset
  }

  /** The next `bytes` went on. */
  advance(bytes: number): void {
    this.at += bytes
    this.#sequence = (this.#sequence + bytes) >>> 0
  }

  /** Keeps what no earlier copy covers of a segment that cannot go on yet. */
  hold({ at, needs, packet, bytes }: Held): void {
    if (at - this.at > farthest) return
    const end = at + bytes.length
    let from = at
    let i = this.#firstEndingBehind(at)
    for (; from < end && this.held.length < maxHeld; i++) {
      const next = this.held[i]
      const to = Math.min(end, next?.at ?? end)
      if (to > from) {
        // Not from the pool, of which a small piece keeps more than itself.
        const copy = Buffer.allocUnsafeSlow(to - from)
        bytes.copy(copy, 0, from - at)
        this.held.splice(i, 0, { at: from, needs, packet, bytes: copy })
        this.heldBytes += copy.length + overhead
        i++
      }
      if (next === undefined || next.at >= end) break
      if (next.needs > needs) i += this.#sooner(i, at, end, needs)
      from = Math.max(from, next.at + next.bytes.length)
    }
  }

  /** Another copy tells that what lies from `from` to `to` was sent sooner; returns how many pieces were added. */
  #sooner(index: number, from: number, to: number, needs: number): number {
    const { at, bytes, ...rest } = this.held[index]!
    const cuts = [at, Math.max(at, from), Math.min(at + bytes.length, to), at + bytes.length]
    const pieces = [rest.needs, needs, rest.needs].map((one, i) => {
      return {
        at: cuts[i]!,
        needs: one,
        packet: rest.packet,
        bytes: bytes.subarray(cuts[i]! - at, cuts[i + 1]! - at),
      }
    })
    const some = pieces.filter((piece) => piece.bytes.length > 0)
    this.held.splice(index, 1, ...some)
    this.heldBytes += (some.length - 1) * overhead
    return some.length - 1
  }

  /** Takes the segment that may go on next, given what the other direction has come to. */
  next(otherAt: number): Held | undefined {
    const [first] = this.held
    if (first === undefined || first.at > this.at || first.needs > otherAt) return undefined
    this.held.shift()
    this.heldBytes -= first.bytes.length + overhead
    return first
  }

  drop(): void {
    this.held.length = 0
    this.heldBytes = 0
  }

  get isFull(): boolean {
    return this.held.length >= maxHeld
  }

  /** Whether something waits that cannot go on, or something was received that was not captured. */
  get isWaiting(): boolean {
    return this.held.length > 0 || this.#received > this.at
  }

  /** Whether bytes were received by the other side that are not in the capture, or not yet. */
  get isMissing(): boolean {
    return this.#received > this.at && (this.held[0]?.at ?? Infinity) > this.at
  }

  /** The number that acknowledges FIN is one more than that of the last byte. */
  get #received(): number {
    return Math.min(this.acknowledged, this.finAt)
  }

  /** Index of the first held segment that ends behind `offset`. */
  #firstEndingBehind(offset: number): number {
    let low = 0
    let high = this.held.length
    while (low < high) {
      const middle = (low + high) >> 1
      const one = this.held[middle]!
      if (one.at + one.bytes.length > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}
