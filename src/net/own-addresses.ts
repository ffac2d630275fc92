// Whether an IP address is one of this machine's, as it stands now.

import { networkInterfaces } from 'node:os'
import { peerAddress } from './address.ts'

/** Asks the kernel each time, some 100 µs: addresses come and go. */
export function isHere(address: string): boolean {
  return Object.values(networkInterfaces()).some((all) =>
    all?.some((one) => peerAddress(one.address) === address),
  )
}
