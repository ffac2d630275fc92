// What the kernel knows of a device's connection: the SYN it began with, and the least round trip.

import { descriptorOf, type Native } from '../net/native.ts'
import { parseSyn, synProfile } from '../net/syn.ts'
import type { SocketReaders } from './registrar.ts'

/** Readers that know nothing where there are no native calls, or the kernel does not tell. */
export function readersOf(native: Native | undefined): SocketReaders {
  return {
    syn: (socket) => {
      const fd = descriptorOf(socket)
      const bytes = fd === undefined ? undefined : native?.readSyn(fd)
      const syn = bytes && parseSyn(bytes)
      return syn && { profile: synProfile(syn), hops: syn.hops, mac: syn.mac }
    },
    roundTrip: (socket) => {
      const fd = descriptorOf(socket)
      const microseconds = fd === undefined ? undefined : native?.readMinRtt(fd)
      return microseconds === undefined ? undefined : microseconds / 1000
    },
  }
}
