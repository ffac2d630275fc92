// Certification paths: from a served leaf over real issuers only, signature by signature, to a trust anchor.
import type { X509Certificate } from 'node:crypto'
import { nameKey } from './anchors.ts'
import type { TrustAnchors } from './anchors.ts'

/** The most certificates in a path, leaf and anchor included. */
const MAX_DEPTH = 10
/** The most served certificates looked at. */
export const MAX_SERVED = 16
/** Signature checks a handshake may cost; a real chain needs one a certificate. */
const MAX_SIGNATURES = 64
/** Steps a search may take: sixteen served certificates that all cross-sign each other would otherwise never end. */
const MAX_STEPS = 256

/**
 * Every path from the first of `served` to an anchor, shortest way first. A certificate is in a path only when the
 * one before it was signed by its key: what a peer merely appends to its chain, such as the genuine broker's public
 * certificate, is in none. When the bounds are reached the search ends with what it found.
 */
export function* verifiedPaths(
  served: readonly X509Certificate[],
  anchors: TrustAnchors,
): Generator<readonly X509Certificate[]> {
  const [leaf] = served
  if (leaf !== undefined) yield* new Search(served, anchors).extend([leaf])
}

class Search {
  readonly #served: readonly X509Certificate[]
  readonly #anchors: TrustAnchors
  readonly #issuers = new Map<string, readonly X509Certificate[]>()
  #signatures = MAX_SIGNATURES
  #steps = MAX_STEPS

  constructor(served: readonly X509Certificate[], anchors: TrustAnchors) {
    this.#served = served.slice(1, MAX_SERVED)
    this.#anchors = anchors
  }

  *extend(path: readonly X509Certificate[]): Generator<readonly X509Certificate[]> {
    const last = path.at(-1)
    if (last === undefined || this.#steps-- <= 0) return
    if (this.#anchors.fingerprints.has(last.fingerprint256)) yield path
    if (path.length === MAX_DEPTH) return
    for (const issuer of this.#issuersOf(last)) {
      const looped = path.some((member) => member.fingerprint256 === issuer.fingerprint256)
      if (!looped) yield* this.extend([...path, issuer])
    }
  }

  #issuersOf(certificate: X509Certificate): readonly X509Certificate[] {
    const known = this.#issuers.get(certificate.fingerprint256)
    if (known !== undefined) return known
    const anchors = this.#anchors.bySubject.get(nameKey(certificate.issuer)) ?? []
    const others = this.#served.filter(
      // Only an anchor may lack the CA flag: version 1 roots cannot carry it, and are trusted by name in the file.
      (candidate) => candidate.ca && !this.#anchors.fingerprints.has(candidate.fingerprint256),
    )
    const issuers = unique([...anchors, ...others]).filter((candidate) =>
      this.#signed(candidate, certificate),
    )
    this.#issuers.set(certificate.fingerprint256, issuers)
    return issuers
  }

  #signed(issuer: X509Certificate, certificate: X509Certificate): boolean {
    if (!certificate.checkIssued(issuer) || this.#signatures-- <= 0) return false
    try {
      return certificate.verify(issuer.publicKey)
    } catch {
      return false // a key OpenSSL cannot use signs nothing
    }
  }
}

function unique(certificates: readonly X509Certificate[]): X509Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate])).values()]
}
