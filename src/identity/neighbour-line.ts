// One line of `ip neigh` or `ip monitor neigh`, read into an entry of the neighbour table.

import type { NeighbourEntry } from './neighbours.ts'

/** States in which the kernel has heard from the station of late (neighbour(7), NUD_*). */
const heardOf = new Set(['REACHABLE', 'DELAY', 'PERMANENT'])
/** States of entries that say nothing about a station. */
const nobody = new Set(['FAILED', 'INCOMPLETE', 'NOARP', 'NONE'])

/**
 * `192.0.2.7 dev eth0 lladdr 02:00:00:00:00:07 REACHABLE`, with `Deleted ` before an entry that is gone; undefined for
 * whatever else `ip` prints, such as proxy entries. Link-local addresses are of no use here and are left out.
 */
export function readNeighbourLine(line: string): NeighbourEntry | undefined {
  const words = line.trim().split(/\s+/, 16)
  const isGone = words[0] === 'Deleted'
  if (isGone) words.shift()
  const [address = '', dev, , ...rest] = words
  if (dev !== 'dev' || !isAddress(address) || rest.includes('proxy')) return undefined
  const state = rest.findLast((word) => /^[A-Z]+$/.test(word)) ?? ''
  if (state === 'NOARP') return undefined
  const at = rest.indexOf('lladdr')
  const mac = at < 0 ? undefined : rest[at + 1]
  const isThere =
    !isGone && !nobody.has(state) && mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)
  return { address, mac: isThere ? mac : undefined, reachable: isThere && heardOf.has(state) }
}

function isAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return true
  return text.length <= 45 && text.includes(':') && /^[0-9a-f:.]+$/.test(text) && !text.startsWith('fe80:')
}
