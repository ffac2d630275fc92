// What a rule is, and how a check says which one was broken and where, without allocating.

import type { Direction } from './packet.ts'

/** What a broken rule leads to: the end of the session, a report while the packet goes on, or nothing. */
export const modes = ['enforce', 'report', 'off'] as const
export type Mode = (typeof modes)[number]

export interface Rule {
  /** Position in the rule table, from 1; the key of counters, not public. */
  readonly index: number
  /** Stable name: label of metrics, key in proxy.yaml and in test vectors. */
  readonly id: string
  /** Conformance statements or sections, by protocol version; `policy` where no standard demands it. */
  readonly clause: { readonly v3?: string; readonly v5?: string; readonly policy?: string }
  readonly direction: Direction | 'both'
  /** What the presets make of it; `enforce` unless the draft says otherwise. */
  readonly mode: { readonly strict: Mode; readonly standard: Mode }
  /** Can only be enforced: behind a packet that breaks it nobody can say what comes next. */
  readonly fixed: boolean
  /** One sentence for administrators. */
  readonly explanation: string
  /** R-numbers of the house catalogue; the CVE ids a rule stops are in `patches`. */
  readonly references: readonly string[]
  /** Reason code told to an MQTT 5.0 device: 0x81 malformed packet, 0x82 protocol error, 0x95 packet too large, … */
  readonly reason: number
}

type Draft = Omit<Rule, 'index' | 'id' | 'direction' | 'mode' | 'fixed' | 'references' | 'reason'> &
  Partial<Pick<Rule, 'direction' | 'fixed' | 'references' | 'reason'>> & {
    readonly mode?: Partial<Rule['mode']>
  }

/** Reason codes of MQTT 5.0 that most rules have. */
const malformed = 0x81
export const protocolError = 0x82

let nextIndex = 0

/** Makes the entry of a rule; the order of calls numbers them. */
export function defineRule(id: string, draft: Draft): Rule {
  nextIndex += 1
  return Object.freeze({
    direction: 'both' as const,
    fixed: false,
    references: [],
    reason: malformed,
    ...draft,
    mode: Object.freeze({ strict: 'enforce' as const, standard: 'enforce' as const, ...draft.mode }),
    id,
    index: nextIndex,
  })
}

/**
 * The outcome of a check: an offset ≥ 0 where reading goes on, or a negative number that names a broken rule and
 * the offset of the offending byte. A plain number, so that passing frames cost no allocation.
 */
export type Outcome = number

const span = 2 ** 32

/** The negative outcome for `rule` broken at `offset` of the buffer that was judged. */
export function fault(rule: Rule, offset: number): Outcome {
  return -(rule.index * span + offset)
}

export function faultIndex(outcome: Outcome): number {
  return Math.floor(-outcome / span)
}

export function faultOffset(outcome: Outcome): number {
  return -outcome % span
}
