// Starts the benchmark's processes, each on its own core, talks to them, and leaves none behind.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Answer, Call, Methods } from './worker.ts'

/** The proxy under test has this core for itself. */
export const PROXY_CORE = 0
/** The sink, the load and the benchmark itself share this one. */
export const LOAD_CORE = 1

const CALL_TIMEOUT = 60_000
const LOG_TAIL = 1_500

interface Launch {
  /** Program and arguments; never a shell string. */
  readonly argv: readonly [string, ...string[]]
  readonly core: number
  /** The file that takes its output, shown in part when it fails. */
  readonly log: string
}

const running = new Set<Child>()
process.on('exit', killAll)
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => process.exit(code))
}

/** Ends every process started here; whoever waits for one of them then fails. */
export function killAll(): void {
  for (const child of running) child.kill()
}

export class Child implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #log: string
  readonly #ended: Promise<void>

  constructor({ argv, core, log }: Launch, stdio: readonly 'ipc'[] = []) {
    const output = openSync(log, 'a', 0o600)
    // prlimit and taskset replace themselves by the program, so its process id is the one spawned here. A group of
    // its own lets `kill` reach workers too, such as nginx's.
    const limits = `--nofile=${openFilesLimit()}:${openFilesLimit()}`
    this.#process = spawn('prlimit', [limits, 'taskset', '-c', String(core), ...argv], {
      stdio: ['ignore', output, output, ...stdio],
      detached: true,
    })
    closeSync(output)
    this.#log = log
    running.add(this)
    this.#ended = new Promise<void>((resolve) => {
      this.#process.once('error', () => resolve())
      this.#process.once('exit', () => resolve())
    }).then(() => void running.delete(this))
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error('the process did not start')
    return this.#process.pid
  }

  get hasEnded(): boolean {
    return !running.has(this)
  }

  get ended(): Promise<void> {
    return this.#ended
  }

  get channel(): ChildProcess {
    return this.#process
  }

  /** The last lines it wrote, for an error message. */
  lastWords(): string {
    return readFileSync(this.#log, 'utf8').slice(-LOG_TAIL).trim()
  }

  /** Ends the process and everything in its group at once. */
  kill(): void {
    if (this.#process.pid === undefined) return
    try {
      process.kill(-this.#process.pid, 'SIGKILL')
    } catch {
      // gone already
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.#ended
  }
}

/** A process of the benchmark's own, on the load core, whose methods can be called. */
export class Worker<Api extends Methods> implements AsyncDisposable {
  readonly #child: Child
  readonly #name: string
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #calls = 0

  /** @param name the file beside this one, without its ending */
  constructor(name: string, log: string) {
    const path = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
    this.#name = name
    this.#child = new Child({ argv: [process.execPath, path], core: LOAD_CORE, log }, ['ipc'])
    this.#child.channel.on('message', (message) => {
      const answer = message as Answer
      this.#waiting.get(answer.id)?.(answer)
    })
    void this.#child.ended.then(() => this.#abandonCalls())
  }

  get pid(): number {
    return this.#child.pid
  }

  /** @throws {Error} naming worker and method, when it fails, ends or takes longer than a minute. */
  async call<Name extends keyof Api & string>(
    method: Name,
    ...params: Parameters<Api[Name]>
  ): Promise<Awaited<ReturnType<Api[Name]>>> {
    const answer = await this.#exchange({ id: ++this.#calls, method, params: params[0] })
    if (answer.error !== undefined) throw new Error(`${this.#name} ${method}: ${answer.error}`)
    return answer.result as Awaited<ReturnType<Api[Name]>>
  }

  #exchange(call: Call): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const fail = (error: string) => resolve({ id: call.id, error })
    const timer = setTimeout(() => fail(`no answer within ${CALL_TIMEOUT / 1000} s`), CALL_TIMEOUT)
    this.#waiting.set(call.id, resolve)
    if (this.#child.hasEnded) fail(`the worker has ended: ${this.#child.lastWords()}`)
    else this.#child.channel.send(call, (error) => error && fail(error.message))
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiting.delete(call.id)
    })
  }

  #abandonCalls(): void {
    for (const [id, resolve] of this.#waiting) {
      resolve({ id, error: `the worker has ended: ${this.#child.lastWords()}` })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
  }
}

/** As many open files as this process may grant its children: its own hard limit. */
function openFilesLimit(): number {
  const limit = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === undefined ? 4096 : Number(limit)
}
