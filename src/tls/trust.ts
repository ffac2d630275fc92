// The judgement on a broker's handshake: identity, dates, version and group; every reason, the worst first.
import type { TrustAnchors } from './anchors.ts'
import { isPostQuantum } from './groups.ts'
import type { PostQuantum } from './groups.ts'
import type { WeakCertificates } from './limits.ts'
import type { FirstUse } from './first-use.ts'
import { examine, isExpired, isInDate, isNotYetValid, judgePins } from './identify.ts'
import type { Examination } from './identify.ts'
import { TrustMemory } from './memory.ts'
import { pinOf, samePin } from './pins.ts'
import { asPin, isDated } from './pinset.ts'
import type { Pin } from './pinset.ts'
import { judgeProfile } from './drift.ts'
import type { Least } from './drift.ts'
import { judgeRevocation } from './revocation.ts'
import type { RevocationSettings } from './revocation.ts'
import { momentText, nameLine } from './words.ts'
import { classify, nextStep } from './classify.ts'
import { doubtClock } from './clock.ts'
import { CAUSES } from './verdict.ts'
import type { HandshakeFacts, Objection, Verdict } from './verdict.ts'

/** What a broker has to satisfy. Make a new object on every change: its memory must not outlive the settings. */
export interface TrustSettings {
  readonly anchors: TrustAnchors
  /** None means that chain and name decide alone. */
  readonly pins: readonly Pin[]
  /** `report` lets a broker through that only the pins speak against; `enforce` unless given. */
  readonly pinMode?: 'enforce' | 'report'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly postQuantum: PostQuantum
  /** `refuse` where it is absent. */
  readonly weakCertificates?: WeakCertificates
  /** Where it is absent, nobody asks who was revoked. */
  readonly revocation?: RevocationSettings
  /** Pins are of the keys seen first: without one, nothing is trusted. */
  readonly firstUse?: FirstUse | undefined
  readonly memory: TrustMemory
}

/** Trust settings with a memory of their own. */
export function trustSettings(
  settings: Omit<TrustSettings, 'memory' | 'pins'> & { readonly pins: readonly (Pin | string)[] },
): TrustSettings {
  return Object.freeze({ ...settings, pins: settings.pins.map(asPin), memory: new TrustMemory() })
}

/**
 * Settles whether the peer of a finished handshake is the broker. Trusts only when OpenSSL verified the chain AND a
 * path built here leads to an anchor AND that path holds a pinned key AND the leaf carries the name AND the version
 * and group are acceptable. A resumed session stands on the verdict it began with, if these very settings gave it.
 * `least` is what this server was never seen below, where that is known and enforced.
 */
export function judge(facts: HandshakeFacts, settings: TrustSettings, least?: Least): Verdict {
  const { identity, objections } = facts.resumed ? recognise(facts, settings) : prove(facts, settings)
  const { memory, revocation, weakCertificates: weak = 'refuse' } = settings
  const revoked = judgeRevocation(facts, identity.path, revocation, { staples: memory.staples, weak })
  const all = [
    ...objections,
    ...revoked.objections,
    ...judgeAuthorization(facts, identity.path, objections),
    ...judgeDates(facts, identity.path),
    ...judgeLink(facts, settings),
    ...judgeProfile(facts, least),
  ]
  // What stood the last time stands: nearly every handshake, and nothing of it is made anew.
  if (all.length === 0 && facts.earlier !== undefined && facts.resumed) return facts.earlier
  all.push(...doubtClock(facts.at, all, identity.path))
  const sorted = all.toSorted((a, b) => CAUSES.indexOf(a.cause) - CAUSES.indexOf(b.cause))
  const causes = [...new Set(sorted.map(({ cause }) => cause))]
  const kind = classify(causes, () => isSameIssuer(facts.name, identity.path, settings))
  const [worst] = causes
  const verdict: Verdict = {
    verdict: kind,
    causes,
    reasons: [...new Set(sorted.map(({ reason }) => reason))],
    hint: kind === 'trusted' || worst === undefined ? undefined : nextStep(kind, worst),
    ...identity,
    ...(revoked.staple && { staple: revoked.staple }),
    ...remarksOn(facts, identity.path, revoked.remarks, settings),
  }
  if (settings.pinMode === 'report' && worst === 'pin-mismatch' && causes.length === 1) {
    return letThrough(verdict, facts, settings)
  }
  if (worst === undefined) settings.memory.vouch(facts.name, verdict)
  return verdict
}

function remarksOn(
  { name, resumed }: HandshakeFacts,
  path: HandshakeFacts['served'],
  found: readonly string[],
  { memory }: TrustSettings,
): Pick<Verdict, 'remarks'> {
  const unlogged = resumed || path.length < 2 ? undefined : memory.timestamps.remark(name, path)
  const remarks = unlogged === undefined ? found : [...found, unlogged]
  return remarks.length === 0 ? {} : { remarks }
}

/** Trusts where only the pins speak against it; who signed it is not remembered as the issuer to expect. */
function letThrough(against: Verdict, facts: HandshakeFacts, settings: TrustSettings): Verdict {
  const { verdict, causes, reasons, hint = '' } = against
  const reported = { verdict, causes, reasons, hint }
  const passed: Verdict = {
    ...against,
    verdict: 'trusted',
    causes: [],
    reasons: [],
    hint: undefined,
    reported,
  }
  settings.memory.vouch(facts.name, passed)
  return passed
}

