// Notices a device that subscribes to everything, or to the broker's own topics: the first step of reconnaissance.

import { z } from 'zod'
import { define } from './detector.ts'

/** Medical devices subscribe to their own command topics; `#` and `$SYS` are what scanners ask for. */
export const wideSubscription = define(
  'wide-subscription',
  'Notices SUBSCRIBE to `#`, `+/#` and the like, or to topics of the broker itself.',
  {
    systemTopics: z.boolean().default(true).meta({ description: 'Whether filters under `$SYS` count too.' }),
  },
  (options) => ({
    watches: ['subscribe'],
    begin: () => undefined,
    see(packet) {
      if (packet.cmd !== 'subscribe') return undefined
      const filter = packet.subscriptions
        .map((one) => one.topic)
        .find((topic) => isWide(topic, options.systemTopics))
      if (filter === undefined) return undefined
      return {
        detector: 'wide-subscription',
        severity: 'notice',
        summary: 'a device subscribed to everything, or to topics of the broker itself',
        evidence: { filter, filters: packet.subscriptions.length },
        references: ['R12', 'ATT&CK T1040'],
      }
    },
  }),
)

/** Whether a filter names no level of its own: `#`, `+/#`, `$share/x/#`; or lies under `$SYS`. */
function isWide(filter: string, systemTopics: boolean): boolean {
  const levels = filter.split('/')
  const own = levels[0] === '$share' ? levels.slice(2) : levels
  if (own[0] === '$SYS') return systemTopics
  return own.at(-1) === '#' && own.slice(0, -1).every((level) => level === '+')
}
