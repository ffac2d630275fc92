// For whom a broker is dialled, as far as it is to be told or shown; and who may speak for somebody else to us.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { addressBytes, peerAddress, type Endpoint } from '../net/address.ts'
import { contains } from '../net/network.ts'
import type { Route } from '../net/proxy-protocol.ts'
import type { Caller } from './departure.ts'
import type { ListenerPlan } from './hub.ts'

/** What is known of both ends of a connection. */
interface Ends {
  readonly address: string
  /** As a trusted proxy told it. */
  readonly route: Route | undefined
  /** Where it was going when it was intercepted. */
  readonly destination: Endpoint | undefined
  /** As its ClientHello has it. */
  readonly serverName: string | undefined
  /** The connection itself, below TLS. */
  readonly socket: Socket
}

/** Undefined where nobody wants to know: it costs system calls. `device` is the connection, or the TLS on it. */
export function callerOf(
  { disguise, upstream }: Pick<ListenerPlan, 'disguise' | 'upstream'>,
  device: Socket,
  { address, route: told, destination, serverName, socket }: Ends,
): Caller | undefined {
  const { proxyProtocol: announce } = upstream.plan
  if (disguise === undefined && announce === undefined) return undefined
  const here = { address: peerAddress(socket.localAddress), port: socket.localPort ?? 0 }
  const source = { address, port: socket.remotePort ?? 0 }
  const route = told ?? { source, destination: destination ?? here }
  if (announce !== 'v2') return { ...route, disguise }
  const id = crypto.randomUUID()
  if (!(device instanceof TLSSocket)) return { ...route, disguise, id }
  const tls = { version: device.getProtocol() ?? '', cipher: device.getCipher().name }
  return { ...route, disguise, id, tls: serverName === undefined ? tls : { ...tls, serverName } }
}

/** Whether a peer has to begin with a header that says for whom it speaks, and is believed. */
export function isTrustedProxy(
  address: string,
  { trustedProxies }: Pick<ListenerPlan, 'trustedProxies'>,
): boolean {
  if (trustedProxies.length === 0) return false
  const bytes = addressBytes(address)
  return bytes !== undefined && trustedProxies.some((network) => contains(network, bytes))
}
