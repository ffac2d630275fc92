// Addresses of peers as one stable text, the key of per-address limits and what logs show, and the bytes they stand for.

import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** One end of a connection: an IP address without brackets, and a port. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:…` is shown as IPv4, so that one peer has one name. */
export function peerAddress(remote: string | undefined): string {
  if (remote === undefined) return 'unknown'
  return remote.startsWith('::ffff:') && remote.includes('.') ? remote.slice(7) : remote
}

/** `host:port`, with brackets around IPv6. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** The text of 4 or 16 bytes in network order, as Node spells the addresses of sockets; undefined for other lengths. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at]! << 8) | bytes[at + 1]!).toString(16))
  return peerAddress(new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address)
}

/** The 4 or 16 bytes of an IP address; undefined for anything else, one with a zone (`%eth0`) included. */
export function addressBytes(address: string): Uint8Array | undefined {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number)
  if (!isIPv6(address) || address.includes('%')) return undefined
  const [head = '', tail] = address.split('::')
  const front = groupBytes(head)
  const back = groupBytes(tail ?? '')
  const bytes = new Uint8Array(16)
  bytes.set(front)
  bytes.set(back, 16 - back.length)
  return bytes
}

/** `2001:db8` as four bytes; the last group may be an IPv4 address (RFC 4291, 2.2). */
function groupBytes(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
