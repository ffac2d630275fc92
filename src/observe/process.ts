// What Node and the operating system say about this process: CPU, memory, file descriptors, event-loop lag.

import { readdir, readFile, stat } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { cpuUsage, memoryUsage, versions } from 'node:process'

export interface ProcessUsage {
  readonly cpuSeconds: number
  readonly residentBytes: number
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  readonly externalBytes: number
  /** Undefined where /proc is missing or out of reach (other systems, `node --permission`). */
  readonly openFiles: number | undefined
  readonly maxFiles: number | undefined
}

export interface Lag {
  /** Seconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export const runtime: { readonly node: string; readonly openssl: string } = {
  node: versions.node,
  openssl: versions.openssl ?? 'none',
}

/** One reading; asynchronous, because listing ten thousand descriptors must not stop the proxy. */
export async function readUsage(): Promise<ProcessUsage> {
  const [openFiles, maxFiles] = await Promise.all([countOpenFiles(), readFileLimit()])
  const cpu = cpuUsage()
  const memory = memoryUsage()
  return {
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    residentBytes: memory.rss,
    heapUsedBytes: memory.heapUsed,
    heapTotalBytes: memory.heapTotal,
    externalBytes: memory.external,
    openFiles,
    maxFiles,
  }
}

const RESOLUTION = 20
const WINDOW = 5000

/**
 * Event-loop lag over a window that ends when somebody asks, at least five seconds after the last one ended: two
 * Prometheus servers that scrape one after the other see the same figures instead of robbing each other.
 */
export class LoopLag implements Disposable {
  readonly #clock: () => number
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  #last: Lag | undefined
  #begun: number

  constructor(clock: () => number) {
    this.#clock = clock
    this.#begun = clock()
    this.#histogram.enable()
  }

  read(): Lag {
    const now = this.#clock()
    if (this.#last !== undefined && now - this.#begun < WINDOW) return this.#last
    this.#last = {
      p50: lateness(this.#histogram.percentile(50)),
      p99: lateness(this.#histogram.percentile(99)),
      max: lateness(this.#histogram.max),
    }
    this.#histogram.reset()
    this.#begun = now
    return this.#last
  }

  [Symbol.dispose](): void {
    this.#histogram.disable()
  }
}

/** The monitor records the time between two of its timers, its own interval included. */
function lateness(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - RESOLUTION / 1e3)
}

async function countOpenFiles(): Promise<number | undefined> {
  try {
    // Linux 6.2 and later tell the number of descriptors as the size of the directory; before, it is 0.
    const { size } = await stat('/proc/self/fd')
    return size > 0 ? size : (await readdir('/proc/self/fd')).length
  } catch {
    return undefined
  }
}

async function readFileLimit(): Promise<number | undefined> {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(await readFile('/proc/self/limits', 'latin1'))?.[1]
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}
