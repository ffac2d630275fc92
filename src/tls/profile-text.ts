// Profiles as text: one JSON document a state directory, read field by field, so that nothing but profiles comes out.
import { MOST_VALUES, WEIGHTS } from './profile.ts'
import type { Field, FieldName, Profile, Value } from './profile.ts'

/** By upstream, then by server, `host:port` as in proxy.yaml. */
export type Profiles = Map<string, Map<string, Profile>>

/** Servers kept, all upstreams together. */
export const MOST_PROFILES = 512
/** Longest value; the name of an issuer is the longest there is. */
export const LONGEST_VALUE = 200
const VERSION = 1

export function printProfiles(profiles: Profiles): string {
  const servers = Array.from(profiles, ([upstream, byServer]) =>
    Array.from(byServer, ([server, { fields, ...profile }]) => ({
      upstream,
      server,
      ...profile,
      fields: Object.fromEntries(fields),
    })),
  ).flat()
  return `${JSON.stringify({ version: VERSION, servers }, undefined, 1)}\n`
}

/** Undefined where the text is not what `printProfiles` makes. */
export function parseProfiles(text: string): Profiles | undefined {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, servers } = propertiesOf(document)
  if (version !== VERSION || !Array.isArray(servers) || servers.length > MOST_PROFILES) return undefined
  const profiles: Profiles = new Map()
  for (const one of servers) {
    const { upstream, server } = propertiesOf(one)
    const profile = profileOf(one)
    if (profile === undefined || !isText(upstream) || !isText(server)) return undefined
    const byServer = profiles.get(upstream) ?? new Map<string, Profile>()
    if (byServer.has(server)) return undefined
    profiles.set(upstream, byServer.set(server, profile))
  }
  return profiles
}

function profileOf(given: unknown): Profile | undefined {
  const { since, last, offer, fields, floors } = propertiesOf(given)
  if (!isMoment(since) || !isMoment(last) || !isText(offer)) return undefined
  const { connect, handshake } = propertiesOf(floors)
  if (!isTime(connect) || !isTime(handshake)) return undefined
  const known = new Map<FieldName, Field>()
  for (const [name, one] of Object.entries(propertiesOf(fields))) {
    const field = fieldOf(one)
    if (!isFieldName(name) || field === undefined) return undefined
    known.set(name, field)
  }
  return { since, last, offer, fields: known, floors: { connect, handshake } }
}

function fieldOf(given: unknown): Field | undefined {
  const { since, last, count, values, varies } = propertiesOf(given)
  if (!isMoment(since) || !isMoment(last) || !isCount(count) || typeof varies !== 'boolean') return undefined
  if (!Array.isArray(values) || values.length > MOST_VALUES || (values.length === 0) !== varies)
    return undefined
  const known = values.map(valueOf)
  return known.every((one) => one !== undefined) ? { since, last, count, values: known, varies } : undefined
}

function valueOf(given: unknown): Value | undefined {
  const { value, last, count } = propertiesOf(given)
  return isText(value) && isMoment(last) && isCount(count) ? { value, last, count } : undefined
}

function isFieldName(name: string): name is FieldName {
  return Object.hasOwn(WEIGHTS, name)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 2 * LONGEST_VALUE
}

/** A date that can be written. */
function isMoment(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 8.64e15
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isTime(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && value >= 0 && Number.isFinite(value))
}

function propertiesOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
