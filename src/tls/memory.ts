// What a set of trust settings remembers: identities it verified and verdicts it gave, so repeats cost little.
import type { X509Certificate } from 'node:crypto'
import { StapleMemory } from './staple.ts'
import { TimestampMemory } from './transparency.ts'
import type { BrokerIdentity, Verdict } from './verdict.ts'

const MAX_IDENTITIES = 64

/**
 * Belongs to one `TrustSettings` object and dies with it, so nothing learnt under old pins or CAs survives a reload.
 * Holds positive results only: a refused broker is examined in full each time.
 */
export class TrustMemory {
  readonly staples = new StapleMemory()
  readonly timestamps = new TimestampMemory()
  readonly #identities = new Map<string, BrokerIdentity>()
  readonly #given = new WeakMap<Verdict, string>()
  /** Who signed the last trusted leaf, by name. */
  readonly #issuers = new Map<string, X509Certificate>()

  recall(name: string, leaf: X509Certificate): BrokerIdentity | undefined {
    return this.#identities.get(keyOf(name, leaf))
  }

  remember(name: string, leaf: X509Certificate, identity: BrokerIdentity): void {
    if (this.#identities.size >= MAX_IDENTITIES) {
      const [oldest] = this.#identities.keys()
      if (oldest !== undefined) this.#identities.delete(oldest)
    }
    this.#identities.set(keyOf(name, leaf), identity)
  }

  /** Notes that this very verdict, positive and about `name`, was given under these settings. */
  vouch(name: string, verdict: Verdict): void {
    this.#given.set(verdict, name)
    const issuer = verdict.path[1] ?? verdict.path[0]
    if (issuer !== undefined && verdict.reported === undefined) this.#issuers.set(name, issuer)
  }

  /** The issuer of the last leaf that was trusted for this name. */
  issuerOf(name: string): X509Certificate | undefined {
    return this.#issuers.get(name)
  }

  vouchedFor(name: string, verdict: Verdict): boolean {
    return this.#given.get(verdict) === name
  }
}

/**
 * The exact bytes of the leaf: whatever else is served with it, its path was verified once, and that its peer has the
 * key, the handshake proves each time.
 */
function keyOf(name: string, leaf: X509Certificate): string {
  return `${leaf.fingerprint256} ${name}`
}
