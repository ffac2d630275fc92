// What the members of a path allow each other: who may sign whom, how deep, for which names, with which hashes.
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { attributesOf, factsOf, GENERAL } from './extensions.ts'
import type { CertificateFacts, GeneralName, NameConstraints } from './extensions.ts'
import { certificateName } from './names.ts'
import type { Objection } from './verdict.ts'
import { nameLine } from './words.ts'

/** Whether a named old broker may show RSA from 1024 bits and SHA-1. */
export type WeakCertificates = 'refuse' | 'accept'

/** Comparisons of names with constraints that one CA of a path may cost. */
const MAX_COMPARISONS = 1 << 16

/**
 * Everything that forbids `path`, leaf to anchor, to vouch for `name` (RFC 5280, 6.1). OpenSSL checks the same of the
 * path it built itself; this is for the one the pins are looked for in, which may be another.
 */
export function judgeLimits(
  path: readonly X509Certificate[],
  name: string,
  weak: WeakCertificates,
): Objection[] {
  const facts: CertificateFacts[] = []
  for (const certificate of path) {
    const known = factsOf(certificate)
    if (known === undefined)
      return [refuse(`"${nameLine(certificate.subject)}" is not encoded as it must be`)]
    facts.push(known)
  }
  return path.flatMap((certificate, at) => {
    const said = nameLine(certificate.subject)
    return [
      ...judgeOne(facts, at, said),
      // Nobody relies on the signature of an anchor: it is trusted as it lies in the file.
      ...(at === path.length - 1 ? [] : judgeSignature(facts[at], said, weak)),
      ...judgeNames(facts, at, name, said),
    ]
  })
}

function judgeOne(path: readonly CertificateFacts[], at: number, said: string): Objection[] {
  const [facts] = path.slice(at)
  if (facts === undefined) return []
  const objections: Objection[] = []
  const below = path.slice(1, at).filter(({ selfIssued }) => !selfIssued).length
  if (facts.unknown.length > 0) {
    objections.push(
      refuse(
        `"${said}" has a critical extension that nobody here knows (${facts.unknown.slice(0, 4).join(', ')})`,
      ),
    )
  }
  if (!facts.serves) objections.push(refuse(`"${said}" is not for TLS servers by its extended key usage`))
  if (at === 0) {
    // RFC 8446, 4.4.2.2; in TLS 1.2 only suites are offered in which this key signs too.
    if (!facts.signs) objections.push(refuse(`the key usage of "${said}" forbids it to sign a handshake`))
    return objections
  }
  if (facts.authority === false) objections.push(refuse(`"${said}" is no CA and may sign no certificate`))
  if (facts.pathLength !== undefined && below > facts.pathLength) {
    objections.push(refuse(`"${said}" allows ${facts.pathLength} CAs below it, and there are ${below}`))
  }
  return objections
}

function judgeSignature(
  facts: CertificateFacts | undefined,
  said: string,
  weak: WeakCertificates,
): Objection[] {
  if (facts === undefined || facts.hash === 'strong' || (facts.hash === 'sha1' && weak === 'accept'))
    return []
  const hash = facts.hash === 'sha1' ? 'SHA-1' : 'MD5 or older'
  return [{ cause: 'weak-signature', reason: `"${said}" is signed with ${hash}, which can be forged` }]
}

/** Whether the constraints of the member at `at` let through the names of all below it, and the name that was dialled. */
function judgeNames(path: readonly CertificateFacts[], at: number, name: string, said: string): Objection[] {
  const constraints = path[at]?.constraints
  if (constraints === undefined || at === 0) return []
  // RFC 5280, 6.1.3 (b): not those of self-issued CAs in between.
  const bound = path.slice(0, at).filter(({ selfIssued }, below) => below === 0 || !selfIssued)
  // A wildcard may cover an excluded name without being below it, so the name that is looked for counts as well.
  const names = [...bound.flatMap(namesOf), ...dialled(name)]
  const { permitted, excluded } = constraints
  if (names.length * (permitted.length + excluded.length) > MAX_COMPARISONS) {
    return [refuse(`"${said}" limits more names than can be compared`)]
  }
  return names.every((one) => lets(constraints, one))
    ? []
    : [refuse(`"${said}" may not vouch for the names in its chain by its name constraints`)]
}

function namesOf({ names, subject }: CertificateFacts): GeneralName[] {
  return subject.length === 0 ? [...names] : [...names, { kind: GENERAL.directory, content: subject }]
}

function dialled(name: string): GeneralName[] {
  try {
    return [{ kind: isIP(name) === 0 ? GENERAL.dns : GENERAL.ip, content: certificateName(name).bytes }]
  } catch {
    return [] // no certificate can carry it: a mismatch anyway
  }
}

function lets({ permitted, excluded }: NameConstraints, name: GeneralName): boolean {
  const same = ({ kind }: GeneralName): boolean => kind === name.kind
  const within = WITHIN.get(name.kind)
  const [asked, barred] = [permitted.filter(same), excluded.filter(same)]
  // Mail addresses and the like: no broker needs them, and a limit that is not understood is not met.
  if (within === undefined) return asked.length === 0 && barred.length === 0
  return (
    (asked.length === 0 || asked.some((base) => within(name.content, base.content))) &&
    !barred.some((base) => within(name.content, base.content))
  )
}

const WITHIN = new Map<number, (name: Buffer, base: Buffer) => boolean>([
  [GENERAL.dns, isBelow],
  [GENERAL.ip, isInNetwork],
  [GENERAL.directory, isUnder],
])

function isBelow(name: Buffer, base: Buffer): boolean {
  const host = name.toString('latin1').toLowerCase().replace(/\.$/, '')
  const domain = base.toString('latin1').toLowerCase().replace(/\.$/, '')
  if (domain === '' || host === domain) return true
  return host.endsWith(domain.startsWith('.') ? domain : `.${domain}`)
}

/** `base` is an address and a mask of the same length. */
function isInNetwork(name: Buffer, base: Buffer): boolean {
  const { length } = name
  return (
    base.length === 2 * length &&
    name.every((byte, at) => ((byte ^ (base[at] ?? 0)) & (base[length + at] ?? 0)) === 0)
  )
}

function isUnder(name: Buffer, base: Buffer): boolean {
  const parts = attributesOf(name)
  return attributesOf(base).every((part, at) => parts[at] === part)
}

function refuse(reason: string): Objection {
  return { cause: 'untrusted-chain', reason }
}
