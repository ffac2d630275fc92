// A program that runs beside a test: its lines as they come, its end, and its death with the scope.

import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { eventually, soon } from './wait.ts'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ChildOptions extends SpawnOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array
}

export class Child implements AsyncDisposable {
  readonly process: ChildProcess
  readonly #name: string
  readonly #stdout: Buffer[] = []
  readonly #stderr: Buffer[] = []
  /** Settles when it is gone and everything it wrote has been read. */
  readonly ended: Promise<Ended>

  constructor(command: string, args: readonly string[], { input, ...options }: ChildOptions = {}) {
    this.#name = command.split('/').at(-1) ?? command
    const stdin = input === undefined ? 'ignore' : 'pipe'
    this.process = spawn(command, args, { ...options, stdio: [stdin, 'pipe', 'pipe'] })
    this.process.stdout?.on('data', (chunk: Buffer) => this.#stdout.push(chunk))
    this.process.stderr?.on('data', (chunk: Buffer) => this.#stderr.push(chunk))
    // A program that ends before it has read its input must not end the test.
    this.process.stdin?.on('error', () => {})
    this.process.stdin?.end(input)
    this.ended = new Promise((resolve, reject) => {
      this.process.on('error', reject)
      this.process.on('close', (code, signal) => resolve({ code, signal }))
    })
    this.ended.catch(() => {})
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout)
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString()
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** Waits until standard error holds a match; throws at once when the program ends without one. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    return await eventually(
      () => `${String(pattern)} of ${this.#name}: ${this.stderr}`,
      () => {
        const found = pattern.exec(this.stderr)
        if (found === null && !this.running) throw new Error(`${this.#name} ended: ${this.stderr}`)
        return found ?? undefined
      },
    )
  }

  /** Everything it wrote to standard output, once it has ended with 0. */
  async succeeds(): Promise<Buffer> {
    const { code, signal } = await soon(`the end of ${this.#name}`, this.ended)
    if (code === 0) return this.stdout
    throw new Error(`${this.#name} ended with ${code ?? signal}: ${this.stderr}`)
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.process.kill(signal)
    await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) this.process.kill('SIGKILL')
    await this.ended.catch(() => {})
  }
}
