// The part of the metric table about devices, their ledger and the neighbour table.

import { metric } from './metric.ts'

/** What is said of a device in the ledger. */
export const deviceStandings = ['approved', 'known', 'new', 'suspected'] as const
/** Why the ledger on disk is not what it should be. */
export const ledgerFailures = ['open', 'write', 'damaged', 'full'] as const
const changes =
  'new-station changed-address flip-flop reused-old-address many-addresses duplicate-address'.split(' ')

export const deviceMetrics = {
  pulseward_devices: metric('gauge', 'Devices', 'Devices in the ledger.', {
    standing: { meaning: 'what is said of them; docs/devices.md', values: deviceStandings },
  }),
  pulseward_devices_limit: metric('gauge', 'Devices', 'Most devices the ledger keeps.'),
  pulseward_ledger_bytes: metric('gauge', 'Devices', 'Size of the ledger on disk.'),
  pulseward_ledger_waiting: metric('gauge', 'Devices', 'Changes of the ledger that are not on disk yet.'),
  pulseward_ledger_failures_total: metric('counter', 'Devices', 'What went wrong with the ledger.', {
    reason: { meaning: 'what could not be done, or was found', values: ledgerFailures },
  }),
  pulseward_neighbour_watch: metric(
    'gauge',
    'Devices',
    'Whether the neighbour table of the kernel is being watched (1) or not (0).',
  ),
  pulseward_neighbours: metric('gauge', 'Devices', 'Addresses of the links that are remembered.'),
  pulseward_neighbour_changes_total: metric('counter', 'Devices', 'Changes of the neighbour table.', {
    change: { meaning: 'what changed, in the words of arpwatch', values: changes },
  }),
}
