// Sightings of brokers that were not trusted, made up: as many as a test wants, all different or all alike.

import { X509Certificate } from 'node:crypto'
import type { Sighting } from '../../src/tls/sighting.ts'
import { factsWith } from './facts.ts'

export interface SightingOptions {
  readonly server?: string
  /** PEM of what was served, leaf first. */
  readonly served?: readonly string[]
  readonly at?: number
  readonly reasons?: readonly string[]
  readonly sessionsHeldBack?: number
}

export const inForce = { sha256: 'c'.repeat(64), version: 3 }
export const software = { pulseward: '0.1.0', node: '26.10.0', openssl: '3.5.4' }

export function sighting(options: SightingOptions = {}): Sighting {
  const {
    server = 'broker.example:8883',
    served = [],
    at = Date.UTC(2026, 10, 22),
    sessionsHeldBack = 1,
  } = options
  const certificates = served.map((pem) => new X509Certificate(pem))
  return {
    upstream: 'hospital',
    server,
    address: '192.0.2.7:8883',
    verdict: 'likely-mitm',
    causes: ['untrusted-chain', 'pin-mismatch'],
    reasons: options.reasons ?? ['no path leads to a CA', 'its key is none of the pinned ones'],
    hint: 'look for what answers there',
    facts: factsWith({
      name: 'broker.example',
      at,
      authorized: false,
      errorCode: 'SELF_SIGNED_CERT_IN_CHAIN',
      served: certificates,
    }),
    served: certificates,
    servedPins: [{ pin: 'sha256/served', subject: 'CN=rogue', notAfter: at + 1000, position: 0 }],
    configuredPins: ['sha256/configured'],
    sessionsHeldBack,
    applicationBytesSent: 0,
    proofBytesSent: 0,
    passage: {
      dialBegan: at - 30,
      connected: at - 20,
      handshakeEnded: at - 10,
      verdictGiven: at,
      socketDestroyed: at,
    },
  }
}
