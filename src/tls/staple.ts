// OCSP staples: whether a response is about a certificate, by whoever may speak for its issuer; remembered by its bytes.
import { createHash } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import { messageOf } from '../errors.ts'
import type { Revocation } from './crl.ts'
import { factsOf } from './extensions.ts'
import type { CertificateFacts } from './extensions.ts'
import { isWeak } from './identify.ts'
import type { WeakCertificates } from './limits.ts'
import { readOcsp } from './ocsp.ts'
import type { OcspAnswer, OcspResponse } from './ocsp.ts'
import { isSignedBy } from './signature.ts'
import { momentText } from './words.ts'

/** What an authentic staple says, whenever it is asked; times in milliseconds since 1970. */
export interface Staple {
  readonly status: 'good' | 'revoked' | 'unknown'
  readonly revocation: Revocation | undefined
  readonly thisUpdate: number
  /** From then on it counts no more. */
  readonly until: number
}

/** What became of the staple that was served: the staple, or why it is none. */
export type Stapled = { readonly staple: Staple } | { readonly fault: string }

/** How far the clock of a responder may be ahead of ours. */
export const SKEW = 5 * 60_000
/** How long a response counts that does not say how long. */
const SHORT = 86_400_000
const MOST_REMEMBERED = 64

/** What `bytes` prove about `leaf`, which `issuer` signed. Clocks are not asked here: see `faultAt`. */
export function readStaple(
  bytes: Buffer,
  leaf: X509Certificate,
  issuer: X509Certificate,
  weak: WeakCertificates,
): Stapled {
  const [about, by] = [factsOf(leaf), factsOf(issuer)]
  if (about === undefined || by === undefined) return { fault: 'its certificate cannot be read' }
  try {
    const response = readOcsp(bytes)
    const answer = response.answers.find((one) => isAbout(one, about, by))
    if (answer === undefined) return { fault: 'it is about another certificate' }
    const signer = signerOf(response, issuer, weak)
    if (signer === undefined) return { fault: 'nobody signed it who may speak for the issuer' }
    const ends = [answer.nextUpdate ?? answer.thisUpdate + SHORT, signer.validToDate.getTime()]
    const { status, revocation, thisUpdate } = answer
    return { staple: { status, revocation, thisUpdate, until: Math.min(...ends) } }
  } catch (error) {
    return { fault: messageOf(error) }
  }
}

/** Why a staple says nothing at the moment `at`. */
export function faultAt({ thisUpdate, until }: Staple, at: number): string | undefined {
  if (thisUpdate > at + SKEW) return `it is of ${momentText(new Date(thisUpdate))}, which is yet to come`
  return until < at ? `it counted until ${momentText(new Date(until))}` : undefined
}

/** The last staple of each of the last certificates: brokers serve the same one for hours. */
export class StapleMemory {
  readonly #known = new Map<string, { readonly bytes: Buffer; readonly stapled: Stapled }>()

  read(bytes: Buffer, leaf: X509Certificate, issuer: X509Certificate, weak: WeakCertificates): Stapled {
    const key = leaf.fingerprint256 + issuer.fingerprint256
    const known = this.#known.get(key)
    if (known?.bytes.equals(bytes) === true) return known.stapled
    const stapled = readStaple(bytes, leaf, issuer, weak)
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear()
    this.#known.set(key, { bytes, stapled })
    return stapled
  }
}

function isAbout(answer: OcspAnswer, leaf: CertificateFacts, issuer: CertificateFacts): boolean {
  const { hash, issuerName, issuerKey, serial } = answer
  if (hash === undefined || serial !== leaf.serial) return false
  return digest(hash, issuer.subjectName).equals(issuerName) && digest(hash, issuer.keyBits).equals(issuerKey)
}

/** Who signed it, out of the issuer and those it certified for this (RFC 6960, 4.2.2.2). */
function signerOf(
  { responder, certificates, signed }: OcspResponse,
  issuer: X509Certificate,
  weak: WeakCertificates,
): X509Certificate | undefined {
  return [issuer, ...certificates.filter((one) => mayAnswer(one, issuer, weak))].find((candidate) => {
    const facts = factsOf(candidate)
    if (facts === undefined) return false
    const named =
      'name' in responder
        ? responder.name.equals(facts.subjectName)
        : responder.key.equals(digest('sha1', facts.keyBits))
    return named && isSignedBy(signed, candidate.publicKey, weak)
  })
}

function mayAnswer(candidate: X509Certificate, issuer: X509Certificate, weak: WeakCertificates): boolean {
  const facts = factsOf(candidate)
  if (facts?.answers !== true || !facts.signs || facts.unknown.length > 0) return false
  if (facts.hash !== 'strong' && !(facts.hash === 'sha1' && weak === 'accept')) return false
  if (isWeak(candidate.publicKey, weak)) return false
  return candidate.checkIssued(issuer) && candidate.verify(issuer.publicKey)
}

function digest(hash: string, bytes: Buffer): Buffer {
  return createHash(hash).update(bytes).digest()
}
