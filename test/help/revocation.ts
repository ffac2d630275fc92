// Revocation lists and OCSP responses, right and wrong ones: every field as a test wants it, written and signed here.

import { createHash, sign, X509Certificate } from 'node:crypto'
import {
  algorithmOf,
  der,
  extension,
  keyId,
  oid,
  sequence,
  time,
  type Hash,
  type Made,
} from './certificates.ts'
import { elements, expect, only, TAG } from '../../src/tls/der.ts'

const day = 86_400_000

export interface Listed {
  readonly serial: Buffer
  readonly at?: number
  /** RFC 5280, 5.3.1. */
  readonly reason?: number
  readonly more?: readonly Buffer[]
}

export interface WantedList {
  readonly issuer: Made
  /** Who signs it, where that is not the issuer. */
  readonly signer?: Made
  readonly revoked?: readonly (Made | Listed)[]
  /** Milliseconds since 1970; `null` leaves the end out. */
  readonly from?: number
  readonly to?: number | null
  readonly number?: number
  readonly hash?: Hash
  /** Leaves out which key signed it. */
  readonly anonymous?: boolean
  readonly more?: readonly Buffer[]
}

/** A revocation list in DER. */
export function makeList(wanted: WantedList): Buffer {
  const { issuer, signer = issuer, revoked = [], hash = 'sha256', more = [], anonymous = false } = wanted
  const now = Date.now()
  const { from = now - day, to = now + 6 * day, number = 1 } = wanted
  const [algorithm, digest] = algorithmOf(signer.pair.privateKey, hash)
  const keyed = extension('2.5.29.35', sequence(der(0x80, keyId(issuer.pair.publicKey))))
  const extensions = [
    ...(anonymous ? [] : [keyed]),
    extension('2.5.29.20', der(0x02, Buffer.from([0, number]))),
    ...more,
  ]
  const body = sequence(
    der(0x02, Buffer.from([1])),
    algorithm,
    issuer.subject,
    time(from),
    ...(to === null ? [] : [time(to)]),
    ...(revoked.length === 0 ? [] : [sequence(...revoked.map(entry))]),
    der(0xa0, sequence(...extensions)),
  )
  return sequence(body, algorithm, der(0x03, Buffer.from([0]), sign(digest, body, signer.pair.privateKey)))
}

function entry(one: Made | Listed): Buffer {
  const { serial, at, reason, more = [] }: Listed = 'serial' in one ? one : { serial: serialOf(one) }
  const extensions = [
    ...(reason === undefined ? [] : [extension('2.5.29.21', der(0x0a, Buffer.from([reason])))]),
    ...more,
  ]
  return sequence(
    der(0x02, serial),
    time(at ?? Date.now() - day / 2),
    ...(extensions.length === 0 ? [] : [sequence(...extensions)]),
  )
}

export function pemList(...lists: readonly Buffer[]): string {
  return lists
    .map((list) => (list.toString('base64').match(/.{1,64}/g) ?? []).join('\n'))
    .map((base64) => `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`)
    .join('')
}

export interface WantedResponse {
  readonly leaf: Made
  readonly issuer: Made
  readonly status?: 'good' | 'revoked' | 'unknown'
  readonly reason?: number
  readonly from?: number
  /** `null` leaves it out. */
  readonly to?: number | null
  /** Who signs, where that is not the issuer; it is sent along. */
  readonly by?: Made
  /** Whose key makes the signature, whatever is said. */
  readonly signer?: Made
  /** Named by key instead of by name. */
  readonly byKey?: boolean
  readonly serial?: Buffer
  readonly certId?: 'sha1' | 'sha256' | 'md5'
  readonly hash?: Hash
  readonly more?: readonly Buffer[]
}

