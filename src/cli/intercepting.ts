// From proxy.yaml to what its listeners intercept, for the rules of the kernel.

import type { Config, ListenerConfig } from '../config/schema.ts'
import { PulsewardError } from '../errors.ts'
import { addressBytes } from '../net/address.ts'
import type { Destination } from '../net/destinations.ts'
import { networkOf } from '../net/network.ts'
import type { Intercepting, RulePlan } from '../net/rules.ts'

/** @throws {PulsewardError} `rules-impossible` for a listener that no rule can lead to. */
export function rulePlanOf({ listeners }: Config): RulePlan {
  return {
    listeners: listeners.flatMap(interceptingOf),
    preserveSource: listeners.some(({ preserveSource }) => preserveSource),
  }
}

/** IANA's `mqtt` and `secure-mqtt`. */
const ports = { mqtt: 1883, mqtts: 8883 }

const everywhere = [networkOf('0.0.0.0', 0), networkOf('::', 0)].filter((network) => network !== undefined)

function interceptingOf({
  name,
  mode,
  bind,
  accept,
  interfaces,
  destinations,
}: ListenerConfig): Intercepting[] {
  if (mode === 'direct') return []
  const { host, port } = bind
  if (port === 0) throw impossible(name, 'its port is any that is free', 'give bind a port of its own')
  if (host.startsWith('127.') || host === '::1') {
    const hint = 'bind it to "[::]", or to the address of the interface that devices come by'
    throw impossible(name, 'the kernel takes nothing from outside to a loopback address', hint)
  }
  const wanted: Destination[] =
    destinations.length > 0
      ? destinations.map(({ to }) => to)
      : everywhere.flatMap((network) => accept.map((protocol) => ({ network, port: ports[protocol] })))
  return [
    {
      listener: name,
      mode,
      host: host === '::' || host === '0.0.0.0' ? undefined : host,
      port,
      interfaces,
      destinations: wanted.filter((one) => isReachable(one, host)),
    },
  ]
}

/** A listener takes the family of its address; `[::]` takes both. */
function isReachable({ network }: Destination, host: string): boolean {
  return host === '::' || addressBytes(host)?.length === network.base.length
}

function impossible(listener: string, why: string, hint: string): PulsewardError {
  return new PulsewardError(
    'rules-impossible',
    'config',
    `no rule can lead to listener "${listener}": ${why}`,
    {
      hint,
    },
  )
}
