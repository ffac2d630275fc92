// The session ticket kept for one server: which one is offered, and whether another is asked for.

import type { Verdict } from '../tls/verdict.ts'

/** Sessions are resumed for this long after the full handshake they began with; then the chain is shown again. */
const lifetime = 3_600_000

export interface Ticket {
  /** As Node hands it out, with the name of the server it was given for. */
  readonly session: Buffer
  /** On the handshake that showed the certificates. */
  readonly verdict: Verdict
  /** Milliseconds by the monotonic clock: not offered after it. */
  readonly until: number
}

/** So many in a row that were refused when they were new: this server honours none, and is not asked for a while. */
const mostRefused = 3
/** Milliseconds. */
const pause = 60_000

/**
 * A ticket that proved good is offered again and again, and no other is asked for: taking one costs as much as judging
 * the handshake. Nobody is hidden by a new one each time (RFC 8446, C.4): it is always this proxy that comes. Some
 * servers take each only once; from those every new one is taken.
 */
export class Tickets {
  #kept: Ticket | undefined
  /** How often the one that is kept was good. */
  #uses = 0
  #isSingleUse = false
  /** How many in a row were refused when they were new, and until when none is asked for because of that. */
  #refused = 0
  #pausedUntil = -Infinity

  /** What to offer in a handshake that begins at `now`. */
  offer(now: number): Ticket | undefined {
    if (this.#kept !== undefined && this.#kept.until < now) this.drop()
    return this.#kept
  }

  /** Whether to ask for tickets in a handshake at `now` that offers this one. */
  wants(offered: Ticket | undefined, now: number): boolean {
    if (this.#pausedUntil > now) return false
    return offered === undefined || this.#isSingleUse || this.#uses === 0
  }

  /** A trusted handshake that offered this one went well, by it or without. Returns until when new ones may be kept. */
  tried(offered: Ticket | undefined, resumed: boolean, now: number): number {
    const isKept = offered !== undefined && offered === this.#kept
    if (resumed) {
      this.#refused = 0
      if (isKept) this.#uses += 1
      // However often it is renewed, a session ends an hour after the handshake that showed the certificates.
      return offered?.until ?? now
    }
    if (isKept) {
      this.#isSingleUse ||= this.#uses === 1
      if (this.#uses === 0) this.#refuse(now)
      this.drop()
    }
    return now + lifetime
  }

  /** A server sent this one. */
  keep(ticket: Ticket): void {
    if (this.#kept !== undefined && this.#uses > 0 && !this.#isSingleUse) return
    this.#kept = ticket
    this.#uses = 0
  }

  #refuse(now: number): void {
    this.#refused += 1
    if (this.#refused < mostRefused) return
    this.#refused = 0
    this.#pausedUntil = now + pause
  }

  /** The server may not know it any more, or is not to be trusted. */
  drop(): void {
    this.#kept = undefined
    this.#uses = 0
  }
}