/** A successful OCSP response in DER. */
export function makeResponse(wanted: WantedResponse): Buffer {
  const { leaf, issuer, status = 'good', by, hash = 'sha256', certId = 'sha1', more = [] } = wanted
  const speaker = by ?? issuer
  const signer = wanted.signer ?? speaker
  const now = Date.now()
  const { from = now - day / 2, to = now + day, serial = serialOf(leaf) } = wanted
  const [algorithm, digest] = algorithmOf(signer.pair.privateKey, hash)
  const id = sequence(
    sequence(oid(HASHES[certId]), der(0x05)),
    der(0x04, createHash(certId).update(issuer.subject).digest()),
    der(0x04, createHash(certId).update(keyBits(issuer)).digest()),
    der(0x02, serial),
  )
  const single = sequence(
    id,
    statusOf(wanted, status),
    general(from),
    ...(to === null ? [] : [der(0xa0, general(to))]),
    ...(more.length === 0 ? [] : [der(0xa1, sequence(...more))]),
  )
  const name =
    wanted.byKey === true
      ? der(0xa2, der(0x04, createHash('sha1').update(keyBits(speaker)).digest()))
      : der(0xa1, speaker.subject)
  const body = sequence(name, general(now), sequence(single))
  const certs = by === undefined ? [] : [der(0xa0, sequence(new X509Certificate(by.cert).raw))]
  const signature = der(0x03, Buffer.from([0]), sign(digest, body, signer.pair.privateKey))
  const basic = sequence(body, algorithm, signature, ...certs)
  return sequence(
    der(0x0a, Buffer.from([0])),
    der(0xa0, sequence(oid('1.3.6.1.5.5.7.48.1.1'), der(0x04, basic))),
  )
}

/** A response without an answer; 3 asks to come back later. */
export function makeFailure(code: number): Buffer {
  return sequence(der(0x0a, Buffer.from([code])))
}

const HASHES = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1', md5: '1.2.840.113549.2.5' }

/** Limits a list to some certificates (RFC 5280, 5.2.5). */
export function scoped(...fields: readonly Buffer[]): Buffer {
  return extension('2.5.29.28', sequence(...fields), true)
}

/** Limits a list to those that name this place. */
export function placed(url: string): Buffer {
  return scoped(der(0xa0, der(0xa0, der(0x86, Buffer.from(url)))))
}

/** Names where lists about a certificate are published. */
export function publishedAt(...urls: readonly string[]): Buffer {
  const points = urls.map((url) => sequence(der(0xa0, der(0xa0, der(0x86, Buffer.from(url))))))
  return extension('2.5.29.31', sequence(...points))
}

/** What makes a certificate one that is to be stapled (RFC 7633). */
export const mustStaple = extension('1.3.6.1.5.5.7.1.24', sequence(der(0x02, Buffer.from([5]))))

export const ocspSigning = '1.3.6.1.5.5.7.3.9'

/** Timestamps of so many logs, as they lie in a certificate (RFC 6962, 3.3); nobody here checks their signatures. */
export function timestamps(count: number): Buffer {
  const one = Buffer.concat([Buffer.from([0, 47]), Buffer.alloc(47)])
  const list = Buffer.concat(Array.from({ length: count }, () => one))
  const length = Buffer.from([list.length >> 8, list.length & 0xff])
  return extension('1.3.6.1.4.1.11129.2.4.2', der(0x04, length, list))
}

export function serialOf({ cert }: Made): Buffer {
  return Buffer.from(new X509Certificate(cert).serialNumber, 'hex')
}

function statusOf({ reason }: WantedResponse, status: 'good' | 'revoked' | 'unknown'): Buffer {
  if (status === 'good') return der(0x80)
  if (status === 'unknown') return der(0x82)
  const why = reason === undefined ? [] : [der(0xa0, der(0x0a, Buffer.from([reason])))]
  return der(0xa1, general(Date.now() - day / 4), ...why)
}

function general(moment: number): Buffer {
  return der(0x18, Buffer.from(new Date(moment).toISOString().replaceAll(/[-:T]|\.\d+/g, '')))
}

function keyBits({ pair }: Made): Buffer {
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' })
  return expect(elements(only(spki, TAG.sequence))[1], TAG.bits).subarray(1)
}
