// Makes the fields of a log line safe: no secrets, no raw bytes, no unprintable text, no more than a bounded size.

import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'

const REDACTED = '[redacted]'
/** Names whose values never reach a log, wherever they stand. `key` alone is one; `keepAlive` is not. */
const SECRET =
  /pass(word|phrase|wd)|secret|shared_?-?keys?|token|credential|payload|private_?-?key|^key$|^pfx$|authorization|auth\w*data/i
const DEEPEST = 4
/** Most values in one line, whatever their nesting. */
const MOST = 200
const LONGEST_NAME = 64
const FRAMES = 6
/** Error messages and served chains need more room than a client id. */
const LONGEST_TEXT = 1024

/** The fields as pino may print them; values that have no place in a log become a word in brackets. */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactEntries(fields, 1, { left: MOST })
}

/** Text for a log line: printable, without private keys and without the user part of a URL. */
export function redactText(text: string): string {
  if (text.includes('PRIVATE KEY-----')) return REDACTED
  const bounded = printable(text, LONGEST_TEXT)
  // A user part that the cut left without its @ goes as well; passwords may hold what no URL should, so up to the last @.
  return bounded.includes('://') ? bounded.replaceAll(/:\/\/\S*(@|…$)/gu, `://${REDACTED}$1`) : bounded
}

function redactEntries(fields: object, depth: number, room: { left: number }): Record<string, unknown> {
  const told: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (room.left <= 0) break
    const { shown, outermost, isSecret } = nameOf(name)
    told[depth === 1 ? outermost : shown] = isSecret ? REDACTED : redactValue(value, depth, room)
  }
  return told
}

/** What a line makes of a field's name. */
interface FieldName {
  readonly shown: string
  /** Where it is a field of the line itself. */
  readonly outermost: string
  readonly isSecret: boolean
}

/** Two lines are written for every session, and their names are always the same. */
const names = new Map<string, FieldName>()
const MOST_NAMES = 512

function nameOf(name: string): FieldName {
  const known = names.get(name)
  if (known !== undefined) return known
  const bounded = printable(name, LONGEST_NAME)
  const shown = bounded === '__proto__' ? '__proto___' : bounded
  const fresh = {
    shown,
    outermost: RESERVED.has(shown) ? `${shown}_` : shown,
    isSecret: SECRET.test(name),
  }
  if (names.size < MOST_NAMES) names.set(name, fresh)
  return fresh
}

/** What pino puts into every line itself; a field of that name would make the line mean two things. */
const RESERVED = new Set(['level', 'time', 'msg'])

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
