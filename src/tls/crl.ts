// Certificate revocation lists (RFC 5280, 5): read in bounded steps, complete ones only, and asked by serial number.
import { PulsewardError } from '../errors.ts'
import { readScope } from './crl-scope.ts'
import type { CrlScope } from './crl-scope.ts'
import { elements, expect, extensionsOf, only, serialOf, TAG, timeOf, Walk, wholeBytes } from './der.ts'
import type { Element, Extension } from './der.ts'
import type { Signed } from './signature.ts'

export interface Crl {
  /** The whole name of who issued it. */
  readonly issuer: Buffer
  /** Which key of that issuer signed it, where it says so. */
  readonly keyId: Buffer | undefined
  /** Undefined for all certificates of the issuer. */
  readonly scope: CrlScope | undefined
  /** It grows from list to list; undefined where it is absent. */
  readonly number: bigint | undefined
  /** Milliseconds since 1970. */
  readonly thisUpdate: number
  /** When the next one is promised: from then on this one proves nothing about what it does not name. */
  readonly nextUpdate: number
  /** What is revoked, each as `serialOf` in der.ts has it. */
  readonly serials: ReadonlySet<string>
  /** The content of the list of revoked certificates, for `entryOf`. */
  readonly entries: Buffer
  readonly signed: Signed
}

export interface Revocation {
  /** Milliseconds since 1970. */
  readonly at: number
  /** In words of RFC 5280, 5.3.1. */
  readonly why: string
}

/** A list of a public CA is below this; what is larger is refused rather than held. */
export const LARGEST_LISTS = 16 * 1_048_576
const MOST_LISTS = 16

const PEM_BLOCK = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g

/**
 * The lists of a file: one in DER, or any number up to 16 in PEM. Only their form is judged here, not who signed them.
 *
 * @throws {PulsewardError} `crl-invalid`, blame `config`.
 */
export function readCrls(bytes: Buffer): Crl[] {
  if (bytes.length > LARGEST_LISTS) throw invalid('it is larger than 16 MiB')
  // DER begins with a sequence; no text does.
  if (bytes[0] === TAG.sequence) return [readOne(bytes)]
  const text = bytes.toString('latin1')
  const blocks = Array.from(text.matchAll(PEM_BLOCK), ([, base64 = '']) => Buffer.from(base64, 'base64'))
  if (blocks.length === 0) {
    const holds = text.includes('-----BEGIN CERTIFICATE') ? 'it holds a certificate' : 'it holds none'
    throw invalid(`${holds}, and a list in PEM begins with "-----BEGIN X509 CRL-----"`)
  }
  if (blocks.length > MOST_LISTS)
    throw invalid(`it holds ${blocks.length} lists, and ${MOST_LISTS} are allowed`)
  return blocks.map(readOne)
}

function readOne(bytes: Buffer): Crl {
  try {
    return read(bytes)
  } catch (error) {
    if (error instanceof PulsewardError) throw error
    throw invalid('it is not encoded as RFC 5280 has it', error)
  }
}

function read(bytes: Buffer): Crl {
  const [body, algorithm, signature] = elements(only(bytes, TAG.sequence))
  if (body === undefined) throw new Error('empty')
  const fields = elements(expect(body, TAG.sequence))
  // The version is absent from version 1.
  const at = fields[0]?.tag === TAG.integer ? 1 : 0
  const [inner, issuer, from, until, ...rest] = fields.slice(at)
  const outer = expect(algorithm, TAG.sequence)
  if (!expect(inner, TAG.sequence).equals(outer)) throw new Error('two algorithms')
  if (until?.tag !== TAG.utcTime && until?.tag !== TAG.generalizedTime) {
    throw invalid('it does not say when the next one comes, so nobody can tell how long it counts')
  }
  expect(issuer, TAG.sequence)
  const listed = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined
  const wrapped = rest.find(({ tag }) => tag === 0xa0)
  const extensions = wrapped === undefined ? [] : extensionsOf(only(wrapped.content, TAG.sequence))
  refuseSpecial(extensions)
  const entries = listed?.content ?? Buffer.alloc(0)
  return {
    issuer: issuer?.whole ?? Buffer.alloc(0),
    keyId: keyIdOf(extensions.find(({ type }) => type === TYPE.authorityKeyId)),
    scope: scopeOf(extensions.find(({ type }) => type === TYPE.distributionPoint)),
    number: numberOf(extensions.find(({ type }) => type === TYPE.number)),
    thisUpdate: timeOf(from),
    nextUpdate: timeOf(until),
    serials: serialsOf(entries),
    entries,
    signed: { body: body.whole, algorithm: outer, signature: wholeBytes(signature) },
  }
}

