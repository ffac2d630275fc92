// What a virtual patch is: a vulnerability of a broker or device, the packet it takes, and the rules that stop it.

import type { Direction } from './packet.ts'
import { modes, type Mode, type Rule } from './rule.ts'

/** What stops a vulnerability before any rule is asked; each of them is always in force. */
export const guards = {
  'connect-timeout':
    'a connection without a whole CONNECT is closed after `limits.connectTimeout`, and the broker never hears of it',
  'first-bytes':
    'what begins with neither CONNECT nor TLS is closed at once, and so is what does inside TLS; WebSocket begins with HTTP',
} as const

export type Guard = keyof typeof guards

/**
 * How well the packet is known: the CVE record or advisory describes it, the fix or the code that was fixed shows it, or
 * it is the likeliest one for the function that is named.
 */
export const confidences = ['published', 'from the fix', 'inferred'] as const

export interface Patch {
  readonly id: `CVE-${number}-${number}`
  readonly product: string
  readonly versions: string
  /** Who sends the packet: a device, the broker, or either. */
  readonly direction: Direction | 'both'
  /** What the packet does, in one sentence. */
  readonly packet: string
  /** Each stops a form of the packet; all forms are stopped where all are enforced. Empty where a guard stops it. */
  readonly rules: readonly Rule[]
  readonly guard?: Guard
  readonly confidence: (typeof confidences)[number]
  /** What of it is not stopped, or not stopped by default. */
  readonly gap?: string
}

/** What a patch does whose rules have these modes: no more than the weakest of them. */
export function weakest(given: readonly Mode[]): Mode {
  return modes.findLast((mode) => given.includes(mode)) ?? 'enforce'
}

/** Limits that only a class of devices can give a rule. */
const classLimits = ['maxTopic', 'maxPayload', 'maxReceived'] as const

/** The limit of a class that a rule goes by; without such a class there is nothing it could find too large. */
export function classLimitOf({ clause }: Rule): (typeof classLimits)[number] | undefined {
  return classLimits.find((name) => clause.policy === `classes.${name}`)
}

/** The file of its test vectors, where a rule stops it. */
export function vectorOf({ id, rules }: Patch): string | undefined {
  return rules.length === 0 ? undefined : `cve/${id}.txt`
}
