// The kernel's own form of an address and a port: sockaddr_in and sockaddr_in6 of Linux on a little-endian machine.

import { addressBytes, addressText, type Endpoint } from './address.ts'

/** Linux's numbers (bits/socket.h). */
export const AF_INET = 2
export const AF_INET6 = 10

/** Bytes of a sockaddr_in6, the longer of the two. */
export const sockaddrSize = 28

/** Reads what a system call left; undefined where it is of another family, or too short for its own. */
export function readSockaddr(bytes: Uint8Array): Endpoint | undefined {
  if (bytes.length < 2) return undefined
  const family = bytes[0]! | (bytes[1]! << 8)
  const [start, end] = family === AF_INET ? [4, 8] : family === AF_INET6 ? [8, 24] : [0, Infinity]
  if (bytes.length < end) return undefined
  const address = addressText(bytes.subarray(start, end))
  return address === undefined ? undefined : { address, port: (bytes[2]! << 8) | bytes[3]! }
}

/** 16 or 28 bytes for a system call to read; undefined for what is no address, or a port that is none. */
export function writeSockaddr({ address, port }: Endpoint): Uint8Array | undefined {
  const host = addressBytes(address)
  if (host === undefined || !Number.isInteger(port) || port < 0 || port > 0xffff) return undefined
  const isV4 = host.length === 4
  const bytes = new Uint8Array(isV4 ? 16 : sockaddrSize)
  bytes[0] = isV4 ? AF_INET : AF_INET6
  bytes[2] = port >> 8
  bytes[3] = port & 0xff
  bytes.set(host, isV4 ? 4 : 8)
  return bytes
}
