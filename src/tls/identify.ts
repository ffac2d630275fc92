// Who a broker proved to be by the certificates it served: a verified path, the name, the pins, strong keys.
import type { KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { TrustAnchors } from './anchors.ts'
import { verifiedPaths } from './path.ts'
import { pinOf, samePin } from './pins.ts'
import { printable } from '../printable.ts'
import { nameLine } from './words.ts'
import type { BrokerIdentity, Objection, ServedPin } from './verdict.ts'

export interface Examination {
  readonly identity: BrokerIdentity
  readonly objections: readonly Objection[]
}

/** What `served` proves about `name` at the moment `at`, which only chooses between paths: dates are judged elsewhere. */
export function examine(
  served: readonly X509Certificate[],
  name: string,
  at: number,
  { anchors, pins }: { readonly anchors: TrustAnchors; readonly pins: readonly string[] },
): Examination {
  const servedPins = served.flatMap(describePin)
  const path = bestPath([...verifiedPaths(served, anchors)], pins, at)
  const objections = [
    ...judgePath(served, path),
    ...judgeName(served[0], name),
    ...judgePins(path, servedPins, pins),
    ...judgeKeys(path.length > 0 ? path : served.slice(0, 1)),
  ]
  return { identity: { path, servedPins }, objections }
}

export function isExpired(certificate: X509Certificate, at: number): boolean {
  return !(certificate.validToDate.getTime() >= at) // an unreadable date is no date to rely on
}

export function isNotYetValid(certificate: X509Certificate, at: number): boolean {
  return !(certificate.validFromDate.getTime() <= at)
}

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
  pins: readonly string[],
  at: number,
): readonly X509Certificate[] {
  const inDate = paths.filter((path) => isInDate(path, at))
  const pinned = (path: readonly X509Certificate[]): boolean => holdsPin(pinsOf(path), pins)
  return inDate.find(pinned) ?? paths.find(pinned) ?? inDate[0] ?? paths[0] ?? []
}

function judgePath(served: readonly X509Certificate[], path: readonly X509Certificate[]): Objection[] {
  const [leaf] = served
  if (path.length > 0) return []
  if (leaf === undefined) return [{ cause: 'untrusted-chain', reason: 'the broker served no certificate' }]
  if (isSelfSigned(leaf)) {
    return [
      {
        cause: 'self-signed',
        reason: `its certificate "${nameLine(leaf.subject)}" is signed by itself and is no trusted CA`,
      },
    ]
  }
  const issuer = nameLine(leaf.issuer)
  return [
    {
      cause: 'untrusted-chain',
      reason: `no path of signatures leads from its certificate, issued by "${issuer}", to a trusted CA`,
    },
  ]
}

function judgeName(leaf: X509Certificate | undefined, name: string): Objection[] {
  if (leaf === undefined || carriesName(leaf, name)) return []
  const names = printable(leaf.subjectAltName ?? 'no name at all')
  return [{ cause: 'name-mismatch', reason: `its certificate is not for "${name}" but for ${names}` }]
}

function judgePins(
  path: readonly X509Certificate[],
  servedPins: readonly ServedPin[],
  pins: readonly string[],
): Objection[] {
  if (pins.length === 0 || holdsPin(pinsOf(path), pins)) return []
  const shown = servedPins.find(({ pin }) => holdsPin([pin], pins))
  // Its own key is pinned, only the chain is not trusted: that is its own objection.
  if (path.length === 0 && shown?.position === 0) return []
  if (shown !== undefined) {
    const reason = `it shows a pinned certificate, "${shown.subject}", that did not sign its own: anyone can copy that one`
    return [{ cause: 'copied-certificate', reason }]
  }
  const reason = `none of the ${pins.length} pinned keys is in its verified chain`
  return [{ cause: 'pin-mismatch', reason }]
}

function judgeKeys(path: readonly X509Certificate[]): Objection[] {
  const weak = path.find((certificate) => isWeak(keyOf(certificate)))
  if (weak === undefined) return []
  const subject = nameLine(weak.subject)
  return [
    {
      cause: 'weak-key',
      reason: `the key of "${subject}" is too short, or of a kind this OpenSSL does not know`,
    },
  ]
}

/** NIST SP 800-131A: RSA under 2048 bits and curves under 224 bits are disallowed. */
function isWeak(key: KeyObject | undefined): boolean {
  const { modulusLength, namedCurve } = key?.asymmetricKeyDetails ?? {}
  if (modulusLength !== undefined) return modulusLength < 2048
  return key === undefined || /1\d\d[a-z]\d$/.test(namedCurve ?? '')
}

function describePin(certificate: X509Certificate, position: number): ServedPin[] {
  // A peer may append whatever it likes: a key this OpenSSL cannot read has no pin, and must not end the judgement.
  if (keyOf(certificate) === undefined) return []
  const notAfter = certificate.validToDate.getTime()
  return [{ pin: pinOf(certificate), subject: nameLine(certificate.subject), notAfter, position }]
}

function pinsOf(path: readonly X509Certificate[]): string[] {
  return path.flatMap(describePin).map(({ pin }) => pin)
}

function holdsPin(found: readonly string[], pins: readonly string[]): boolean {
  return found.some((pin) => pins.some((wanted) => samePin(pin, wanted)))
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
