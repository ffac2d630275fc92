// A block of IP addresses, and whether an address lies in it.

import { addressBytes } from './address.ts'

export interface Network {
  /** The first address of the block; its length says which family it is of. */
  readonly base: Uint8Array
  /** Bits that all its addresses share. */
  readonly prefix: number
  /** `192.0.2.0/24`, as rules for the kernel have it. */
  readonly text: string
}

/** Undefined where `address` is no address, the prefix does not fit it, or bits are set beyond the prefix. */
export function networkOf(address: string, prefix: number): Network | undefined {
  const base = addressBytes(address)
  if (base === undefined || !Number.isInteger(prefix) || prefix < 0 || prefix > base.length * 8)
    return undefined
  for (let bit = prefix; bit < base.length * 8; bit++)
    if ((base[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) return undefined
  return { base, prefix, text: `${address}/${prefix}` }
}

/** `address` as `addressBytes` gives it. */
export function contains({ base, prefix }: Network, address: Uint8Array): boolean {
  if (address.length !== base.length) return false
  const whole = prefix >> 3
  for (let at = 0; at < whole; at++) if (address[at] !== base[at]) return false
  const rest = prefix & 7
  return rest === 0 || (address[whole]! ^ base[whole]!) >> (8 - rest) === 0
}
