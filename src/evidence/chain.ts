// The hash chain of the evidence: its lines, how each holds on to the one before, and what they amount to.
import { createHash } from 'node:crypto'

/** Stands before the first line and the first incident. */
export const GENESIS = '0'.repeat(64)

/** What a line says; the order of its fields is the order they are written in. */
export type Entry =
  | {
      readonly kind: 'incident'
      readonly id: string
      /** SHA-256 of the bytes of its incident.json. */
      readonly hash: string
      /** Repeats of it have the same: a hash of upstream, server, verdict, causes and served leaf. */
      readonly key: string
      readonly sessionsHeldBack: number
      readonly applicationBytesSent: number
      /** Milliseconds since 1970. */
      readonly at: number
    }
  | {
      readonly kind: 'repeat'
      readonly id: string
      /** Totals since the incident began, its first sighting included. */
      readonly count: number
      readonly sessionsHeldBack: number
      readonly applicationBytesSent: number
      /** When it was seen last. */
      readonly at: number
    }
  | { readonly kind: 'rotated'; readonly id: string; readonly at: number }

export interface Line {
  readonly sequence: number
  readonly entry: Entry
  /** SHA-256 of the line itself, without its line feed. */
  readonly hash: string
}

/** Where the chain does not hold, and how that shows. */
export interface Break {
  /** A file of the store, with the line where there are lines. */
  readonly where: string
  readonly what: string
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The text of a line, without its line feed, behind a line whose hash is `previous`. */
export function lineText(sequence: number, entry: Entry, previous: string): string {
  return JSON.stringify({ sequence, ...ordered(entry), previous })
}

/** Reads complete lines; every one that does not hold on to the line before it is a break. */
export function readLines(text: string): {
  readonly lines: readonly Line[]
  readonly breaks: readonly Break[]
} {
  const lines: Line[] = []
  const breaks: Break[] = []
  let previous = GENESIS
  const texts = text === '' ? [] : text.slice(0, -1).split('\n')
  for (const [index, one] of texts.entries()) {
    const sequence = index + 1
    const where = `chain.jsonl:${sequence}`
    const hash = sha256(one)
    const read = readLine(one)
    if (read === undefined) breaks.push({ where, what: 'is not a line of this chain' })
    else if (read.previous !== previous) {
      breaks.push({
        where,
        what: 'does not follow the line before it: one of them was changed, removed or moved',
      })
    } else if (read.sequence !== sequence) breaks.push({ where, what: `says it is line ${read.sequence}` })
    else lines.push({ sequence, entry: read.entry, hash })
    previous = hash
  }
  return { lines, breaks }
}

interface ReadLine {
  readonly sequence: number
  readonly entry: Entry
  readonly previous: string
}

function readLine(text: string): ReadLine | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { sequence, previous, ...rest } = value as { sequence: number; previous: string }
  const entry = rest as Entry
  if (!Number.isSafeInteger(sequence) || typeof previous !== 'string' || !isEntry(entry)) return undefined
  // Written by us and by nobody else, byte for byte.
  return lineText(sequence, entry, previous) === text ? { sequence, entry, previous } : undefined
}

const ID = /^\d{6,15}-\d{8}T\d{6}Z$/
const HASH = /^[0-9a-f]{64}$/

/** Whether a text can be the id of an incident; ids are names of folders, so nothing else may be. */
export function isId(text: string): boolean {
  return ID.test(text)
}

export function isHash(text: unknown): text is string {
  return typeof text === 'string' && HASH.test(text)
}

function isEntry(entry: Entry): boolean {
  if (typeof entry.id !== 'string' || !isId(entry.id) || !isMoment(entry.at)) return false
  switch (entry.kind) {
    case 'incident':
      return isHash(entry.hash) && isHash(entry.key) && hasTotals(entry)
    case 'repeat':
      return isCount(entry.count) && hasTotals(entry)
    case 'rotated':
      return true
    default:
      return false
  }
}

function hasTotals(entry: Exclude<Entry, { kind: 'rotated' }>): boolean {
  return isCount(entry.sessionsHeldBack) && isCount(entry.applicationBytesSent)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** A time that can be printed: the years 1970 to 9999. */
function isMoment(value: unknown): boolean {
  return isCount(value) && (value as number) < 253_402_300_800_000
}

function ordered(entry: Entry): Entry {
  const { kind, id, at } = entry
  if (kind === 'rotated') return { kind, id, at }
  const { sessionsHeldBack, applicationBytesSent } = entry
  if (kind === 'repeat') return { kind, id, count: entry.count, sessionsHeldBack, applicationBytesSent, at }
  const { hash, key } = entry
  return { kind, id, hash, key, sessionsHeldBack, applicationBytesSent, at }
}

/** One incident as the chain tells it. */
export interface Told {
  readonly id: string
  readonly sequence: number
  readonly hash: string
  /** Hash of the incident before it, whether or not that one is still kept. */
  readonly previous: string
  readonly key: string
  readonly firstSeen: number
  lastSeen: number
  count: number
  /** Of the repeats and the first sighting together. */
  sessionsHeldBack: number
  applicationBytesSent: number
  rotated: boolean
}

/** What the lines amount to: the incidents in order, and the lines that speak of one there is not. */
export function incidentsOf(lines: readonly Line[]): {
  readonly incidents: ReadonlyMap<string, Told>
  readonly breaks: readonly Break[]
} {
  const incidents = new Map<string, Told>()
  const breaks: Break[] = []
  let previous = GENESIS
  for (const { sequence, entry } of lines) {
    const known = incidents.get(entry.id)
    const where = `chain.jsonl:${sequence}`
    if (entry.kind === 'incident') {
      if (known !== undefined) breaks.push({ where, what: `brings incident ${entry.id} a second time` })
      const { id, hash, key, at, sessionsHeldBack, applicationBytesSent } = entry
      const totals = { count: 1, sessionsHeldBack, applicationBytesSent }
      const number = incidents.size + 1
      const times = { firstSeen: at, lastSeen: at }
      incidents.set(id, { id, sequence: number, hash, previous, key, ...times, ...totals, rotated: false })
      previous = hash
    } else if (known === undefined) {
      breaks.push({ where, what: `speaks of incident ${entry.id}, which no line before it brought` })
    } else if (entry.kind === 'rotated') known.rotated = true
    else {
      const { count, sessionsHeldBack, applicationBytesSent } = entry
      Object.assign(known, { count, sessionsHeldBack, applicationBytesSent, lastSeen: entry.at })
    }
  }
  return { incidents, breaks }
}
