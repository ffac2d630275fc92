// How many connections the file descriptors of this process are enough for.

import type { ListenerConfig } from './config/schema.ts'
import type { Log } from './observe/log.ts'
import { readUsage } from './observe/process.ts'

/** Kept free of connections, for what comes and goes: the admin's connections, files, probes. */
const spare = 12

/**
 * Connections of devices, each with one to the broker: beyond them a proxy would accept devices that it cannot dial for,
 * and serve nobody. Where the listeners may take more, the log says so: better at the start than found out under load.
 */
export async function capacityFor(
  listeners: readonly ListenerConfig[],
  log: Pick<Log, 'warn'>,
): Promise<number> {
  const { maxFiles, openFiles = 0 } = await readUsage()
  if (maxFiles === undefined) return Infinity
  const capacity = Math.max(1, Math.floor((maxFiles - openFiles - spare) / 2))
  const wanted = listeners.reduce((sum, { limits }) => sum + limits.connections, 0)
  if (capacity >= wanted) return capacity
  const hint = `raise LimitNOFILE or "ulimit -n" to ${wanted * 2 + openFiles + spare}, or lower limits.connections`
  log.warn(
    { descriptors: maxFiles, enoughFor: capacity, hint },
    'too few file descriptors for limits.connections',
  )
  return capacity
}
