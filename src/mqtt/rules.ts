// The rule table: every way in which a control packet can be refused, one entry each.

import { faultIndex, type Outcome, type Rule } from './rule.ts'
import { connectionRules } from './rules-connection.ts'
import { messageRules } from './rules-messages.ts'
import { policyRules } from './rules-policy.ts'
import { wireRules } from './rules-wire.ts'

/** All rules by their names in code; `rules.topicEmpty.id` is `topic-empty`. */
export const rules = { ...wireRules, ...connectionRules, ...messageRules, ...policyRules } as const

/** All rules by their index; `allRules[rule.index - 1] === rule`. */
export const allRules: readonly Rule[] = Object.values<Rule>(rules).toSorted((a, b) => a.index - b.index)

/** The rule that a negative outcome names. */
export function brokenRule(outcome: Outcome): Rule {
  const found = allRules[faultIndex(outcome) - 1]
  if (found === undefined) throw new RangeError(`not a fault: ${outcome}`)
  return found
}
