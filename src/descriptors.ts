// How many connections the file descriptors of this process are enough for.

import { readUsage } from './observe/process.ts'

export interface Capacity {
  /** Most descriptors, by the limit of the process. */
  readonly descriptors: number
  /** Connections of devices, each with one to the broker. */
  readonly connections: number
  /** The limit that would be enough for `wanted` connections. */
  readonly needed: (wanted: number) => number
}

/** Kept free of connections, for what comes and goes: the admin's connections, files, probes. */
const spare = 12

/** Undefined where the system sets no limit that can be read. */
export async function capacity(): Promise<Capacity | undefined> {
  const { maxFiles, openFiles = 0 } = await readUsage()
  if (maxFiles === undefined) return undefined
  return {
    descriptors: maxFiles,
    connections: Math.max(1, Math.floor((maxFiles - openFiles - spare) / 2)),
    needed: (wanted) => wanted * 2 + openFiles + spare,
  }
}
