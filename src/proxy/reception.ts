// The way of one session to who knows the devices, if anybody does.

import type { Socket } from 'node:net'
import type { Hub } from './hub.ts'
import type { Register } from './registrar.ts'

/** `socket` is the connection itself, below TLS. Undefined where nothing is kept of the listener's devices. */
export function receptionOf(
  { plan, registrar }: Hub,
  {
    socket,
    address,
    ja4,
  }: { readonly socket: Socket; readonly address: string; readonly ja4: string | undefined },
): Register | undefined {
  const { name: listener, learnsUntil, upstream } = plan
  if (registrar === undefined || learnsUntil === undefined) return undefined
  const caller = { listener, upstream: upstream.plan.name, address, socket, ja4, learnsUntil }
  return (clientId, packet, later) => registrar.register(caller, clientId, packet, later)
}
