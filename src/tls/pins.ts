// Pins: reads the spellings administrators paste, and computes the pins of a certificate: of its key, and of all of it.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import { PulsewardError } from '../errors.ts'

const DIGEST_BYTES = 32
/** What stands before the pin of a whole certificate. */
const WHOLE = 'cert-'
/** 'sha256/' and 32 bytes of base64 with its padding. */
const CANONICAL_LENGTH = 'sha256/'.length + 44
/** Longest text worth reading: the hex spelling with a colon after every byte. */
const LONGEST_PIN = WHOLE.length + 'sha256:'.length + 3 * DIGEST_BYTES

/**
 * Reads `sha256/BASE64` (RFC 7469's spelling, padding optional) or `sha256:HEX` (any case, colons between
 * bytes allowed) and returns the canonical `sha256/BASE64=`. With `cert-` before it, it is the pin of a whole
 * certificate, and stays so.
 *
 * @throws {PulsewardError} `pin-invalid`, blame `config`.
 */
export function parsePin(text: string): string {
  const trimmed = text.trim()
  const whole = trimmed.toLowerCase().startsWith(WHOLE)
  const rest = whole ? trimmed.slice(WHOLE.length) : trimmed
  const digest = trimmed.length > LONGEST_PIN ? undefined : (readBase64(rest) ?? readHex(rest))
  if (digest === undefined) {
    throw new PulsewardError('pin-invalid', 'config', `not a pin: ${JSON.stringify(excerpt(text))}`, {
      hint: 'write sha256/ and 43 or 44 characters of base64, or sha256: and 64 hex digits; "pulseward pin HOST:PORT" prints both parts ready to paste',
    })
  }
  return whole ? WHOLE + spell(digest) : spell(digest)
}

/** Whether a canonical pin is that of a whole certificate, which every renewal changes. */
export function isWholePin(pin: string): boolean {
  return pin.startsWith(WHOLE)
}

/** A key pin read as that of a whole certificate. */
export function asWholePin(pin: string): string {
  return isWholePin(pin) ? pin : WHOLE + pin
}

/** SHA-256 of the DER of a certificate, as `cert-sha256/BASE64=`. */
export function wholePinOf(certificate: X509Certificate): string {
  return WHOLE + spell(Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex'))
}

/** The first twelve characters of a pin's digest: enough to tell pins apart in a label. */
export function shortPin(pin: string): string {
  return pin.slice(pin.indexOf('/') + 1, pin.indexOf('/') + 13)
}

const known = new WeakMap<X509Certificate, string>()

/** The pin of a certificate: SHA-256 of its DER SubjectPublicKeyInfo (RFC 7469, 2.4), as `sha256/BASE64=`. */
export function pinOf(certificate: X509Certificate): string {
  const before = known.get(certificate)
  if (before !== undefined) return before
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  const pin = spell(createHash('sha256').update(spki).digest())
  known.set(certificate, pin)
  return pin
}

/** Whether two canonical pins are the same, in time that does not depend on where they differ. */
export function samePin(one: string, other: string): boolean {
  return (
    one.length === other.length &&
    one.length === (isWholePin(one) ? WHOLE.length : 0) + CANONICAL_LENGTH &&
    timingSafeEqual(Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1'))
  )
}

function readBase64(text: string): Buffer | undefined {
  const match = /^sha256\/([A-Za-z0-9+/]{43})=?$/i.exec(text)
  if (match?.[1] === undefined) return undefined
  const digest = Buffer.from(match[1], 'base64')
  // The 43rd character carries two spare bits; set ones mean a mistyped pin, not another spelling of this one.
  return digest.toString('base64') === `${match[1]}=` ? digest : undefined
}

function readHex(text: string): Buffer | undefined {
  const match = /^sha256:([0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i.exec(text)
  return match?.[1] === undefined ? undefined : Buffer.from(match[1].replaceAll(':', ''), 'hex')
}

function spell(digest: Buffer): string {
  return `sha256/${digest.toString('base64')}`
}

function excerpt(text: string): string {
  return text.length > LONGEST_PIN ? `${text.slice(0, 48)}…` : text
}
