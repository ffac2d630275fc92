// Signatures on what authorities publish beside certificates: revocation lists and OCSP responses, as they lie.
import { constants, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { dotted, elements, expect, only, TAG } from './der.ts'
import type { Element } from './der.ts'
import type { WeakCertificates } from './limits.ts'

export interface Signed {
  /** What is signed, tag and length included. */
  readonly body: Buffer
  /** The content of the algorithm identifier. */
  readonly algorithm: Buffer
  readonly signature: Buffer
}

interface Algorithm {
  /** As `asymmetricKeyType` says it. */
  readonly keys: readonly string[]
  readonly hash: string | null
}

const rsa = (hash: string): Algorithm => ({ keys: ['rsa'], hash })
const ec = (hash: string): Algorithm => ({ keys: ['ec'], hash })

const RSA_PSS = '1.2.840.113549.1.1.10'
const ALGORITHMS = new Map<string, Algorithm>([
  ['1.2.840.113549.1.1.5', rsa('sha1')],
  ['1.2.840.113549.1.1.11', rsa('sha256')],
  ['1.2.840.113549.1.1.12', rsa('sha384')],
  ['1.2.840.113549.1.1.13', rsa('sha512')],
  ['1.2.840.10045.4.1', ec('sha1')],
  ['1.2.840.10045.4.3.2', ec('sha256')],
  ['1.2.840.10045.4.3.3', ec('sha384')],
  ['1.2.840.10045.4.3.4', ec('sha512')],
  ['1.3.101.112', { keys: ['ed25519'], hash: null }],
  ['1.3.101.113', { keys: ['ed448'], hash: null }],
])
const HASHES = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

/** The hash an algorithm identifier names, as node calls it; undefined for others. Throws where there is no DER. */
export function hashNamed(identifier: Element | undefined): string | undefined {
  return HASHES.get(dotted(expect(elements(expect(identifier, TAG.sequence))[0], TAG.oid)))
}

/** Whether `key` made the signature, by an algorithm that cannot be forged; SHA-1 only where weak ones are accepted. */
export function isSignedBy(signed: Signed, key: KeyObject, weak: WeakCertificates): boolean {
  try {
    const { body, signature } = signed
    const algorithm = algorithmOf(elements(signed.algorithm))
    if (algorithm === undefined || !algorithm.keys.includes(key.asymmetricKeyType ?? '')) return false
    if (algorithm.hash === 'sha1' && weak === 'refuse') return false
    return verify(algorithm.hash, body, { key, ...algorithm.pss }, signature)
  } catch {
    return false // not DER, or a key OpenSSL cannot use
  }
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }

function algorithmOf([type, parameters]: readonly Element[]): (Algorithm & { pss?: typeof PSS }) | undefined {
  const name = dotted(expect(type, TAG.oid))
  if (name !== RSA_PSS) return ALGORITHMS.get(name)
  // RFC 4055, 3.1: SHA-1 where no hash is named.
  const named = elements(expect(parameters, TAG.sequence)).find(({ tag }) => tag === 0xa0)
  const hash =
    named === undefined
      ? 'sha1'
      : hashNamed({ ...named, tag: TAG.sequence, content: only(named.content, TAG.sequence) })
  return hash === undefined ? undefined : { keys: ['rsa', 'rsa-pss'], hash, pss: PSS }
}
