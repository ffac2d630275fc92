// Topics that begin with $: the broker's own, and not for devices unless the administrator lists them.

import type { PublishView } from './publish.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'

/** A PUBLISH of a device; returns 0 or a fault at `at`. */
export function checkDollar({ topic, from, to }: PublishView, at: number, scope: Scope): Outcome {
  if (to === from || topic[from] !== 0x24 || !scope.watches(rules.dollarTopic)) return 0
  const slash = topic.indexOf(0x2f, from)
  const space = topic.toString('latin1', from, slash < 0 || slash > to ? to : slash)
  return scope.book.limits.dollarTopics.includes(space) ? 0 : scope.breaks(rules.dollarTopic, at)
}
