// Trust anchors: the CA certificates a broker's chain may end in, read strictly and indexed for path building.
import { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import { messageOf, PulsewardError } from '../errors.ts'

export interface TrustAnchors {
  /** For OpenSSL: one PEM certificate an entry. */
  readonly pem: readonly string[]
  readonly bySubject: ReadonlyMap<string, readonly X509Certificate[]>
  /** SHA-256 fingerprints as `X509Certificate.fingerprint256` spells them. */
  readonly fingerprints: ReadonlySet<string>
  /** Whether the administrator named them, and not everybody trusts them for everything. */
  readonly areOwn: boolean
}

const PEM_BLOCK =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g
const PEM_BEGIN = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g

/**
 * The anchors in PEM texts, or with `'system'` those Node carries, those of NODE_EXTRA_CA_CERTS and the machine's own.
 * Every certificate must be readable: OpenSSL would skip a broken one without a word.
 *
 * @throws {PulsewardError} `ca-invalid`, blame `config`.
 */
export function trustAnchors(ca: readonly string[] | 'system'): TrustAnchors {
  if (ca !== 'system') return { ...index(ca.flatMap(readCertificates)), areOwn: true }
  // Stores hold oddities no broker depends on: what this OpenSSL cannot read is left out, not fatal.
  const all = [...getCACertificates('default'), ...getCACertificates('system')].flatMap(tolerantly)
  return { ...index(all), areOwn: false }
}

/** The certificates of a PEM text, in order; at least one. @throws {PulsewardError} `ca-invalid`, blame `config`. */
export function readCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_BLOCK) ?? []
  const begun = pem.match(PEM_BEGIN)?.length ?? 0
  if (begun === 0) {
    throw new PulsewardError('ca-invalid', 'config', 'no certificate in the file', {
      hint: 'a PEM file holds blocks that start with "-----BEGIN CERTIFICATE-----"; turn DER into PEM with "openssl x509 -inform DER"',
    })
  }
  if (begun > blocks.length) throw broken('one of the certificates in the file has no end')
  return blocks.map((block, position) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw broken(`certificate ${position + 1} of the file is broken: ${messageOf(error)}`, error)
    }
  })
}

function broken(message: string, cause?: unknown): PulsewardError {
  const hint = 'copy the file again from its source; every certificate in it must be whole'
  return new PulsewardError('ca-invalid', 'config', message, { hint, cause })
}

/** The key under which an issuer is found: distinguished names compare without case and repeated blanks (RFC 5280, 7.1). */
export function nameKey(distinguishedName: string): string {
  return distinguishedName.toLowerCase().replaceAll(/[ \t]+/g, ' ')
}

function tolerantly(pem: string): X509Certificate[] {
  try {
    return [new X509Certificate(pem)]
  } catch {
    return []
  }
}

function index(certificates: readonly X509Certificate[]): Omit<TrustAnchors, 'areOwn'> {
  const unique = new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate]))
  return {
    pem: [...unique.values()].map(String),
    bySubject: Map.groupBy(unique.values(), (certificate) => nameKey(certificate.subject)),
    fingerprints: new Set(unique.keys()),
  }
}
