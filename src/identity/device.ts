// The record of one device: the values of every trait it was seen with, what speaks against it, and how it is written.

import { stageOf, suspicion, type Evidence } from './suspicion.ts'
import { keyOf, traits, type Observation, type Trait, type Traits } from './observation.ts'
import { isSignalName } from './signals.ts'

export interface DeviceRecord {
  readonly realm: string
  readonly clientId: string
  /** Where it was seen last. */
  readonly listener: string
  /** Milliseconds since 1970. */
  readonly firstSeen: number
  readonly lastSeen: number
  /** Sessions its broker accepted. */
  readonly sessions: number
  /** When an administrator vouched for it, in milliseconds since 1970; 0 if nobody did. */
  readonly approvedAt: number
  /** Values it may have, the one seen last first. */
  readonly known: { readonly [Name in Trait]?: readonly string[] }
  /** What was seen last and is held against it; approving the device makes it known. */
  readonly pending: Traits
  /** Least round-trip time ever, in milliseconds; undefined where it was never measured. */
  readonly roundTrip: number | undefined
  readonly evidence: readonly Evidence[]
}

/** Values of one trait that are remembered: networks and cards a device changes between, software it goes back to. */
const mostValues = 4
/** Longest text of a trait. */
const longestValue = 200

/** The record of a device that was never seen. */
export function firstSight(seen: Observation): DeviceRecord {
  const { realm, clientId, listener, at } = seen
  const blank = { sessions: 0, approvedAt: 0, known: none, pending: none, evidence: unsuspected }
  const roundTrip = undefined
  return { realm, clientId, listener, firstSeen: at, lastSeen: at, ...blank, roundTrip }
}

/** After a session that the broker accepted and nothing grave speaks against: what was seen becomes known. */
export function learned(record: DeviceRecord, seen: Observation): DeviceRecord {
  const floor = Math.min(record.roundTrip ?? Infinity, seen.roundTrip ?? Infinity)
  return {
    ...attended(record, seen),
    known: withTraits(record.known, seen.traits),
    pending: none,
    roundTrip: floor === Infinity ? undefined : floor,
  }
}

/** Where an open session is, as the neighbour table came to know it. */
export function located(record: DeviceRecord, seen: Observation): DeviceRecord {
  const { mac, address } = seen.traits
  return { ...record, known: withTraits(record.known, { mac, address }) }
}

/** After a session that is held against the device: nothing of it becomes known. */
export function attended(record: DeviceRecord, seen: Observation): DeviceRecord {
  return {
    ...record,
    listener: seen.listener,
    lastSeen: Math.max(record.lastSeen, seen.at),
    sessions: record.sessions + 1,
  }
}

/** An administrator vouches for the device as it is now. */
export function approved(record: DeviceRecord, at: number): DeviceRecord {
  const known = withTraits(record.known, record.pending)
  return { ...record, approvedAt: at, known, pending: none, evidence: unsuspected, roundTrip: undefined }
}

/** What is said of a device in lists and counts. */
export type Standing = 'approved' | 'known' | 'new' | 'suspected'

export function standingOf({ evidence, approvedAt, sessions }: DeviceRecord, now: number): Standing {
  if (stageOf(suspicion(evidence, now)) !== undefined) return 'suspected'
  if (approvedAt > 0) return 'approved'
  return sessions > 1 ? 'known' : 'new'
}

export function keyOfRecord({ realm, clientId }: DeviceRecord): string {
  return keyOf(realm, clientId)
}

/** The record as one line of JSON. */
export function write(record: DeviceRecord): string {
  return JSON.stringify(record)
}

/** Reads what `write` wrote; undefined for anything else. Never throws. */
export function read(text: string): DeviceRecord | undefined {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(found)) return undefined
  const { realm, clientId, listener, firstSeen, lastSeen, sessions, approvedAt } = found
  const { known, pending, roundTrip, evidence } = found
  if (!isText(realm) || !isText(clientId) || !isText(listener)) return undefined
  if (!isCount(firstSeen) || !isCount(lastSeen) || !isCount(sessions) || !isCount(approvedAt))
    return undefined
  if (!isObject(known) || !isObject(pending) || !Array.isArray(evidence)) return undefined
  if (roundTrip !== undefined && !isCount(roundTrip)) return undefined
  return {
    realm,
    clientId,
    listener,
    firstSeen,
    lastSeen,
    sessions,
    approvedAt,
    known: readKnown(known),
    pending: readPending(pending),
    roundTrip,
    evidence: evidence.length === 0 ? unsuspected : evidence.filter(isEvidence),
  }
}

const none: Readonly<Record<string, never>> = Object.freeze({})
const unsuspected: readonly Evidence[] = Object.freeze([])

function withTraits(known: DeviceRecord['known'], seen: Traits): DeviceRecord['known'] {
  let next: Record<string, readonly string[]> | undefined
  for (const trait of traits) {
    const value = seen[trait]?.slice(0, longestValue)
    const values = known[trait] ?? []
    if (value === undefined || values[0] === value) continue
    next ??= { ...known }
    next[trait] = [value, ...values.filter((one) => one !== value)].slice(0, mostValues)
  }
  return next ?? known
}

function readKnown(found: Readonly<Record<string, unknown>>): DeviceRecord['known'] {
  const known: Record<string, readonly string[]> = {}
  for (const trait of traits) {
    const values = found[trait]
    if (Array.isArray(values) && values.length > 0) known[trait] = values.filter(isText).slice(0, mostValues)
  }
  return known
}

function readPending(found: Readonly<Record<string, unknown>>): Traits {
  let pending: Record<string, string> | undefined
  for (const trait of traits) {
    const value = found[trait]
    if (isText(value)) (pending ??= {})[trait] = value
  }
  return pending ?? none
}

function isEvidence(found: unknown): found is Evidence {
  if (!isObject(found)) return false
  const { name, before, after, at } = found
  return isText(name) && isSignalName(name) && isText(before) && isText(after) && isCount(at)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
