// A progress bar on a terminal: how far a command has come, redrawn a few times a second, and gone when it is done.

interface ProgressOptions {
  /** Of whatever is counted; 0 where nobody knows. */
  readonly total: number
  readonly write: (text: string) => void
  /** Milliseconds, monotonic. */
  readonly clock: () => number
}

const width = 24
const redrawn = 100

export class Progress implements Disposable {
  readonly #options: ProgressOptions
  #drawnAt = -Infinity

  constructor(options: ProgressOptions) {
    this.#options = options
  }

  /** `note` stands behind the bar. */
  at(done: number, note: string): void {
    const { total, write, clock } = this.#options
    const now = clock()
    if (now - this.#drawnAt < redrawn) return
    this.#drawnAt = now
    // A file that grows while it is read has more than it had.
    const share = total === 0 ? 0 : Math.min(1, done / total)
    const bar = '#'.repeat(Math.round(share * width)).padEnd(width, '-')
    const percent = String(Math.floor(share * 100)).padStart(3)
    write(`\r[${bar}] ${percent} %  ${note}\u001b[K`)
  }

  [Symbol.dispose](): void {
    if (this.#drawnAt > -Infinity) this.#options.write('\r\u001b[K')
  }
}
