// The kernel's neighbour table, live: `ip monitor neigh` for what changes and `ip neigh` for what is there.

import { spawn, type ChildProcess } from 'node:child_process'
import { readNeighbourLine } from '../identity/neighbour-line.ts'
import type { NeighbourEntry } from '../identity/neighbours.ts'

export type FeedState = 'on' | 'off' | 'restarting'

interface FeedDeps {
  readonly entry: (entry: NeighbourEntry) => void
  /** Told when it begins to work, stops working, or cannot work at all; `why` is for people. */
  readonly state: (state: FeedState, why: string) => void
  /** The program, for tests. */
  readonly command?: string
}

/** Longest line that is read; the longest of `ip` is a fraction of it. */
const longestLine = 512
/** Time before it is started again after it ended; milliseconds. */
const backoff = { least: 500, most: 60_000 }
/** After so many milliseconds of work the next end is a fresh one. */
const settled = 30_000

export class NeighbourFeed implements Disposable {
  readonly #deps: FeedDeps
  readonly #children = new Set<ChildProcess>()
  #timer: NodeJS.Timeout | undefined
  #wait = backoff.least
  #isOver = false

  constructor(deps: FeedDeps) {
    this.#deps = deps
    this.#start()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    for (const child of this.#children) child.kill('SIGKILL')
  }

  #start(): void {
    const began = performance.now()
    const monitor = this.#run(['monitor', 'neigh'])
    monitor.once('spawn', () => {
      this.#deps.state('on', '')
      // What changes from here on is told by the monitor, what was before by this; both may tell the same.
      this.#run(['neigh', 'show']).on('error', () => {})
    })
    let isMissing = false
    monitor.once('error', (error: NodeJS.ErrnoException) => {
      isMissing = error.code === 'ENOENT' || error.code === 'EACCES'
    })
    monitor.once('close', (code, signal) => {
      if (this.#isOver) return
      if (isMissing) return this.#deps.state('off', 'there is no program "ip" (Debian: iproute2)')
      if (performance.now() - began > settled) this.#wait = backoff.least
      this.#deps.state('restarting', `"ip monitor neigh" ended with ${code ?? signal}`)
      this.#timer = setTimeout(() => this.#start(), this.#wait).unref()
      this.#wait = Math.min(this.#wait * 2, backoff.most)
    })
  }

  #run(args: readonly string[]): ChildProcess {
    const child = spawn(this.#deps.command ?? 'ip', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    // It must not keep a proxy alive that has nothing else to do.
    child.unref()
    const take = lines((line) => {
      const entry = readNeighbourLine(line)
      if (entry !== undefined && !this.#isOver) this.#deps.entry(entry)
    })
    child.stdout?.setEncoding('latin1').on('data', take)
    return child
  }
}

/** Cuts text into lines; what is longer than any line of `ip` is left out up to its end. */
export function lines(each: (line: string) => void): (text: string) => void {
  let rest = ''
  let isTooLong = false
  return (text) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) {
      if (!isTooLong && line.length <= longestLine) each(line)
      isTooLong = false
    }
    if (rest.length <= longestLine) return
    rest = ''
    isTooLong = true
  }
}
