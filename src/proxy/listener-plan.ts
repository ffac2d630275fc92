// From what proxy.yaml says of a listener to what its connections are handed.

import type { ListenerSettings, Snapshot } from '../config/snapshot.ts'
import { hostPort } from '../net/address.ts'
import type { ListenerLimits } from '../net/listener.ts'
import type { Native } from '../net/native.ts'
import { isTrustedProxy } from './caller.ts'
import type { ListenerPlan } from './hub.ts'
import type { Registrar } from './registrar.ts'
import type { Upstream } from './upstream.ts'

/** What tells one port from another over reloads. */
export function keyOf({ config }: ListenerSettings): string {
  const { mode, bind } = config
  const { host, port } = bind
  // A socket for `tproxy` is made otherwise, and cannot become another.
  if (mode === 'tproxy') return `tproxy ${config.name} ${hostPort(host, port)}`
  // Port 0 takes a free one: two listeners that ask for it are two ports, told apart by name.
  return port === 0 ? `${config.name} ${host}` : hostPort(host, port)
}

/** Proxies that will say for whom they speak have no limit as one address. */
export function limitsOf({ config }: ListenerSettings): ListenerLimits {
  const { limits, trustedProxies } = config
  if (trustedProxies.length === 0) return limits
  return { ...limits, exempt: (address) => isTrustedProxy(address, { trustedProxies }) }
}

interface Making {
  readonly snapshot: Snapshot
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly disguise: Native | undefined
  readonly registrar: Registrar | undefined
}

/** What a listener does with the devices it takes to the upstream called `name`. */
export function planOf(
  { config, deviceContext, inspection, identity, pair }: ListenerSettings,
  name: string,
  { snapshot, upstreams, disguise, registrar }: Making,
): ListenerPlan {
  const upstream = upstreams.get(name)
  if (upstream === undefined) throw new Error(`no upstream "${name}"`)
  const { connectTimeout, idle, halfClose } = config.limits
  return Object.freeze({
    name: config.name,
    // In plaintext nobody can prove himself as a near end.
    accept: {
      plain: config.accept.includes('mqtt') && pair?.others !== false,
      tls: config.accept.includes('mqtts'),
    },
    deviceContext,
    pair,
    upstream,
    disguise,
    trustedProxies: config.trustedProxies,
    book: inspection.book,
    timeouts: { connect: connectTimeout, idle, halfClose },
    policy: {
      ...snapshot.policy,
      rules: inspection.modes,
      ...(identity.mode === 'enforce' && { identity: identity.mode }),
    },
    detectors: snapshot.detectors,
    learnsUntil: identity.mode === 'off' ? undefined : registrar?.learnsUntil(config.name, identity.learn),
  })
}
