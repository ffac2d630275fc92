// What is wrong with proxy.yaml: where, what, and what to do about it.
import { PulsewardError } from '../errors.ts'

/** A mistake, or something worth a second look, at a place in the file; line and column count from 1. */
export interface Diagnostic {
  /** The file as it was named to `loadConfig`. */
  readonly file: string
  readonly line: number
  readonly column: number
  /** `listeners[0].bind`; empty for the whole file. */
  readonly path: string
  readonly message: string
  readonly hint?: string
  readonly severity: 'error' | 'warning'
}

/** A diagnostic before its place in the text is known. */
export interface Problem {
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly hint?: string | undefined
  /** An error unless said otherwise. */
  readonly severity?: 'warning'
  /** Point at the key of the option: it is the key that is wrong, or the value as a whole. */
  readonly atKey?: true
  /** Show what the file has there; its own text, so that what a variable holds is never shown. */
  readonly quote?: true
}

/** proxy.yaml cannot be used; carries everything wrong with it, not the first mistake alone. */
export class ConfigError extends PulsewardError {
  /** In the order of the file; warnings among them. */
  readonly diagnostics: readonly Diagnostic[]

  constructor(file: string, diagnostics: readonly Diagnostic[]) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error')
    const [first] = errors
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
    const message = first === undefined ? `${file} cannot be used` : `${place(first)}${first.message}${more}`
    super('config-invalid', 'config', message, first?.hint === undefined ? {} : { hint: first.hint })
    this.name = 'ConfigError'
    this.diagnostics = diagnostics
  }
}

/** `proxy.yaml:12:7 listeners[0].bind: expected "host:port", got "1883"`, and a line with the hint if there is one. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const hint = diagnostic.hint === undefined ? '' : `\n  hint: ${diagnostic.hint}`
  return `${place(diagnostic)}${diagnostic.message}${hint}`
}

/** The same on one line, for a log. */
export function onOneLine(diagnostic: Diagnostic): string {
  return formatDiagnostic(diagnostic).replaceAll(/\n */g, '; ')
}

/** `listeners[0].bind`, `upstreams["no label"]`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w-]+$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`
    else text += `[${quote(String(key))}]`
  }
  return text
}

/** A text from the file as it may be shown: on one line, of bounded length, without what precedes an `@` in a URL. */
export function quote(text: string): string {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
  return JSON.stringify(shown.replace(/\/\/.*@/s, '//…@')).replaceAll(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e]/g,
    '\ufffd',
  )
}

/** A mistake that is nowhere in particular. */
export function aboutFile(file: string, message: string, hint?: string): Diagnostic {
  return { file, line: 1, column: 1, path: '', message, ...(hint && { hint }), severity: 'error' }
}

function place({ file, line, column, path, severity }: Diagnostic): string {
  const words = [`${file}:${line}:${column}`]
  if (severity === 'warning') words.push('warning:')
  if (path !== '') words.push(`${path}:`)
  return `${words.join(' ')} `
}
