// What a certificate says of itself beyond what node tells: signature algorithm, key usage, constraints, in bounded reads.
import type { X509Certificate } from 'node:crypto'
import { placesOf } from './crl-scope.ts'
import { dotted, elements, expect, extensionsOf, only, serialOf, TAG, wholeBytes } from './der.ts'
import type { Element } from './der.ts'

/** A general name (RFC 5280, 4.2.1.6): the number of its kind, and its content as it lies in the certificate. */
export interface GeneralName {
  readonly kind: number
  readonly content: Buffer
}

export const GENERAL = { dns: 2, directory: 4, ip: 7 } as const

export interface NameConstraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

export interface CertificateFacts {
  /** Of the signature on it: `md5` stands for everything that is older than SHA-1. */
  readonly hash: 'strong' | 'sha1' | 'md5'
  /** The subject is its issuer, byte for byte. */
  readonly selfIssued: boolean
  /** The content of the subject. */
  readonly subject: Buffer
  readonly names: readonly GeneralName[]
  /** Undefined where basic constraints are absent. */
  readonly authority: boolean | undefined
  readonly pathLength: number | undefined
  /** Whether key usage, where there is any, allows signing what is not a certificate. */
  readonly signs: boolean
  /** Whether extended key usage, where there is any, allows to be a TLS server. */
  readonly serves: boolean
  readonly constraints: NameConstraints | undefined
  /** Critical extensions nobody here knows, dotted. */
  readonly unknown: readonly string[]
  /** As `serialOf` in der.ts makes it comparable. */
  readonly serial: string
  /** The whole names, as hashes and lists of other documents have them. */
  readonly subjectName: Buffer
  readonly issuerName: Buffer
  /** The content of the public key's bit string. */
  readonly keyBits: Buffer
  /** The subject key identifier, where there is one. */
  readonly keyId: Buffer | undefined
  /** Whether key usage, where there is any, allows signing lists of revoked certificates. */
  readonly signsLists: boolean
  /** Whether it may answer for its issuer by OCSP: only where extended key usage says so (RFC 6960, 4.2.2.2). */
  readonly answers: boolean
  /** Whether a handshake with it is to bring an OCSP response (RFC 7633). */
  readonly mustStaple: boolean
  /** Where it says that lists which may name it are published. */
  readonly places: readonly string[]
  /** How many logs vouch, within it, to have seen it (RFC 6962, 3.3). */
  readonly timestamps: number
}

const cache = new WeakMap<X509Certificate, CertificateFacts | undefined>()

/** Undefined where the certificate is not DER as RFC 5280 has it, for which nothing can be said of its limits. */
export function factsOf(certificate: X509Certificate): CertificateFacts | undefined {
  if (cache.has(certificate)) return cache.get(certificate)
  let facts: CertificateFacts | undefined
  try {
    facts = read(certificate.raw)
  } catch {
    facts = undefined
  }
  cache.set(certificate, facts)
  return facts
}

function read(raw: Buffer): CertificateFacts {
  const [body] = elements(only(raw, TAG.sequence))
  const fields = elements(expect(body, TAG.sequence))
  // The version is tagged, and absent from version 1.
  const at = fields[0]?.tag === 0xa0 ? 1 : 0
  const [issuerField, subjectField, keyField] = [fields[at + 2], fields[at + 4], fields[at + 5]]
  const issuer = expect(issuerField, TAG.sequence)
  const subject = expect(subjectField, TAG.sequence)
  const wrapped = fields.slice(at + 6).find(({ tag }) => tag === 0xa3)
  const extensions = wrapped === undefined ? [] : extensionsOf(only(wrapped.content, TAG.sequence))
  const byType = new Map(extensions.map(({ type, value }) => [type, value]))
  const usage = optional(byType.get(TYPE.keyUsage), (value) => only(value, TAG.bits)[1] ?? 0)
  const purposes = optional(byType.get(TYPE.extendedKeyUsage), (value) =>
    elements(only(value, TAG.sequence)).map(({ content }) => dotted(content)),
  )
  return {
    hash: hashOf(elements(expect(fields[at + 1], TAG.sequence))),
    selfIssued: subject.equals(issuer),
    subject,
    names:
      optional(byType.get(TYPE.alternativeNames), (value) =>
        elements(only(value, TAG.sequence)).map(general),
      ) ?? [],
    ...basicConstraints(byType.get(TYPE.basicConstraints)),
    signs: usage === undefined || (usage & 0x80) !== 0,
    serves: purposes === undefined || purposes.includes(SERVER_AUTH),
    constraints: optional(byType.get(TYPE.nameConstraints), nameConstraints),
    unknown: extensions.filter(({ type, critical }) => critical && !KNOWN.has(type)).map(({ type }) => type),
    serial: serialOf(expect(fields[at], TAG.integer)),
    subjectName: subjectField?.whole ?? subject,
    issuerName: issuerField?.whole ?? issuer,
    keyBits: wholeBytes(elements(expect(keyField, TAG.sequence))[1]),
    keyId: optional(byType.get(TYPE.subjectKeyId), (value) => only(value, TAG.octets)),
    signsLists: usage === undefined || (usage & 0x02) !== 0,
    answers: purposes?.includes(OCSP_SIGNING) === true,
    mustStaple: optional(byType.get(TYPE.tlsFeature), asksForStaple) ?? false,
    places: optional(byType.get(TYPE.distributionPoints), placesOf) ?? [],
    timestamps: optional(byType.get(TYPE.timestamps), countTimestamps) ?? 0,
  }
}