const TYPE = {
  number: '2.5.29.20',
  authorityKeyId: '2.5.29.35',
  delta: '2.5.29.27',
  distributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
} as const

/** A list that is silent about some certificates must not be taken for one that clears them (RFC 5280, 5.2). */
function refuseSpecial(extensions: readonly Extension[]): void {
  const types = new Set(extensions.map(({ type }) => type))
  if (types.has(TYPE.delta))
    throw invalid('it is a delta: it only adds to another list; use the complete one')
  const known: ReadonlySet<string> = new Set(Object.values(TYPE))
  const strange = extensions.find(({ type, critical }) => critical && !known.has(type))
  if (strange !== undefined) throw invalid(`it has a critical extension nobody here knows (${strange.type})`)
}

function keyIdOf(extension: Extension | undefined): Buffer | undefined {
  if (extension === undefined) return undefined
  return elements(only(extension.value, TAG.sequence)).find(({ tag }) => tag === 0x80)?.content
}

function scopeOf(extension: Extension | undefined): CrlScope | undefined {
  if (extension === undefined) return undefined
  const scope = readScope(extension.value)
  if (scope !== undefined) return scope
  throw invalid('it is indirect, or of some reasons only (issuing distribution point); use a complete one')
}

function numberOf(extension: Extension | undefined): bigint | undefined {
  if (extension === undefined) return undefined
  const bytes = only(extension.value, TAG.integer)
  // RFC 5280, 5.2.3: at most 20 bytes.
  if (bytes.length === 0 || bytes.length > 20) throw new Error('no such number')
  return BigInt(`0x${bytes.toString('hex')}`)
}

/** Only what lookups need: the rest of an entry is read again where one is found. */
function serialsOf(entries: Buffer): Set<string> {
  const serials = new Set<string>()
  const [list, entry] = [new Walk(entries), new Walk(entries)]
  while (list.next()) {
    if (list.tag !== TAG.sequence || !entry.over(list.start, list.end).next() || entry.tag !== TAG.integer) {
      throw new Error('another element is expected here')
    }
    serials.add(serialOf(entries.subarray(entry.start, entry.end)))
    entry.next()
    if (entry.next()) checkEntry(entries.subarray(entry.start, entry.end))
  }
  return serials
}

function checkEntry(extensions: Buffer): void {
  for (const { type, critical } of extensionsOf(extensions)) {
    if (type === TYPE.certificateIssuer)
      throw invalid('it is indirect: it names certificates of other issuers')
    if (critical && type !== REASON)
      throw invalid(`an entry has a critical extension nobody here knows (${type})`)
  }
}

const REASON = '2.5.29.21'
/** By number; 7 is unused. */
const REASONS = [
  'no reason given',
  'key compromise',
  'CA compromise',
  'affiliation changed',
  'superseded',
  'cessation of operation',
  'certificate hold',
  'no reason given',
  'removed from the list',
  'privilege withdrawn',
  'attribute authority compromise',
]

export function reasonText(code: number | undefined): string {
  return REASONS[code ?? 0] ?? 'no reason given'
}

/** When and why a serial number was revoked; undefined where the list does not name it. */
export function entryOf({ serials, entries }: Crl, serial: string): Revocation | undefined {
  if (!serials.has(serial)) return undefined
  const list = new Walk(entries)
  while (list.next()) {
    const [number, at, extensions] = elements(entries.subarray(list.start, list.end))
    if (serialOf(expect(number, TAG.integer)) === serial) return { at: dateOf(at), why: whyOf(extensions) }
  }
  return undefined
}

function dateOf(element: Element | undefined): number {
  try {
    return timeOf(element)
  } catch {
    return Number.NaN // it is revoked all the same
  }
}

function whyOf(extensions: Element | undefined): string {
  const reason = extensionsOf(extensions?.content ?? Buffer.alloc(0)).find(({ type }) => type === REASON)
  // Tag, length and one byte.
  return reasonText(reason?.value[2])
}

function invalid(what: string, cause?: unknown): PulsewardError {
  const hint =
    'the complete list of one CA is expected, in DER or PEM: "openssl crl -in FILE -noout -text" shows what a file holds'
  return new PulsewardError('crl-invalid', 'config', `this is no revocation list that can be used: ${what}`, {
    hint,
    ...(cause !== undefined && { cause }),
  })
}
