// How many connections the file descriptors of this process are enough for.

import type { Snapshot } from './config/snapshot.ts'
import type { RootLog } from './observe/log.ts'
import { readUsage } from './observe/process.ts'

/** Descriptors kept free of connections, for what comes and goes: the admin's connections, files, probes. */
const spareDescriptors = 12

/**
 * Two descriptors a connection: better told at the start than found out under load. Beyond its descriptors a proxy would
 * accept devices that it cannot dial for, and serve nobody.
 */
export async function capacityFor({ config }: Snapshot, log: Pick<RootLog, 'warn'>): Promise<number> {
  const { maxFiles, openFiles = 0 } = await readUsage()
  if (maxFiles === undefined) return Infinity
  const capacity = Math.max(1, Math.floor((maxFiles - openFiles - spareDescriptors) / 2))
  const wanted = config.listeners.reduce((sum, { limits }) => sum + limits.connections, 0)
  if (capacity >= wanted) return capacity
  const hint = `raise LimitNOFILE or "ulimit -n" to ${wanted * 2 + openFiles + spareDescriptors}, or lower limits.connections`
  const fields = { descriptors: maxFiles, enoughFor: capacity, hint }
  log.warn(fields, 'too few file descriptors for limits.connections')
  return capacity
}
