// The one clock of all connections: a coarse time they may read for nothing, and a regular look at every deadline.

/** Something with deadlines; looked at a few times a second. */
export interface Swept {
  /** `now` in milliseconds, monotonic. */
  sweep(now: number): void
}

const period = 250

/**
 * One timer for all connections: arming one of their own at every message would cost more than judging the message.
 * Deadlines are kept to a quarter of a second, and `now` is as coarse.
 */
export class Sweep implements Disposable {
  /** Milliseconds, monotonic, of the last look. */
  now: number
  readonly #clock: () => number
  readonly #members = new Set<Swept>()
  readonly #timer: NodeJS.Timeout

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.now = clock()
    this.#timer = setInterval(() => this.tick(), period).unref()
  }

  add(member: Swept): void {
    // A connection that arrives long after the last tick must not start its deadlines in the past.
    this.now = this.#clock()
    this.#members.add(member)
  }

  delete(member: Swept): void {
    this.#members.delete(member)
  }

  tick(): void {
    this.now = this.#clock()
    for (const member of this.#members) member.sweep(this.now)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
