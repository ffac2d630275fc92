// Topics that begin with $: the broker's own, and not for devices unless the administrator lists them.

import type { PublishView } from './publish.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'

type Topic = Pick<PublishView, 'topic' | 'from' | 'to'>

/** The topic of a PUBLISH or will of a device; returns 0 or a fault at `at`. */
export function checkDollar({ topic, from, to }: Topic, at: number, scope: Scope): Outcome {
  if (to === from || topic[from] !== 0x24 || !scope.watches(rules.dollarTopic)) return 0
  let slash = from
  // No further than the topic: behind it lies a chunk full of other frames.
  while (slash < to && topic[slash] !== 0x2f) slash++
  const space = topic.toString('utf8', from, slash)
  return scope.book.limits.dollarTopics.includes(space) ? 0 : scope.breaks(rules.dollarTopic, at)
}
