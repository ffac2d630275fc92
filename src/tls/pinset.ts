// The pins of one upstream: since when and until when each counts, and which of them certificates answer to.
import type { X509Certificate } from 'node:crypto'
import { pinOf, samePin, wholePinOf } from './pins.ts'

export interface Pin {
  /** Canonical, see `parsePin`. */
  readonly pin: string
  /** Meant for a key that is not in use yet. */
  readonly backup?: boolean | undefined
  /** Milliseconds since 1970, this moment included; always, where there is none. */
  readonly notBefore?: number | undefined
  readonly notAfter?: number | undefined
  readonly comment?: string | undefined
  /** Not from proxy.yaml, but from the state: `pulseward trust accept`. */
  readonly accepted?: true
  /** Not from proxy.yaml either: the key that this server, `host:port`, showed first. */
  readonly firstUse?: string
}

export function asPin(pin: Pin | string): Pin {
  return typeof pin === 'string' ? { pin } : pin
}

export function isInForce({ notBefore = -Infinity, notAfter = Infinity }: Pin, at: number): boolean {
  return notBefore <= at && at <= notAfter
}

/** Whether it counts now or will count. */
export function hasFuture({ notAfter = Infinity }: Pin, at: number): boolean {
  return at <= notAfter
}

export function isDated({ notBefore, notAfter }: Pin): boolean {
  return notBefore !== undefined || notAfter !== undefined
}

/** Whether this certificate, or its key, is what was pinned. */
export function answersTo(certificate: X509Certificate, { pin }: Pin): boolean {
  return samePin(wholePinOf(certificate), pin) || samePin(keyPinOf(certificate), pin)
}

/** The pins that these certificates answer to, in the order of the pins. */
export function pinsIn(certificates: readonly X509Certificate[], pins: readonly Pin[]): Pin[] {
  return pins.filter((pin) => certificates.some((certificate) => answersTo(certificate, pin)))
}

/** A key this OpenSSL cannot read has no pin. */
function keyPinOf(certificate: X509Certificate): string {
  try {
    return pinOf(certificate)
  } catch {
    return ''
  }
}
