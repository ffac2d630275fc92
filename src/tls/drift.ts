// Drift: in what a trusted server is not as its profile has it, how much each change weighs, and what they amount to.
import { isLink, isSettled, leastOf, linkOf, WEIGHTS } from './profile.ts'
import type { FieldName, Profile, Showing } from './profile.ts'
import { LINK, strengthOf } from './strength.ts'
import type { LinkPart } from './strength.ts'
import type { HandshakeFacts, Objection } from './verdict.ts'

export type TimeName = 'connect-time' | 'handshake-time'

export interface Drift {
  readonly what: FieldName | TimeName
  /** Every value that was expected, as one text. */
  readonly before: string
  readonly after: string
  readonly weight: number
}

/** A link that changed and is as strong as before: an update, most of the time. */
const LIKE = 1

/** How grave drifts are together, as findings say it. */
export type Gravity = 'info' | 'notice' | 'warning' | 'critical'

/** The weakest link still expected of a server; a part that is not known yet is undefined. */
export type Least = Readonly<Record<LinkPart, string | undefined>>

/** Undefined while nothing at all is known for long enough. */
export function leastLink(profile: Profile, settle: number): Least | undefined {
  const version = leastOf(profile, 'version', settle)
  const group = leastOf(profile, 'group', settle)
  const cipher = leastOf(profile, 'cipher', settle)
  if (version === undefined && group === undefined && cipher === undefined) return undefined
  return { version, group, cipher }
}

/** In what a handshake, resumed or not, is weaker than this server ever was. */
export function weakerThan(least: Least, facts: HandshakeFacts): Drift[] {
  const link = linkOf(facts)
  const drifts: Drift[] = []
  for (const part of LINK) {
    const before = least[part]
    const after = link[part]
    if (before === undefined || strengthOf(part, after) >= strengthOf(part, before)) continue
    // A name of a later OpenSSL: whatever it is, it was offered.
    if (part === 'group' && after === 'other') continue
    // TLS 1.2 resumes without any exchange of keys, and then shows none.
    if (part === 'group' && after === 'none' && facts.resumed) continue
    drifts.push({ what: part, before, after, weight: WEIGHTS[part] })
  }
  return drifts
}

/** The same as the judgement on a broker puts it. */
export function judgeProfile(facts: HandshakeFacts, least: Least | undefined): Objection[] {
  if (least === undefined) return []
  return weakerThan(least, facts).map(({ what, before, after }) => ({
    cause: 'weaker-than-learned',
    reason: `it negotiated the ${what} ${after}, and this server was never seen below ${before}`,
  }))
}

/** In what something shown differs from everything known of a server, where what is known is settled; changes nothing. */
export function compare({ fields }: Profile, showing: Showing, settle: number): Drift[] {
  const drifts: Drift[] = []
  for (const key in showing) {
    const what = key as FieldName
    const after = showing[what]
    const field = fields.get(what)
    if (after === undefined || field === undefined || !isSettled(field, settle)) continue
    if (field.values.some(({ value }) => value === after)) continue
    // Stronger is what one hopes for; weaker is told apart, for it is not learnt.
    if (isLink(what) && !field.values.some(({ value }) => isAlike(what, value, after))) continue
    const before = field.values.map(({ value }) => value).join(', ')
    drifts.push({ what, before, after, weight: isLink(what) ? LIKE : WEIGHTS[what] })
  }
  return drifts
}

/** What drifts that came together amount to: one alone may be an update, several at once are another server. */
export function gravityOf(drifts: readonly Drift[]): Gravity {
  // The way may have changed, or somebody stands in it; nobody can tell from the time alone.
  if (drifts.every(({ what }) => what === 'connect-time' || what === 'handshake-time')) return 'info'
  const sum = weightOf(drifts)
  if (sum >= 8) return 'critical'
  if (sum >= 4) return 'warning'
  return sum >= 2 ? 'notice' : 'info'
}

export function weightOf(drifts: readonly Drift[]): number {
  return drifts.reduce((sum, { weight }) => sum + weight, 0)
}

function isAlike(part: LinkPart, one: string, other: string): boolean {
  return strengthOf(part, one) === strengthOf(part, other)
}
