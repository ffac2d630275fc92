// Addresses of peers as one stable text: the key of per-address limits and what logs show.

import { isIPv6 } from 'node:net'

/** An IPv4 address that a dual-stack socket shows as `::ffff:…` is shown as IPv4, so that one peer has one name. */
export function peerAddress(remote: string | undefined): string {
  if (remote === undefined) return 'unknown'
  return remote.startsWith('::ffff:') && remote.includes('.') ? remote.slice(7) : remote
}

/** `host:port`, with brackets around IPv6. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}
