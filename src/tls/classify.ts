// From what is wrong with a handshake to what it most likely means, and what an administrator does next.
import type { Cause, VerdictKind } from './verdict.ts'

/**
 * The verdict that a set of causes amounts to: the gravest reading that one of them forces. `isSameIssuer`: whether the
 * certificate comes from where this broker's always came, the issuer of the last one that was trusted or, where none
 * was yet, a CA of the administrator's own; asked only where it matters, for it costs as much as a handshake's rest.
 */
export function classify(causes: readonly Cause[], isSameIssuer: () => boolean): VerdictKind {
  const kinds = new Set(causes.map((cause) => meaningOf(cause, isSameIssuer)))
  return ORDER.find((kind) => kinds.has(kind)) ?? 'trusted'
}

/** What an administrator does next. */
export function nextStep(verdict: Exclude<VerdictKind, 'trusted'>, worst: Cause): string {
  return verdict === 'likely-rotation' ? ROTATION : HINTS[worst]
}

const ORDER = [
  'likely-mitm',
  'revoked',
  'downgraded',
  'likely-rotation',
  'revocation-unknown',
  'weak-key',
  'weak-signature',
  'expired',
  'not-yet-valid',
] as const satisfies readonly VerdictKind[]

function meaningOf(cause: Cause, isSameIssuer: () => boolean): VerdictKind {
  switch (cause) {
    case 'untrusted-chain':
    case 'self-signed':
    case 'name-mismatch':
    case 'copied-certificate':
    case 'pair-mismatch':
    case 'pair-unproven':
      return 'likely-mitm'
    case 'pin-mismatch':
      // A new key that the same issuer certified for the same name: what a renewal looks like.
      return isSameIssuer() ? 'likely-rotation' : 'likely-mitm'
    case 'downgraded':
    case 'weaker-than-learned':
    case 'group-refused':
    case 'pair-missing':
      return 'downgraded'
    case 'pin-not-in-force':
      return 'expired'
    case 'staple-missing':
    case 'staple-invalid':
      return 'revocation-unknown'
    default:
      return cause
  }
}

const ROTATION =
  "the key is new, issuer and name are the broker's: ask its administrator by another channel whether it was changed, compare the served pins, and paste them into upstreams.NAME.tls.pins; if nobody changed it, its issuer was deceived and this is a man in the middle"

/** Where a certificate is shown by somebody who does not have its key. */
export const COPIED =
  "somebody shows the broker's public certificate without having its key: look for what answers at the broker's address"

const HINTS: Readonly<Record<Cause, string>> = {
  'untrusted-chain':
    "set upstreams.NAME.tls.ca to the CA that issued the broker's certificate; if it is set, somebody else may be answering in the broker's place",
  'self-signed':
    'if the broker really uses this certificate, put it into the file named by upstreams.NAME.tls.ca; otherwise somebody else is answering',
  'name-mismatch':
    'use the name the certificate was issued for in servers, or set upstreams.NAME.tls.serverName; if both are right, somebody else is answering',
  'copied-certificate': COPIED,
  revoked:
    "its issuer declared the certificate void, so somebody else may have its key: ask the broker's administrator why, and have a new one issued, with a new key",
  'pin-mismatch':
    "the key is none of the pinned ones, and its issuer is not the one this broker's certificates came from: treat it as a man in the middle until the broker's administrator confirms the served pins by another channel",
  'pair-mismatch':
    "somebody sits between the two ends of this pair and holds a certificate that passes every check: keep devices away from that network, find who answers at the server's address, and replace the certificate and key of the far end",
  'pair-unproven':
    'compare what "pulseward pair show" prints at both ends with peers, or the shared keys; if they are right, somebody answers in the place of the far end with its certificate',
  'pin-not-in-force':
    'the pin of this broker counts only between its dates: confirm the served pins by another channel, then renew notAfter in upstreams.NAME.tls.pins or list the new pin',
  'staple-missing':
    'have the broker send an OCSP response along (stapling), or take tls.revocation.staple: require out; a certificate that must be stapled needs it in any case, and who stole such a certificate leaves it out',
  'staple-invalid':
    'see to the OCSP stapling of the broker, and to the clocks: its certificate, or tls.revocation.staple: require, demands a valid response',
  'revocation-unknown':
    'see to upstreams.NAME.tls.revocation.crl: a list by each issuer of its chain, in date; unknown: accept lets such brokers through meanwhile',
  'weak-key':
    "have the broker's certificate issued anew with RSA 2048 or P-256; for an old broker that cannot, upstreams.NAME.tls.weakCertificates: accept lets RSA from 1024 bits and SHA-1 pass",
  'weak-signature':
    "have the broker's certificate issued anew by a CA that signs with SHA-256; for an old broker that cannot, upstreams.NAME.tls.weakCertificates: accept lets SHA-1 and RSA from 1024 bits pass, MD5 never",
  downgraded:
    'bring the broker to TLS 1.3, or allow less with upstreams.NAME.tls.minVersion; if it spoke TLS 1.3 before, somebody in between may be holding it down',
  'weaker-than-learned':
    'ask the administrator of the broker whether this was changed: if so, "pulseward trust profile forget" has the server learnt anew; if not, somebody in between may be holding the link down',
  'group-refused':
    'bring the broker to OpenSSL 3.5 or later, or set upstreams.NAME.tls.postQuantum to prefer',
  'pair-missing':
    'give the listener of the far end the option pair, or remove it here if no Pulseward stands before that broker; if the far end has it, somebody with its certificate and key answers in its place',
  expired: "renew the broker's certificate; keep its key and the pins stay as they are",
  'not-yet-valid': 'check the clocks of this machine and of the machine that issued the certificate',
}
