// The names in force that metrics show, and what /readyz says of pins: listeners, upstreams, their servers, their pins.

import type { UpstreamReadiness } from './admin/readiness.ts'
import type { Snapshot, UpstreamPlan } from './config/snapshot.ts'
import type { Inventory } from './observe/inventory.ts'
import { reportOf } from './proxy/server.ts'
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
      firstUse: plan.trust.pins.filter(({ firstUse }) => firstUse !== undefined).length,
      dated: plan.trust.pins.flatMap(({ pin, notAfter, backup = false }) =>
        notAfter === undefined ? [] : [{ pin, label: shortPin(pin), notAfter, backup }],
      ),
    })),
  }
}

/** How far each broker is trusted, as /readyz says it. */
export function standingsOf(upstreams: ReadonlyMap<string, Upstream>): Record<string, UpstreamReadiness> {
  return Object.fromEntries(
    Array.from(upstreams, ([name, { trusted, servers, plan }]) => [
      name,
      { trusted, servers: servers.map(reportOf), firstUse: firstUseNotes(plan) },
    ]),
  )
}

/** What of an upstream stands on first use alone, one sentence each. */
function firstUseNotes({ trust, strangers }: Pick<UpstreamPlan, 'trust' | 'strangers'>): string[] {
  return [
    ...trust.pins.flatMap(({ pin, firstUse }) =>
      firstUse === undefined
        ? []
        : [`${firstUse} is trusted by the key it showed first, ${pin}: nothing proves whose it is`],
    ),
    ...Array.from(strangers, (server) => `${server} was not met yet: the key it shows first will be trusted`),
  ]
}
