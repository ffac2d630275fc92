// OCSP responses (RFC 6960, 4.2): what one says about which certificates, and who says so; whether that is true, others judge.
import { X509Certificate } from 'node:crypto'
import { reasonText } from './crl.ts'
import type { Revocation } from './crl.ts'
import { elements, expect, extensionsOf, only, serialOf, TAG, timeOf, wholeBytes } from './der.ts'
import type { Element } from './der.ts'
import { hashNamed } from './signature.ts'
import type { Signed } from './signature.ts'

/** One certificate, named by hashes of its issuer's name and key and by its serial number. */
export interface OcspAnswer {
  /** As node calls the hash; undefined where nobody here knows it. */
  readonly hash: string | undefined
  readonly issuerName: Buffer
  readonly issuerKey: Buffer
  /** As `serialOf` in der.ts has it. */
  readonly serial: string
  readonly status: 'good' | 'revoked' | 'unknown'
  /** Of one that is revoked. */
  readonly revocation: Revocation | undefined
  /** Milliseconds since 1970. */
  readonly thisUpdate: number
  /** Undefined where there is newer information at any time. */
  readonly nextUpdate: number | undefined
}

export interface OcspResponse {
  /** The whole name of who answers, or the SHA-1 hash of its key. */
  readonly responder: { readonly name: Buffer } | { readonly key: Buffer }
  readonly answers: readonly OcspAnswer[]
  /** What it sent along to be checked with. */
  readonly certificates: readonly X509Certificate[]
  readonly signed: Signed
}

/** A staple has one answer and a certificate or two. */
const LARGEST_RESPONSE = 64 * 1024
const MOST_ANSWERS = 16
const MOST_CERTIFICATES = 4

/** Why there is no answer in it, by number (RFC 6960, 4.2.1). */
const FAILURES = new Map([
  [1, 'the responder did not understand the question'],
  [2, 'the responder failed'],
  [3, 'the responder asks to come back later'],
  [5, 'the responder wants the question signed'],
  [6, 'the responder answers only those it knows'],
])

/** @throws {Error} that says in a few words why it is no answer. */
export function readOcsp(bytes: Buffer): OcspResponse {
  if (bytes.length > LARGEST_RESPONSE) throw new Error('it is larger than 64 KiB')
  let failure: string | undefined
  try {
    const [status, wrapped] = elements(only(bytes, TAG.sequence))
    const code = expect(status, TAG.enumerated)[0] ?? -1
    if (code === 0) return basic(expect(wrapped, 0xa0))
    failure = FAILURES.get(code)
  } catch (cause) {
    throw new Error('it is not encoded as RFC 6960 has it', { cause })
  }
  throw new Error(failure ?? 'it has no answer')
}

const BASIC = Buffer.from('2b0601050507300101', 'hex')

function basic(wrapped: Buffer): OcspResponse {
  const [type, octets] = elements(only(wrapped, TAG.sequence))
  if (!expect(type, TAG.oid).equals(BASIC)) throw new Error('another type of response')
  const [body, algorithm, signature, certs] = elements(only(expect(octets, TAG.octets), TAG.sequence))
  const fields = elements(expect(body, TAG.sequence))
  const at = fields[0]?.tag === 0xa0 ? 1 : 0
  const [responder, produced, responses, extensions] = fields.slice(at)
  timeOf(produced)
  refuseCritical(extensions)
  return {
    responder: responderOf(responder),
    answers: elements(expect(responses, TAG.sequence)).slice(0, MOST_ANSWERS).map(answerOf),
    certificates: certs === undefined ? [] : certificatesOf(expect(certs, 0xa0)),
    signed: {
      body: body?.whole ?? Buffer.alloc(0),
      algorithm: expect(algorithm, TAG.sequence),
      signature: wholeBytes(signature),
    },
  }
}

function responderOf(element: Element | undefined): OcspResponse['responder'] {
  if (element?.tag === 0xa1) return { name: element.content }
  return { key: only(expect(element, 0xa2), TAG.octets) }
}

function answerOf(element: Element): OcspAnswer {
  const [id, status, from, ...rest] = elements(expect(element, TAG.sequence))
  const [algorithm, name, key, serial] = elements(expect(id, TAG.sequence))
  const until = rest.find(({ tag }) => tag === 0xa0)
  refuseCritical(rest.find(({ tag }) => tag === 0xa1))
  return {
    hash: hashNamed(algorithm),
    issuerName: expect(name, TAG.octets),
    issuerKey: expect(key, TAG.octets),
    serial: serialOf(expect(serial, TAG.integer)),
    ...statusOf(status),
    thisUpdate: timeOf(from),
    nextUpdate: until === undefined ? undefined : timeOf(elements(until.content)[0]),
  }
}

function statusOf(element: Element | undefined): Pick<OcspAnswer, 'status' | 'revocation'> {
  if (element?.tag === 0x80) return { status: 'good', revocation: undefined }
  if (element?.tag === 0x82) return { status: 'unknown', revocation: undefined }
  const [at, reason] = elements(expect(element, 0xa1))
  const code = reason === undefined ? undefined : only(reason.content, TAG.enumerated)[0]
  return { status: 'revoked', revocation: { at: timeOf(at), why: reasonText(code) } }
}

/** None is known here that would change what an answer means. */
function refuseCritical(wrapped: Element | undefined): void {
  if (wrapped === undefined) return
  const list = extensionsOf(only(wrapped.content, TAG.sequence))
  if (list.some(({ critical }) => critical)) throw new Error('a critical extension')
}

function certificatesOf(wrapped: Buffer): X509Certificate[] {
  return elements(only(wrapped, TAG.sequence))
    .slice(0, MOST_CERTIFICATES)
    .map(({ whole }) => new X509Certificate(whole))
}
