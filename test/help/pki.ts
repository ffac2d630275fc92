// Certificates for tests, minted per run: a CA, its leaves, and every way a broker's certificate goes wrong.
import { mint } from '../../src/tls/mint.ts'
import type { Identity, KeyKind } from '../../src/tls/mint.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

export interface IssueOptions {
  /** Default `['localhost', '127.0.0.1', '::1']`. */
  readonly names?: readonly string[]
  /** Default `ec`, the quicker to make; `keep` certifies an existing key again. */
  readonly key?: KeyKind | { readonly keep: string }
  readonly expired?: boolean
  readonly notYetValid?: boolean
  readonly selfSigned?: boolean
  /** Default `server`; `client` for mutual TLS. */
  readonly purpose?: 'server' | 'client'
  /** Who signs instead of this PKI's CA: a rogue CA, or an intermediate. */
  readonly ca?: Identity
}

export interface IntermediateOptions {
  readonly commonName?: string
  /** Who signs instead of this PKI's CA. */
  readonly ca?: Identity
  readonly key?: KeyKind | { readonly keep: string }
  readonly expired?: boolean
}

export interface Pki {
  readonly ca: Identity
  /** A server or client certificate and its key; `chain` is the PEM to serve: leaf first, then `ca` where that is an intermediate. */
  issue(options?: IssueOptions): Promise<Identity & { readonly chain: string }>
  /** An intermediate CA under this PKI's CA. */
  intermediate(options?: IntermediateOptions): Promise<Identity>
  /** Another CA under the very same subject name: what an attacker who read the chain would make. */
  rogue(): Promise<Identity>
}

/** A fresh CA, valid from a day ago for ten days, and what it can issue. */
export async function makePki(commonName = 'Test CA'): Promise<Pki> {
  const ca = await mintCa(commonName)
  return {
    ca,
    issue: async (options = {}) => {
      const issuer = options.ca ?? ca
      const leaf = await mint({
        commonName: options.names?.[0] ?? 'localhost',
        names: options.names ?? ['localhost', '127.0.0.1', '::1'],
        key: options.key ?? 'ec',
        purpose: options.purpose ?? 'server',
        ...validity(options),
        ...(options.selfSigned === true ? {} : { issuer }),
      })
      const served =
        options.ca === undefined || options.selfSigned === true ? leaf.cert : leaf.cert + issuer.cert
      return { ...leaf, chain: served }
    },
    intermediate: async (options = {}) =>
      await mintCa(options.commonName ?? 'Test Intermediate CA', { ...options, ca: options.ca ?? ca }),
    rogue: async () => await mintCa(commonName),
  }
}

async function mintCa(commonName: string, options: IntermediateOptions = {}): Promise<Identity> {
  return await mint({
    commonName,
    names: [],
    key: options.key ?? 'rsa',
    ...validity(options),
    authority: { pathLength: 5 },
    ...(options.ca === undefined ? {} : { issuer: options.ca }),
  })
}

function validity(options: Pick<IssueOptions, 'expired' | 'notYetValid'>): {
  readonly notBefore: number
  readonly notAfter: number
} {
  const now = Date.now()
  if (options.expired === true) return { notBefore: now - 2 * DAY, notAfter: now - HOUR }
  if (options.notYetValid === true) return { notBefore: now + HOUR, notAfter: now + 2 * DAY }
  return { notBefore: now - DAY, notAfter: now + 9 * DAY }
}