/** What the dates of pins mean for a path that was verified before. */
function judgePinDates(
  path: HandshakeFacts['served'],
  { at }: HandshakeFacts,
  { pins }: TrustSettings,
): Objection[] {
  return pins.some(isDated) ? judgePins(path, [], pins, at) : []
}

/** Whether the leaf's issuer is the one of the last trusted certificate for this name, or else a CA of one's own. */
function isSameIssuer(name: string, path: HandshakeFacts['served'], settings: TrustSettings): boolean {
  const [leaf, issuer] = path
  if (leaf === undefined) return false
  const known = settings.memory.issuerOf(name)
  // By key: cross-signed and renewed CAs keep theirs.
  return known === undefined ? settings.anchors.areOwn : samePin(pinOf(known), pinOf(issuer ?? leaf))
}

function prove(facts: HandshakeFacts, settings: TrustSettings): Examination {
  const { name, leaf, at, afresh, authorized } = facts
  const { memory } = settings
  const known = leaf === undefined || afresh ? undefined : memory.recall(name, leaf)
  // Out of date, it may still have another path: the same leaf under a cross-signed CA.
  const stands = known !== undefined && judgePinDates(known.path, facts, settings).length === 0
  if (stands && isInDate(known.path, at)) return { identity: known, objections: [] }
  const examination = examine(facts.served, name, at, settings)
  if (leaf !== undefined && examination.objections.length === 0 && authorized) {
    memory.remember(name, leaf, examination.identity)
  }
  return examination
}

/** A resumed session shows no certificate, and OpenSSL checks neither name nor CA again: only memory can vouch for it. */
function recognise(facts: HandshakeFacts, settings: TrustSettings): Examination {
  const { earlier } = facts
  if (earlier !== undefined && settings.memory.vouchedFor(facts.name, earlier)) {
    return {
      identity: { path: earlier.path, servedPins: earlier.servedPins },
      objections: judgePinDates(earlier.path, facts, settings),
    }
  }
  const reason = 'it resumed a session that these trust settings never verified'
  return { identity: { path: [], servedPins: [] }, objections: [{ cause: 'untrusted-chain', reason }] }
}

const DATE_CODES = new Map<string | undefined, Objection['cause']>([
  ['CERT_HAS_EXPIRED', 'expired'],
  ['CERT_NOT_YET_VALID', 'not-yet-valid'],
])

const EXPLAINED: ReadonlySet<Objection['cause']> = new Set(['untrusted-chain', 'weak-key', 'weak-signature'])

/**
 * OpenSSL reports only the last of its errors, so a code about dates says nothing about the chain: that the path here
 * must find. Where it found one, any other code is the word of the stricter judge.
 */
function judgeAuthorization(
  facts: HandshakeFacts,
  path: HandshakeFacts['served'],
  found: readonly Objection[],
): Objection[] {
  if (facts.authorized) return []
  const code = facts.errorCode ?? 'no reason given'
  // Its own anchor, which OpenSSL does not know: whether it may be one is judged in identify.ts.
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT' && path.length === 1 && path[0] === facts.served[0]) return []
  const cause = DATE_CODES.get(facts.errorCode)
  if (cause !== undefined)
    return [
      { cause, reason: `a certificate in its chain is ${cause === 'expired' ? 'expired' : 'not valid yet'}` },
    ]
  // Node has no name for a weak key or hash, a name constraint or an unknown extension: ours has said what it is.
  if (code === 'UNSPECIFIED' && found.some(({ cause: known }) => EXPLAINED.has(known))) return []
  const why = code === 'UNSPECIFIED' ? 'for a reason node has no name for' : code
  return path.length > 0 ? [{ cause: 'untrusted-chain', reason: `OpenSSL refuses its chain: ${why}` }] : []
}

function judgeDates(facts: HandshakeFacts, path: HandshakeFacts['served']): Objection[] {
  return (path.length > 0 ? path : facts.served.slice(0, 1)).flatMap((certificate): Objection[] => {
    if (isExpired(certificate, facts.at)) {
      const reason = `"${nameLine(certificate.subject)}" expired on ${momentText(certificate.validToDate)}`
      return [{ cause: 'expired', reason }]
    }
    if (!isNotYetValid(certificate, facts.at)) return []
    const since = momentText(certificate.validFromDate)
    const reason = `"${nameLine(certificate.subject)}" is not valid before ${since}`
    return [{ cause: 'not-yet-valid', reason }]
  })
}

function judgeLink(facts: HandshakeFacts, settings: TrustSettings): Objection[] {
  const objections: Objection[] = []
  const accepted = settings.minVersion === 'TLSv1.2' ? ['TLSv1.2', 'TLSv1.3'] : ['TLSv1.3']
  if (!accepted.includes(facts.protocol)) {
    objections.push({
      cause: 'downgraded',
      reason: `it negotiated ${facts.protocol}, and ${settings.minVersion} is the least allowed`,
    })
  }
  if (settings.postQuantum === 'require' && !isPostQuantum(facts.group)) {
    objections.push({
      cause: 'group-refused',
      reason: `it negotiated the key exchange ${facts.group}, which is not post-quantum`,
    })
  }
  return objections
}
