// Makes the fields of a log line safe: no secrets, no raw bytes, no unprintable text, no more than a bounded size.

import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'

const REDACTED = '[redacted]'
/** Names whose values never reach a log, wherever they stand. `key` alone is one; `keepAlive` is not. */
const SECRET =
  /pass(word|phrase|wd)|secret|token|credential|payload|private_?-?key|^key$|^pfx$|authorization|auth\w*data/i
const DEEPEST = 4
/** Most values in one line, whatever their nesting. */
const MOST = 200
const LONGEST_NAME = 64
const FRAMES = 6
/** Error messages and served chains need more room than a client id. */
const LONGEST_TEXT = 1024

/** What pino puts into every line itself; a field of that name would make the line mean two things. */
const RESERVED = new Set(['level', 'time', 'msg'])

/** The fields as pino may print them; values that have no place in a log become a word in brackets. */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const room = { left: MOST }
  return Object.fromEntries(
    Object.entries(redactEntries(fields, 1, room)).map(([name, value]) => [
      RESERVED.has(name) ? `${name}_` : name,
      value,
    ]),
  )
}

/** Text for a log line: printable, without private keys and without the user part of a URL. */
export function redactText(text: string): string {
  if (text.includes('PRIVATE KEY-----')) return REDACTED
  const bounded = printable(text, LONGEST_TEXT)
  // A user part that the cut left without its @ goes as well; passwords may hold what no URL should, so up to the last @.
  return bounded.includes('://') ? bounded.replaceAll(/:\/\/\S*(@|…$)/gu, `://${REDACTED}$1`) : bounded
}

function redactEntries(fields: object, depth: number, room: { left: number }): Record<string, unknown> {
  const entries: [string, unknown][] = []
  for (const [name, value] of Object.entries(fields)) {
    if (room.left <= 0) break
    entries.push([
      printable(name, LONGEST_NAME),
      SECRET.test(name) ? REDACTED : redactValue(value, depth, room),
    ])
  }
  return Object.fromEntries(entries)
}

function redactValue(value: unknown, depth: number, room: { left: number }): unknown {
  room.left -= 1
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object') return `[${typeof value}]`
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof Date) return Number.isFinite(value.getTime()) ? value.toISOString() : '[no date]'
  if (depth > DEEPEST) return '[deeper]'
  if (value instanceof Error) return redactEntries(describe(value), depth + 1, room)
  if (Array.isArray(value)) {
    const items: unknown[] = []
    for (const item of value.slice(0, room.left)) {
      if (room.left <= 0) break
      items.push(redactValue(item, depth + 1, room))
    }
    return items
  }
  return redactEntries(value, depth + 1, room)
}

/** Errors somebody foresaw carry a code and need no stack; one without is a bug of ours and worth its first frames. */
function describe(error: Error): Record<string, unknown> {
  const told: Record<string, unknown> = { name: error.name, message: messageOf(error) }
  if ('code' in error && typeof error.code === 'string') told['code'] = error.code
  else
    told['stack'] = error.stack
      ?.split('\n')
      .slice(1, 1 + FRAMES)
      .map((frame) => frame.trim())
  if (error instanceof PulsewardError) {
    told['blame'] = error.blame
    told['hint'] = error.hint
  }
  if (error.cause !== undefined) told['cause'] = error.cause
  return told
}
