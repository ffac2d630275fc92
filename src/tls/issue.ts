// What the local authority issues: its own certificate and server leaves, with the lifetimes devices can live with.
import { randomBytes, X509Certificate } from 'node:crypto'
import { mint } from './mint.ts'
import type { Identity, KeyKind } from './mint.ts'
import { certificateName } from './names.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Devices' clocks lag; a certificate minted a moment ago must already be valid for them. */
const BACKDATE = HOUR
/** Devices get the authority installed by hand and keep it; minted today, it ends before 32-bit clocks do (2038). */
const AUTHORITY_LIFETIME = 3650 * DAY
/** The longest life that strict TLS stacks still accept of a leaf. */
const LEAF_LIFETIME = 397 * DAY
/** RFC 5280, appendix A: ub-common-name. */
const LONGEST_COMMON_NAME = 64

/** A new local authority: RSA 2048 with SHA-256, the one kind every legacy device can verify. `now` in ms. */
export async function mintAuthority(now: number): Promise<Identity> {
  return await mint({
    commonName: `Pulseward local authority ${randomBytes(4).toString('hex')}`,
    names: [],
    key: 'rsa',
    notBefore: now - BACKDATE,
    notAfter: now + AUTHORITY_LIFETIME,
    authority: { pathLength: 0 },
  })
}

/**
 * A server certificate for `names`, for 397 days or as long as its authority lives. `now` in ms.
 *
 * @throws {PulsewardError} `name-invalid` for a name no certificate can carry.
 */
export async function mintLeaf(
  authority: Identity,
  names: readonly string[],
  key: KeyKind,
  now: number,
): Promise<Identity> {
  const last = new X509Certificate(authority.cert).validToDate.getTime()
  const texts = names.map((name) => certificateName(name).text)
  return await mint({
    // Old devices read only the common name, so the first name that fits goes there too.
    commonName: texts.find((text) => text.length <= LONGEST_COMMON_NAME) ?? 'Pulseward',
    names,
    key,
    notBefore: now - BACKDATE,
    notAfter: Math.min(now + LEAF_LIFETIME, last),
    issuer: authority,
  })
}
