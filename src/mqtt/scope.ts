// What the checks of one direction share: the rules in force, and what they met in the frame they are judging.

import type { Direction } from './packet.ts'
import { fault, type Outcome, type Rule } from './rule.ts'
import type { Rulebook } from './rulebook.ts'
import { rules } from './rules.ts'

/** A rule was broken that is only to be reported; called once a rule and direction of a connection. */
export type Tolerated = (rule: Rule, offset: number) => void

/** The numbers of `Rulebook.modes`; looking them up there for every check took a third of a frame's time. */
const enforced = 0
const reported = 1
const ignored = 2

export class Scope {
  readonly direction: Direction
  readonly book: Rulebook
  /** Offset of the frame that is being judged. */
  start = 0
  /** What is being judged was judged before, when less of its frame was there: it must not be reported again. */
  quiet = false
  /** Of the property block that was checked last: identifiers below 32 that were met, as a bit set. */
  seen = 0
  /** The topic alias and the last subscription identifier in it; 0 where there is none. */
  topicAlias = 0
  subscriptionId = 0
  /** Offsets of the values of the authentication method and the session expiry in it, where `seen` has them. */
  methodAt = 0
  expiryAt = 0
  /** What is asked of every topic and PUBLISH, looked up once. */
  readonly mostLevels: number
  readonly seeksMarkup: boolean
  readonly countsMessages: boolean
  readonly #modes: Uint8Array
  readonly #hits: Float64Array
  readonly #tolerated: Tolerated
  /** By rule index: whether `#tolerated` knows. */
  #told: Uint8Array | undefined

  /** `hits` gets one added at the index of a rule each time it is broken and only reported. */
  constructor(direction: Direction, book: Rulebook, hits: Float64Array, tolerated: Tolerated) {
    this.direction = direction
    this.book = book
    this.#modes = book.modes
    this.mostLevels = book.limits.topicLevels
    this.seeksMarkup = this.watches(rules.topicCharacters)
    this.countsMessages = this.watches(rules.publishRate)
    this.#hits = hits
    this.#tolerated = tolerated
  }

  /** A rule is broken at `at`: a fault where it is enforced, else 0, and judging goes on as if it were not. */
  breaks(rule: Rule, at: number): Outcome {
    const mode = this.#modes[rule.index]
    if (mode === enforced) return fault(rule, at)
    if (mode === reported && !this.quiet) this.#report(rule, at)
    return 0
  }

  /** Whether anybody wants to know of this rule. */
  watches(rule: Rule): boolean {
    return this.#modes[rule.index] !== ignored
  }

  #report(rule: Rule, at: number): void {
    this.#hits[rule.index]! += 1
    this.#told ??= new Uint8Array(this.book.modes.length)
    if (this.#told[rule.index] === 1) return
    this.#told[rule.index] = 1
    this.#tolerated(rule, at - this.start)
  }
}
