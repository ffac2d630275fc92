// What goes into a judgement on a broker's handshake, and what comes out of it.
import type { X509Certificate } from 'node:crypto'
import type { Staple } from './staple.ts'

/** What a handshake means for an administrator, the worst first; bounded, fit for a metric label. */
export const VERDICTS = [
  'likely-mitm',
  'revoked',
  'downgraded',
  'likely-rotation',
  'revocation-unknown',
  'weak-key',
  'weak-signature',
  'expired',
  'not-yet-valid',
  'trusted',
] as const

export type VerdictKind = (typeof VERDICTS)[number]

/** What can be wrong with a handshake, the worst first; bounded, fit for a metric label. */
export const CAUSES = [
  'untrusted-chain',
  'self-signed',
  'name-mismatch',
  'copied-certificate',
  'revoked',
  'pin-mismatch',
  'pair-mismatch',
  'pair-unproven',
  'pin-not-in-force',
  'staple-missing',
  'staple-invalid',
  'revocation-unknown',
  'weak-key',
  'weak-signature',
  'downgraded',
  'weaker-than-learned',
  'group-refused',
  'pair-missing',
  'expired',
  'not-yet-valid',
] as const

export type Cause = (typeof CAUSES)[number]

/** What was seen of one finished handshake; gathered by `describe` in handshake.ts. */
export interface HandshakeFacts {
  /** The host name or IP address the broker has to prove. */
  readonly name: string
  /** When, in milliseconds since the epoch. */
  readonly at: number
  /** OpenSSL's own result of verifying the chain, and its error code where it is negative. */
  readonly authorized: boolean
  readonly errorCode: string | undefined
  /** The certificates as served, leaf first; empty on a resumed session. */
  readonly served: readonly X509Certificate[]
  /** The first of them, which is read at once; the others are read when somebody asks. */
  readonly leaf: X509Certificate | undefined
  /** Whether all is examined anew, whatever is known of the leaf. */
  readonly afresh: boolean
  /** The OCSP response it sent along, where one was asked for and came. */
  readonly staple?: Buffer | undefined
  /** `TLSv1.2`, `TLSv1.3`, `unknown`, or `none` where there is no TLS. */
  readonly protocol: string
  /** The cipher suite's IANA name. */
  readonly cipher: string
  /** The key exchange group by its name of record; see groups.ts. */
  readonly group: string
  readonly resumed: boolean
  /** On a resumed session: the verdict on the handshake that session comes from. */
  readonly earlier: Verdict | undefined
}

export interface ServedPin {
  /** Canonical, as proxy.yaml takes it. */
  readonly pin: string
  /** One line, safe for terminals and logs. */
  readonly subject: string
  /** Milliseconds since the epoch. */
  readonly notAfter: number
  /** 0 is the leaf. */
  readonly position: number
}

export interface Verdict {
  readonly verdict: VerdictKind
  /** Everything that is wrong, the worst first; empty when trusted. */
  readonly causes: readonly Cause[]
  /** One sentence a reason, the worst first; empty when trusted, unless there was nothing to judge. */
  readonly reasons: readonly string[]
  /** What an administrator does next; undefined when trusted. */
  readonly hint: string | undefined
  /** Every certificate served, or on a resumed session served when it began. */
  readonly servedPins: readonly ServedPin[]
  /** The verified path the verdict rests on, leaf to anchor; empty where there is none. */
  readonly path: readonly X509Certificate[]
  /** What the pins hold against a broker that is trusted all the same, because `pinMode` is `report`. */
  readonly reported?: Reported | undefined
  /** The staple that says its certificate is good; on a resumed session the one it began with. */
  readonly staple?: Staple | undefined
  /** One sentence each: what was noticed and, as it is configured, not held against it. */
  readonly remarks?: readonly string[] | undefined
}

export interface Reported {
  /** What the verdict would have been. */
  readonly verdict: VerdictKind
  readonly causes: readonly Cause[]
  readonly reasons: readonly string[]
  readonly hint: string
}

/** One thing wrong with a handshake. */
export interface Objection {
  readonly cause: Cause
  readonly reason: string
}

/** Who a broker proved to be: the part of a judgement that depends on neither the clock nor the link. */
export interface BrokerIdentity {
  readonly path: readonly X509Certificate[]
  readonly servedPins: readonly ServedPin[]
}
