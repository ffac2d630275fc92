// What a certificate says of itself beyond what node tells: signature algorithm, key usage, constraints, in bounded reads.
import type { X509Certificate } from 'node:crypto'

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

interface Element {
  readonly tag: number
  readonly content: Buffer
}

const TAG = { boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, sequence: 0x30 } as const

function read(raw: Buffer): CertificateFacts {
  const [body] = elements(only(raw, TAG.sequence))
  const fields = elements(expect(body, TAG.sequence))
  // The version is tagged, and absent from version 1.
  const at = fields[0]?.tag === 0xa0 ? 1 : 0
  const issuer = expect(fields[at + 2], TAG.sequence)
  const subject = expect(fields[at + 4], TAG.sequence)
  const wrapped = fields.slice(at + 6).find(({ tag }) => tag === 0xa3)
  const extensions =
    wrapped === undefined ? [] : elements(only(wrapped.content, TAG.sequence)).map(readExtension)
  const byType = new Map(extensions.map(({ type, value }) => [type, value]))
  if (byType.size < extensions.length) throw new Error('an extension is there twice')
  return {
    hash: hashOf(elements(expect(fields[at + 1], TAG.sequence))),
    selfIssued: subject.equals(issuer),
    subject,
    names:
      optional(byType.get(TYPE.alternativeNames), (value) =>
        elements(only(value, TAG.sequence)).map(general),
      ) ?? [],
    ...basicConstraints(byType.get(TYPE.basicConstraints)),
    signs:
      optional(byType.get(TYPE.keyUsage), (value) => ((only(value, TAG.bits)[1] ?? 0) & 0x80) !== 0) ?? true,
    serves:
      optional(byType.get(TYPE.extendedKeyUsage), (value) =>
        elements(only(value, TAG.sequence)).some(({ content }) => dotted(content) === SERVER_AUTH),
      ) ?? true,
    constraints: optional(byType.get(TYPE.nameConstraints), nameConstraints),
    unknown: extensions.filter(({ type, critical }) => critical && !KNOWN.has(type)).map(({ type }) => type),
  }
}

const TYPE = {
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'

/** Those read here, and those OpenSSL sees to: CRL distribution points and all about policies. */
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.values(TYPE),
  '2.5.29.31',
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

function readExtension({ tag, content }: Element): { type: string; critical: boolean; value: Buffer } {
  const parts = elements(expect({ tag, content }, TAG.sequence))
  const critical = parts[1]?.tag === TAG.boolean && parts[1].content[0] !== 0
  return { type: dotted(expect(parts[0], TAG.oid)), critical, value: expect(parts.at(-1), TAG.octets) }
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

function expect(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error('another element is expected here')
  return element.content
}

function only(bytes: Buffer, tag: number): Buffer {
  const [element, ...rest] = elements(bytes)
  if (rest.length > 0) throw new Error('something follows')
  return expect(element, tag)
}

/** The elements that lie one after another in `bytes`: definite lengths and low tag numbers only. */
function elements(bytes: Buffer): Element[] {
  const found: Element[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at)
    const first = bytes.readUInt8(at + 1)
    const size = first < 0x80 ? 0 : first & 0x7f
    if ((tag & 0x1f) === 0x1f || first === 0x80 || size > 4) throw new Error('not DER')
    const start = at + 2 + size
    const length = size === 0 ? first : bytes.readUIntBE(at + 2, size)
    if (start + length > bytes.length) throw new Error('cut off')
    found.push({ tag, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return found
}

function dotted(oid: Buffer): string {
  const arcs: number[] = []
  let arc = 0
  for (const byte of oid) {
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    if (arcs.length > 0) arcs.push(arc)
    else arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2))
    arc = 0
  }
  return arcs.join('.')
}
