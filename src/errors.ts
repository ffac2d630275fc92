// Every error Pulseward raises: a code, who is to blame, what was seen, and what to do next.

/** The party whose behaviour has to change for the error to go away. */
export type Blame = 'device' | 'broker' | 'config' | 'proxy'

interface ErrorOptions {
  /** What an administrator does next; lowercase, no full stop. */
  readonly hint?: string
  readonly cause?: unknown
}

export class PulsewardError extends Error {
  /** Stable, lowercase, dash-separated; public surface. */
  readonly code: string
  readonly blame: Blame
  readonly hint: string | undefined

  constructor(code: string, blame: Blame, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'PulsewardError'
    this.code = code
    this.blame = blame
    this.hint = options.hint
  }
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return text.replaceAll(/\s+/g, ' ').trim()
}
