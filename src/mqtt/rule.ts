// What a rule is, and how a check says which one was broken and where, without allocating.

import type { Direction } from './packet.ts'

export interface Rule {
  /** Position in the rule table, from 1; the key of counters, not public. */
  readonly index: number
  /** Stable name: label of metrics, key in proxy.yaml and in test vectors. */
  readonly id: string
  /** Conformance statements or sections, by protocol version; `policy` where no standard demands it. */
  readonly clause: { readonly v3?: string; readonly v5?: string; readonly policy?: string }
  readonly direction: Direction | 'both'
  /** One sentence for administrators. */
  readonly explanation: string
  /** R-numbers of the house catalogue and CVE ids of products hurt by a breach. */
  readonly references: readonly string[]
  /** Reason code told to an MQTT 5.0 device: 0x81 malformed packet, 0x82 protocol error, 0x95 packet too large, … */
  readonly reason: number
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
