// Whether a certificate of a broker's path was revoked: by the lists in force, and by the staple the broker sent along.
import type { X509Certificate } from 'node:crypto'
import { printable } from '../printable.ts'
import type { CrlShelf, Standing } from './crl-source.ts'
import { factsOf } from './extensions.ts'
import type { WeakCertificates } from './limits.ts'
import { faultAt, SKEW } from './staple.ts'
import type { Staple, StapleMemory } from './staple.ts'
import type { HandshakeFacts, Objection } from './verdict.ts'
import { momentText } from './words.ts'

export interface RevocationSettings {
  /** `off` asks for none; `check` judges one that comes; `require` refuses a broker without a good one. */
  readonly staple: 'off' | 'check' | 'require'
  /** What happens to a broker about which neither list nor staple says that it is good. */
  readonly unknown: 'accept' | 'refuse'
  readonly lists: CrlShelf
}

export interface RevocationFindings {
  readonly objections: readonly Objection[]
  readonly remarks: readonly string[]
  /** One that says the leaf is good. */
  readonly staple: Staple | undefined
}

const NOTHING: RevocationFindings = { objections: [], remarks: [], staple: undefined }

/**
 * What lists and staple say about every member of a verified path but the anchor. What once was revoked stays so: lists
 * and staples that are out of date still count for what they revoke, and for nothing else. A resumed session brings no
 * staple: the one of its first handshake stands for it, the lists are those of now.
 */
export function judgeRevocation(
  facts: HandshakeFacts,
  path: readonly X509Certificate[],
  settings: RevocationSettings | undefined,
  { staples, weak }: { readonly staples: StapleMemory; readonly weak: WeakCertificates },
): RevocationFindings {
  const [leaf, issuer] = path
  if (settings === undefined || leaf === undefined || issuer === undefined) return NOTHING
  const { staple, objections, remarks } = facts.resumed
    ? { ...NOTHING, staple: facts.earlier?.staple }
    : judgeStaple(facts, leaf, issuer, settings, { staples, weak })
  if (settings.lists.sources.length === 0 && settings.unknown === 'accept') {
    return { objections, remarks, staple }
  }
  const standings = settings.lists.standingsOf(path)
  const isGood = staple !== undefined && faultAt(staple, facts.at) === undefined
  const unknown = standings.flatMap((standing, position) =>
    position === 0 && isGood ? [] : doubtsAbout(standing, facts.at),
  )
  const refused = settings.unknown === 'refuse' ? unknown : []
  return {
    objections: [
      ...objections,
      ...standings.flatMap(revokedBy),
      ...refused.map((reason): Objection => ({ cause: 'revocation-unknown', reason })),
    ],
    remarks: refused.length > 0 ? remarks : [...remarks, ...unknown],
    staple,
  }
}

function judgeStaple(
  { staple: bytes, at }: HandshakeFacts,
  leaf: X509Certificate,
  issuer: X509Certificate,
  { staple: mode }: RevocationSettings,
  { staples, weak }: { readonly staples: StapleMemory; readonly weak: WeakCertificates },
): RevocationFindings {
  if (mode === 'off') return NOTHING
  const isPromised = factsOf(leaf)?.mustStaple === true
  const isDemanded = mode === 'require' || isPromised
  if (bytes === undefined) {
    if (!isDemanded) return NOTHING
    const why = isPromised ? 'its certificate is only to be taken with one' : 'one is required'
    const reason = `it sent no OCSP response along, and ${why}`
    return { ...NOTHING, objections: [{ cause: 'staple-missing', reason }] }
  }
  const stapled = staples.read(bytes, leaf, issuer, weak)
  const fault = 'fault' in stapled ? printable(stapled.fault) : blameOf(stapled.staple, at)
  if ('staple' in stapled && stapled.staple.status === 'revoked') {
    const { at: when = Number.NaN, why = '' } = stapled.staple.revocation ?? {}
    const reason = `its certificate was revoked on ${momentText(new Date(when))} (${why}), says the OCSP response it sent along`
    return { ...NOTHING, objections: [{ cause: 'revoked', reason }] }
  }
  if ('staple' in stapled && fault === undefined) return { ...NOTHING, staple: stapled.staple }
  const reason = `the OCSP response it sent along does not count: ${fault}`
  return isDemanded
    ? { ...NOTHING, objections: [{ cause: 'staple-invalid', reason }] }
    : { ...NOTHING, remarks: [reason] }
}

function blameOf(staple: Staple, at: number): string | undefined {
  return staple.status === 'unknown' ? 'the responder knows no such certificate' : faultAt(staple, at)
}

function revokedBy({ subject, revoked }: Standing): Objection[] {
  return revoked === undefined
    ? []
    : [{ cause: 'revoked', reason: `"${subject}" was ${revoked}, says a list of its issuer` }]
}

/** Why lists do not clear a member now; none where one does, or where it is revoked anyway. */
function doubtsAbout({ subject, revoked, spans, forged, leftOut }: Standing, at: number): string[] {
  if (revoked !== undefined || spans.some(({ from, until }) => from <= at + SKEW && at <= until)) return []
  const last = Math.max(...spans.map(({ until }) => until))
  const open = `whether "${subject}" is revoked is not known`
  if (spans.length > 0 && last < at) {
    return [`${open}: the list of its issuer counted until ${momentText(new Date(last))}`]
  }
  if (spans.length > 0) return [`${open}: the list of its issuer is of a time yet to come`]
  if (leftOut) return [`${open}: the list of its issuer is about other certificates`]
  return forged
    ? [`${open}: a list bears the name of its issuer and not its signature`]
    : [`${open}: there is no list of its issuer`]
}