const TYPE = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  distributionPoints: '2.5.29.31',
  extendedKeyUsage: '2.5.29.37',
  tlsFeature: '1.3.6.1.5.5.7.1.24',
  timestamps: '1.3.6.1.4.1.11129.2.4.2',
} as const

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
/** The number of the TLS extension that asks for a staple (RFC 6066, 8). */
const STATUS_REQUEST = 5

/** Those read here, and those OpenSSL sees to: all about policies. */
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.values(TYPE),
  '2.5.29.32',
  '2.5.29.33',
  '2.5.29.36',
  '2.5.29.54',
])

const RSA_PSS = '1.2.840.113549.1.1.10'
const SHA1: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.5',
  '1.2.840.10045.4.1',
  '1.2.840.10040.4.3',
  '1.3.14.3.2.26',
  '1.3.14.3.2.27',
  '1.3.14.3.2.29',
])
/** RSA with MD2, MD4 and MD5, the same by older names, and MD5 itself. */
const MD5: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.2',
  '1.2.840.113549.1.1.3',
  '1.2.840.113549.1.1.4',
  '1.3.14.3.2.2',
  '1.3.14.3.2.3',
  '1.3.14.3.2.4',
  '1.2.840.113549.2.5',
])

function hashOf([type, parameters]: readonly Element[]): CertificateFacts['hash'] {
  const algorithm = dotted(expect(type, TAG.oid))
  if (algorithm !== RSA_PSS) return strengthOf(algorithm)
  // RFC 4055, 3.1: SHA-1 where no hash is named.
  const named = elements(expect(parameters, TAG.sequence)).find(({ tag }) => tag === 0xa0)
  if (named === undefined) return 'sha1'
  const [hash] = elements(only(named.content, TAG.sequence))
  return strengthOf(dotted(expect(hash, TAG.oid)))
}

function strengthOf(algorithm: string): CertificateFacts['hash'] {
  if (SHA1.has(algorithm)) return 'sha1'
  return MD5.has(algorithm) ? 'md5' : 'strong'
}

function basicConstraints(value: Buffer | undefined): Pick<CertificateFacts, 'authority' | 'pathLength'> {
  if (value === undefined) return { authority: undefined, pathLength: undefined }
  const parts = elements(only(value, TAG.sequence))
  const length = parts.find(({ tag }) => tag === TAG.integer)?.content
  return {
    authority: parts[0]?.tag === TAG.boolean && parts[0].content[0] !== 0,
    // More than one byte is more than any path here is long; a negative one allows nothing.
    pathLength: length === undefined ? undefined : length.length > 1 ? 255 : Math.max(length.readInt8(), 0),
  }
}

function asksForStaple(value: Buffer): boolean {
  return elements(only(value, TAG.sequence)).some(
    ({ tag, content }) => tag === TAG.integer && content.length === 1 && content[0] === STATUS_REQUEST,
  )
}

/** A TLS list in an octet string; one that cannot be read speaks for nobody, and is no reason to refuse. */
function countTimestamps(value: Buffer): number {
  try {
    const list = only(value, TAG.octets)
    let count = 0
    for (let at = 2; at < list.length; count += 1) at += 2 + list.readUInt16BE(at)
    return count
  } catch {
    return 0
  }
}

function nameConstraints(value: Buffer): NameConstraints {
  const parts = elements(only(value, TAG.sequence))
  const bases = (wanted: number): GeneralName[] =>
    parts
      .filter(({ tag }) => tag === wanted)
      .flatMap(({ content }) => elements(content))
      .map(({ content }) => {
        const [base, ...rest] = elements(content)
        // RFC 5280, 4.2.1.10: minimum and maximum are not used.
        if (base === undefined || rest.length > 0) throw new Error('a subtree has bounds')
        return general(base)
      })
  return { permitted: bases(0xa0), excluded: bases(0xa1) }
}

function general({ tag, content }: Element): GeneralName {
  const kind = tag & 0x1f
  // A directory name is tagged explicitly: the name lies inside.
  return { kind, content: kind === GENERAL.directory ? only(content, TAG.sequence) : content }
}

/** The attributes of a name's content, in order and comparable: their types, and their texts without case and repeated blanks. */
export function attributesOf(name: Buffer): string[] {
  return elements(name).map(({ content }) =>
    elements(content)
      .map((attribute) => {
        const [type, text] = elements(attribute.content)
        const said = (text?.content ?? Buffer.alloc(0)).toString('utf8').trim().toLowerCase()
        return `${dotted(expect(type, TAG.oid))}=${said.replaceAll(/\s+/g, ' ')}`
      })
      .toSorted()
      .join('+'),
  )
}

function optional<T>(value: Buffer | undefined, use: (value: Buffer) => T): T | undefined {
  return value === undefined ? undefined : use(value)
}
