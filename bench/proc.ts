// CPU time, memory and core load as Linux counts them, read from /proc.
import { readFileSync, readdirSync } from 'node:fs'

/** CPU time of some processes since they started, in nanoseconds, counted in two ways. */
export interface CpuTime {
  /** Exact, but only of the threads that still live. */
  readonly living: number
  /** Of every thread there ever was, in steps of 10 ms. */
  readonly ever: number
}

/** Resident memory of some processes, in bytes. */
export interface Memory {
  readonly rss: number
  /** Like `rss`, with each shared page divided among its users. */
  readonly pss: number
}

/** One core since boot, in nanoseconds. */
export interface CoreTime {
  readonly busy: number
  readonly stolen: number
}

/** USER_HZ: 100 on every Linux architecture Node runs on (proc(5), sysconf(3)). */
const TICK = 10_000_000

/** The process and everything below it; one snapshot, so call it when all workers have started. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    const stat = readIfThere(`/proc/${pid}/stat`)
    if (stat !== undefined) parents.set(pid, parseStat(stat).parent)
  }
  const tree = [root]
  for (const member of tree) {
    for (const [pid, parent] of parents) if (parent === member) tree.push(pid)
  }
  return tree
}

export function readCpuTime(pids: readonly number[]): CpuTime {
  let living = 0
  let ever = 0
  for (const pid of pids) {
    ever += parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).ticks * TICK
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readIfThere(`/proc/${pid}/task/${thread}/schedstat`)
      if (text !== undefined) living += parseSchedstat(text)
    }
  }
  return { living, ever }
}

/**
 * CPU time spent between two readings, in nanoseconds. The exact count, unless threads ended in between and took
 * theirs along (stunnel has a thread a connection): the coarse count is then ahead by more than its rounding.
 */
export function cpuBetween(before: CpuTime, after: CpuTime): number {
  const living = after.living - before.living
  const ever = after.ever - before.ever
  return ever - living > 4 * TICK ? ever : living
}

export function readMemory(pids: readonly number[]): Memory {
  const rollups = pids.map((pid) => parseRollup(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')))
  return {
    rss: rollups.reduce((sum, memory) => sum + memory.rss, 0),
    pss: rollups.reduce((sum, memory) => sum + memory.pss, 0),
  }
}

/** @throws {Error} when the machine has no such core. */
export function readCoreTime(core: number): CoreTime {
  const time = parseCore(readFileSync('/proc/stat', 'utf8'), core)
  if (time === undefined) throw new Error(`this machine has no core ${core}`)
  return time
}

/** /proc/PID/stat; the command's name may hold spaces and brackets, so fields count from its last bracket. */
export function parseStat(text: string): { parent: number; ticks: number } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
}

/** /proc/PID/schedstat: nanoseconds on a core, nanoseconds waiting for one, turns. */
export function parseSchedstat(text: string): number {
  return Number(text.split(' ', 1)[0])
}

export function parseRollup(text: string): Memory {
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) * 1024
  return { rss: bytes('Rss'), pss: bytes('Pss') }
}

/** The line of one core in /proc/stat; guest time is already inside user time. */
export function parseCore(text: string, core: number): CoreTime | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`cpu${core} `))
  if (line === undefined) return undefined
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = line
    .split(' ')
    .slice(1)
    .map(Number)
  return { busy: (user + nice + system + irq + softIrq) * TICK, stolen: steal * TICK }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // the thread or process has just ended
  }
}
