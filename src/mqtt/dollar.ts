// Topics that begin with $: the broker's own, and not for devices unless the administrator lists them.

import type { PublishView } from './publish.ts'
import type { Outcome, Rule } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'

type Topic = Pick<PublishView, 'topic' | 'from' | 'to'>

/** The topic of a PUBLISH or will of a device; returns 0 or a fault at `at`. */
export function checkDollar({ topic, from, to }: Topic, at: number, scope: Scope): Outcome {
  return to === from || topic[from] !== 0x24 ? 0 : checkSpace(rules.dollarTopic, topic, from, to, at, scope)
}

/** A topic filter without `$share/{name}/`; returns 0 or a fault at `at`. */
export function checkDollarFilter(
  bytes: Buffer,
  from: number,
  to: number,
  at: number,
  scope: Scope,
): Outcome {
  return to === from || bytes[from] !== 0x24 ? 0 : checkSpace(rules.dollarFilter, bytes, from, to, at, scope)
}

function checkSpace(rule: Rule, topic: Buffer, from: number, to: number, at: number, scope: Scope): Outcome {
  if (!scope.watches(rule)) return 0
  let slash = from
  // No further than the topic: behind it lies a chunk full of other frames.
  while (slash < to && topic[slash] !== 0x2f) slash++
  const space = topic.toString('utf8', from, slash)
  return scope.book.limits.dollarTopics.includes(space) ? 0 : scope.breaks(rule, at)
}
