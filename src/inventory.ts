// The names in force that metrics show: listeners, upstreams, their servers and their dated pins.

import type { Snapshot } from './config/snapshot.ts'
import type { Inventory } from './observe/inventory.ts'
import type { Upstream } from './proxy/upstream.ts'
import { shortPin } from './tls/pins.ts'

export function inventory(snapshot: Snapshot, upstreams: ReadonlyMap<string, Upstream>): Inventory {
  return {
    listeners: snapshot.listeners.map(({ config }) => ({
      name: config.name,
      limit: config.limits.connections,
    })),
    upstreams: Array.from(upstreams.values(), ({ plan, servers }) => ({
      name: plan.name,
      servers: servers.map(({ server }) => server),
      pins: plan.trust.pins.length,
      lists: plan.trust.revocation?.lists.sources ?? [],
      dated: plan.trust.pins.flatMap(({ pin, notAfter, backup = false }) =>
        notAfter === undefined ? [] : [{ pin, label: shortPin(pin), notAfter, backup }],
      ),
    })),
  }
}
