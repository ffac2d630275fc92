// Who a broker proved to be by the certificates it served: a verified path, the name, the pins, strong keys.
import type { KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { TrustAnchors } from './anchors.ts'
import type { FirstUse } from './first-use.ts'
import { judgeLimits } from './limits.ts'
import type { WeakCertificates } from './limits.ts'
import { verifiedPaths } from './path.ts'
import { pinOf } from './pins.ts'
import { answersTo, isInForce, pinsIn } from './pinset.ts'
import type { Pin } from './pinset.ts'
import { printable } from '../printable.ts'
import { nameLine } from './words.ts'
import type { BrokerIdentity, Objection, ServedPin } from './verdict.ts'

/** More ways to an anchor than any PKI has. */
const MAX_PATHS = 32

interface Demands {
  readonly anchors: TrustAnchors
  readonly pins: readonly Pin[]
  readonly weakCertificates?: WeakCertificates
  readonly firstUse?: FirstUse | undefined
}

export interface Examination {
  readonly identity: BrokerIdentity
  readonly objections: readonly Objection[]
}

/** What `served` proves about `name` at the moment `at`, which only chooses between paths: dates are judged elsewhere. */
export function examine(
  served: readonly X509Certificate[],
  name: string,
  at: number,
  { anchors, pins, weakCertificates = 'refuse', firstUse }: Demands,
): Examination {
  const servedPins = servedPinsOf(served)
  const verified = [...verifiedPaths(served, anchors).take(MAX_PATHS)]
  const itself = verified.length === 0 && firstUse?.selfSigned === true ? pathOfItself(served) : []
  const judged = [...verified, ...itself].map((found) => ({
    path: found,
    faults: [...judgeKeys(found, weakCertificates), ...judgeLimits(found, name, weakCertificates)],
  }))
  // A path that may not be used holds no pin and hides no other.
  const sound = judged.filter(({ faults }) => faults.length === 0)
  const usable = sound.length > 0 ? sound : judged
  const path = bestPath(
    usable.map((one) => one.path),
    pins,
    at,
  )
  const faults = usable.find((one) => one.path === path)?.faults
  const objections = [
    ...judgePath(served, path),
    ...judgeName(served[0], name),
    ...judgeItself(itself[0] ?? [], pins, at),
    ...(firstUse !== undefined && pins.length === 0 ? [UNKNOWN] : judgePins(path, served, pins, at)),
    ...(faults ?? judgeKeys(served.slice(0, 1), weakCertificates)),
  ]
  return { identity: { path, servedPins }, objections }
}

/** What of the certificates served can be pinned. */
export function servedPinsOf(served: readonly X509Certificate[]): readonly ServedPin[] {
  return served.flatMap(describePin)
}

const UNKNOWN: Objection = {
  cause: 'pin-mismatch',
  reason: 'no key of it is known: none was accepted, and none was stored on first use',
}

/** A certificate that signed itself is its own anchor, for those who go by its key alone. */
function pathOfItself([leaf]: readonly X509Certificate[]): (readonly X509Certificate[])[] {
  return leaf !== undefined && isSelfSigned(leaf) ? [[leaf]] : []
}

function judgeItself(path: readonly X509Certificate[], pins: readonly Pin[], at: number): Objection[] {
  const [leaf] = path
  if (leaf === undefined || pins.some((pin) => isInForce(pin, at) && answersTo(leaf, pin))) return []
  return [selfSigned(leaf)]
}

export function isExpired(certificate: X509Certificate, at: number): boolean {
  return !(datesOf(certificate).notAfter >= at) // an unreadable date is no date to rely on
}

export function isNotYetValid(certificate: X509Certificate, at: number): boolean {
  return !(datesOf(certificate).notBefore <= at)
}

/** Read once: Node parses both anew whenever it is asked, and every handshake asks. */
function datesOf(certificate: X509Certificate): Dates {
  const known = datesKnown.get(certificate)
  if (known !== undefined) return known
  const { validFromDate, validToDate } = certificate
  const fresh = { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() }
  datesKnown.set(certificate, fresh)
  return fresh
}

/** Milliseconds since 1970; not a number where unreadable. */
interface Dates {
  readonly notBefore: number
  readonly notAfter: number
}

const datesKnown = new WeakMap<X509Certificate, Dates>()

export function isInDate(path: readonly X509Certificate[], at: number): boolean {
  return !path.some((member) => isExpired(member, at) || isNotYetValid(member, at))
}

/** Whether a host name or address is among those a leaf is for; its common name does not count (RFC 9525, 2). */
function carriesName(leaf: X509Certificate, name: string): boolean {
  if (isIP(name) > 0) return leaf.checkIP(name) !== undefined
  // To OpenSSL a leading dot asks for any name below that domain.
  if (name === '' || name.startsWith('.')) return false
  return leaf.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined
}

/** A path with a pinned key in it is the best, then one that is in date, then the first. */
function bestPath(
  paths: readonly (readonly X509Certificate[])[],
  pins: readonly Pin[],
  at: number,
): readonly X509Certificate[] {
  const inDate = paths.filter((path) => isInDate(path, at))
  const inForce = pins.filter((pin) => isInForce(pin, at))
  const pinned = (path: readonly X509Certificate[]): boolean => pinsIn(path, inForce).length > 0
  return inDate.find(pinned) ?? paths.find(pinned) ?? inDate[0] ?? paths[0] ?? []
}

function judgePath(served: readonly X509Certificate[], path: readonly X509Certificate[]): Objection[] {
  const [leaf] = served
  if (path.length > 0) return []
  if (leaf === undefined) return [{ cause: 'untrusted-chain', reason: 'the broker served no certificate' }]
  if (isSelfSigned(leaf)) return [selfSigned(leaf)]
  const issuer = nameLine(leaf.issuer)
  return [
    {
      cause: 'untrusted-chain',
      reason: `no path of signatures leads from its certificate, issued by "${issuer}", to a trusted CA`,
    },
  ]
}

function selfSigned({ subject }: X509Certificate): Objection {
  const reason = `its certificate "${nameLine(subject)}" is signed by itself and is no trusted CA`
  return { cause: 'self-signed', reason }
}

function judgeName(leaf: X509Certificate | undefined, name: string): Objection[] {
  if (leaf === undefined || carriesName(leaf, name)) return []
  const names = printable(leaf.subjectAltName ?? 'no name at all')
  return [{ cause: 'name-mismatch', reason: `its certificate is not for "${name}" but for ${names}` }]
}

/** What the pins say of a path at the moment `at`: one of them must be in it, and count then. */
export function judgePins(
  path: readonly X509Certificate[],
  served: readonly X509Certificate[],
  pins: readonly Pin[],
  at: number,
): Objection[] {
  const inForce = pins.filter((pin) => isInForce(pin, at))
  if (pins.length === 0 || pinsIn(path, inForce).length > 0) return []
  const shown = served.findIndex((certificate) => inForce.some((pin) => answersTo(certificate, pin)))
  // Its own key is pinned, only the chain is not trusted: that is its own objection.
  if (path.length === 0 && shown === 0) return []
  const copied = shown === -1 ? undefined : served[shown]
  if (copied !== undefined) {
    const reason = `it shows a pinned certificate, "${nameLine(copied.subject)}", that did not sign its own: anyone can copy that one`
    return [{ cause: 'copied-certificate', reason }]
  }
  return [...judgeDatesOfPins(path, inForce.length, pins), ...judgeMatch(path, inForce.length, pins)]
}

function judgeDatesOfPins(
  path: readonly X509Certificate[],
  inForce: number,
  pins: readonly Pin[],
): Objection[] {
  const [outside] = pinsIn(path, pins)
  if (outside !== undefined) {
    const reason = `the pin ${outside.pin} in its chain counts only ${spanOf(outside)}`
    return [{ cause: 'pin-not-in-force', reason }]
  }
  if (inForce > 0) return []
  const reason = `every one of the ${pins.length} pins is outside its dates, so nothing is trusted`
  return [{ cause: 'pin-not-in-force', reason }]
}

function judgeMatch(path: readonly X509Certificate[], inForce: number, pins: readonly Pin[]): Objection[] {
  if (pinsIn(path, pins).length > 0) return []
  const outside = pins.length - inForce
  const dates = outside === 0 ? '' : `, ${outside} of them outside their dates`
  return [
    {
      cause: 'pin-mismatch',
      reason: `none of the ${pins.length} pinned keys is in its verified chain${dates}`,
    },
  ]
}

function spanOf({ notBefore, notAfter }: Pin): string {
  return [
    ...(notBefore === undefined ? [] : [`from ${new Date(notBefore).toISOString()}`]),
    ...(notAfter === undefined ? [] : [`until ${new Date(notAfter).toISOString()}`]),
  ].join(' ')
}

function judgeKeys(path: readonly X509Certificate[], weakCertificates: WeakCertificates): Objection[] {
  const weak = path.find((certificate) => isWeak(keyOf(certificate), weakCertificates))
  if (weak === undefined) return []
  const subject = nameLine(weak.subject)
  return [
    {
      cause: 'weak-key',
      reason: `the key of "${subject}" is too short, or of a kind this OpenSSL does not know`,
    },
  ]
}

/** NIST SP 800-131A: RSA under 2048 bits and curves under 224 bits are disallowed; what an old broker has is 1024. */
export function isWeak(key: KeyObject | undefined, weakCertificates: WeakCertificates): boolean {
  const { modulusLength, namedCurve } = key?.asymmetricKeyDetails ?? {}
  if (modulusLength !== undefined) return modulusLength < (weakCertificates === 'accept' ? 1024 : 2048)
  return key === undefined || /1\d\d[a-z]\d$/.test(namedCurve ?? '')
}

function describePin(certificate: X509Certificate, position: number): ServedPin[] {
  // A peer may append whatever it likes: a key this OpenSSL cannot read has no pin, and must not end the judgement.
  if (keyOf(certificate) === undefined) return []
  const notAfter = certificate.validToDate.getTime()
  return [{ pin: pinOf(certificate), subject: nameLine(certificate.subject), notAfter, position }]
}

function isSelfSigned(certificate: X509Certificate): boolean {
  // Not checkIssued: a server certificate that signed itself is rarely allowed to sign any.
  const key = keyOf(certificate)
  return key !== undefined && certificate.subject === certificate.issuer && certificate.verify(key)
}

function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey
  } catch {
    return undefined
  }
}
