// The profile of one server: what its trusted handshakes and its CONNACKs showed, as small sets of values by field.
import { bulkCipher, LINK, strengthOf } from './strength.ts'
import type { LinkPart } from './strength.ts'
import type { HandshakeFacts } from './verdict.ts'

/** What is remembered of a server, and how much a value it never showed before weighs; see drift.ts. */
export const WEIGHTS = {
  version: 10,
  group: 10,
  cipher: 8,
  issuer: 4,
  'key-type': 3,
  'chain-length': 2,
  tickets: 1,
  'maximum-qos': 2,
  'retain-available': 1,
  'wildcard-available': 1,
  'shared-available': 1,
  'subscription-ids-available': 1,
  'receive-maximum': 1,
  'maximum-packet-size': 1,
  'topic-alias-maximum': 1,
  'server-keep-alive': 1,
} as const satisfies Readonly<Record<string, number>> & Readonly<Record<LinkPart, number>>

export type FieldName = keyof typeof WEIGHTS

/** What one handshake or CONNACK showed. */
export type Showing = Readonly<Partial<Record<FieldName, string>>>

export interface Value {
  readonly value: string
  /** Milliseconds since 1970. */
  last: number
  /** How often its field had been seen then. */
  count: number
}

export interface Field {
  /** Milliseconds since 1970: the first and the last time it was seen. */
  since: number
  last: number
  /** How often it was seen. */
  count: number
  /** Every value it has now; none once it varies too much to say anything. */
  readonly values: Value[]
  varies: boolean
}

export interface Profile {
  /** Milliseconds since 1970. */
  readonly since: number
  last: number
  /** The groups that were offered when it was learnt: which one there is depends on that. */
  offer: string
  readonly fields: Map<FieldName, Field>
  /** The least time that connecting and the TLS handshake took of late, in milliseconds; see rtt.ts. */
  readonly floors: { connect: number | undefined; handshake: number | undefined }
}

/** A field is known from so many sightings on, where they also lie far enough apart. */
const ENOUGH = 8
/** More values than a cluster has configurations. */
export const MOST_VALUES = 8
/** A value not seen for so long and so often is not of this server any more. */
const OLD = 30 * 86_400_000
const OLD_COUNT = 200

export function newProfile(at: number, offer: string): Profile {
  return {
    since: at,
    last: at,
    offer,
    fields: new Map(),
    floors: { connect: undefined, handshake: undefined },
  }
}

/** What a handshake shows of its link; the rest of a profile needs the certificates. */
export function linkOf({ protocol, group, cipher }: HandshakeFacts): Readonly<Record<LinkPart, string>> {
  return { version: protocol, group, cipher: bulkCipher(cipher) }
}

/**
 * Takes what a trusted server showed into its profile; returns whether that was anything new. A link that is weaker than
 * what is known is not taken in, or else whoever brought it about would only have to come twice.
 */
export function learn(profile: Profile, showing: Showing, at: number, settle: number): boolean {
  let isNew = false
  profile.last = Math.max(profile.last, at)
  for (const name in showing) {
    const value = showing[name as FieldName]
    if (value !== undefined && learnField(profile, name as FieldName, value, at, settle)) isNew = true
  }
  return isNew
}

/** Whether enough was seen of a field for long enough, `settle` in milliseconds, to expect the same again. */
export function isSettled({ since, last, count, varies }: Field, settle: number): boolean {
  // By what was seen and not by the clock of now, which may have been set back.
  return count >= ENOUGH && last - since >= settle && !varies
}

/** The weakest value of a link that is still expected; undefined while that is not known. */
export function leastOf({ fields }: Profile, part: LinkPart, settle: number): string | undefined {
  const field = fields.get(part)
  if (field === undefined || !isSettled(field, settle)) return undefined
  let least: string | undefined
  for (const { value } of field.values)
    if (least === undefined || strengthOf(part, value) < strengthOf(part, least)) least = value
  return least
}

/** Forgets the groups seen where we offer others now: which one there is was our choice as much as theirs. */
export function adaptTo(profile: Profile, offer: string): boolean {
  if (profile.offer === offer) return false
  profile.offer = offer
  profile.fields.delete('group')
  return true
}

function learnField(profile: Profile, name: FieldName, value: string, at: number, settle: number): boolean {
  const field = profile.fields.get(name)
  if (field === undefined) {
    const values = [{ value, last: at, count: 1 }]
    profile.fields.set(name, { since: at, last: at, count: 1, values, varies: false })
    return true
  }
  if (field.varies) return false
  const known = field.values.find((one) => one.value === value)
  if (known === undefined && isWeaker(profile, name, value, settle)) return false
  const wasSettled = isSettled(field, settle)
  field.count += 1
  // A clock that was ahead at first must not keep it from ever being known.
  field.since = Math.min(field.since, at)
  field.last = Math.max(field.last, at)
  if (known === undefined) field.values.push({ value, last: at, count: field.count })
  else {
    known.last = Math.max(known.last, at)
    known.count = field.count
  }
  const isShorter = forgetOld(field, at)
  if (field.values.length > MOST_VALUES && !isLink(name)) {
    field.varies = true
    field.values.length = 0
  }
  return known === undefined || isShorter || isSettled(field, settle) !== wasSettled
}

function isWeaker(profile: Profile, name: FieldName, value: string, settle: number): boolean {
  if (!isLink(name)) return false
  const least = leastOf(profile, name, settle)
  return least !== undefined && strengthOf(name, value) < strengthOf(name, least)
}

/** So that a broker which became stronger is held to that in the end. */
function forgetOld({ values, count }: Field, at: number): boolean {
  const old = values.findIndex((one) => at - one.last > OLD && count - one.count >= OLD_COUNT)
  if (old === -1) return false
  values.splice(old, 1)
  return true
}

export function isLink(name: FieldName): name is LinkPart {
  return (LINK as readonly string[]).includes(name)
}
