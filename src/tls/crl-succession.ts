// Whether a fetched list may take the place of another: by the same authority, and no older, since anybody may answer for a URL.
import type { X509Certificate } from 'node:crypto'
import { printable } from '../printable.ts'
import type { TrustAnchors } from './anchors.ts'
import type { Crl } from './crl.ts'
import { isNamed } from './crl-source.ts'
import type { CrlSource } from './crl-source.ts'
import { only, TAG } from './der.ts'
import { attributesOf, factsOf } from './extensions.ts'
import { isSignedBy } from './signature.ts'

/**
 * What speaks against `fresh`; undefined where nothing does. A list by a CA that nobody here has met, an intermediate one
 * that only brokers show, is let in where nothing better is lost: handshakes check its signature before they rely on it.
 */
export function faultOf(
  fresh: readonly Crl[],
  source: CrlSource,
  anchors: readonly TrustAnchors[],
  now: number,
): string | undefined {
  const lost = source.lists.find(
    (crl) => crl.nextUpdate >= now && !fresh.some((other) => isSuccessor(other, crl)),
  )
  if (lost !== undefined) return `what it sent has no list by ${issuerLine(lost)} any more`
  const signers = [...source.signers]
  const known = [...signers, ...anchors.flatMap(({ bySubject }) => [...bySubject.values()].flat())]
  for (const crl of fresh) {
    const named = known.filter((candidate) => isBy(crl, candidate))
    if (
      named.length > 0 &&
      !named.some((candidate) => isSignedBy(crl.signed, candidate.publicKey, 'accept'))
    ) {
      return `what it sent bears the name of ${issuerLine(crl)} and not its signature`
    }
    if (named.length === 0 && signers.length > 0) {
      return `what it sent is by ${issuerLine(crl)}, whom no chain has shown`
    }
    const before = source.lists.find((one) => isSuccessor(crl, one))
    if (before !== undefined && isOlder(crl, before)) return 'what it sent is older than the list in force'
  }
  return undefined
}

/** Who issued it, on one safe line. */
export function issuerLine({ issuer }: Crl): string {
  try {
    return printable(attributesOf(only(issuer, TAG.sequence)).map(valueOf).join(', '), 200) || '(no name)'
  } catch {
    return '(unreadable name)'
  }
}

/** By the same key of the same CA, as far as they say, and about the same certificates. */
function isSuccessor(fresh: Crl, before: Crl): boolean {
  const [one, other] = [fresh.keyId, before.keyId]
  if (scopeText(fresh) !== scopeText(before)) return false
  return fresh.issuer.equals(before.issuer) && (one === other || (one && other && one.equals(other)) === true)
}

function scopeText({ scope }: Crl): string {
  return scope === undefined ? '' : JSON.stringify([scope.only, scope.places])
}

function isBy(crl: Crl, candidate: X509Certificate): boolean {
  const facts = factsOf(candidate)
  return facts !== undefined && isNamed(crl, facts)
}

function isOlder(fresh: Crl, before: Crl): boolean {
  if (fresh.thisUpdate < before.thisUpdate) return true
  return fresh.number !== undefined && before.number !== undefined && fresh.number < before.number
}

function valueOf(attribute: string): string {
  return attribute.slice(attribute.indexOf('=') + 1)
}
