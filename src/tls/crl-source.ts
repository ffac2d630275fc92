// The revocation lists in force: of each file or URL the ones it held last, and what all of an upstream's say of a path.
import type { X509Certificate } from 'node:crypto'
import { entryOf } from './crl.ts'
import type { Crl } from './crl.ts'
import { isWithin } from './crl-scope.ts'
import { only, TAG } from './der.ts'
import { attributesOf, factsOf } from './extensions.ts'
import type { CertificateFacts } from './extensions.ts'
import type { WeakCertificates } from './limits.ts'
import { isSignedBy } from './signature.ts'
import { momentText, nameLine } from './words.ts'

const MOST_SIGNERS = 32

/** A file or URL of proxy.yaml, shared by every upstream that names it. */
export class CrlSource {
  /** Absolute path or URL. */
  readonly name: string
  readonly #signers = new Map<string, X509Certificate>()
  #lists: readonly Crl[] = []
  #version = 0

  constructor(name: string) {
    this.name = name
  }

  get lists(): readonly Crl[] {
    return this.#lists
  }

  /** Goes up whenever other lists come into force. */
  get version(): number {
    return this.#version
  }

  /** When the first of them has to be renewed, in milliseconds since 1970; undefined while there are none. */
  get nextUpdate(): number | undefined {
    return this.#lists.length === 0 ? undefined : Math.min(...this.#lists.map(({ nextUpdate }) => nextUpdate))
  }

  /** The CAs that were found to have signed its lists, intermediate ones of brokers' chains among them. */
  get signers(): Iterable<X509Certificate> {
    return this.#signers.values()
  }

  signedBy(issuer: X509Certificate): void {
    if (this.#signers.size < MOST_SIGNERS) this.#signers.set(issuer.fingerprint256, issuer)
  }

  adopt(lists: readonly Crl[]): void {
    this.#lists = lists
    this.#version += 1
  }
}

/** What lists say about one member of a path. */
export interface Standing {
  /** One safe line. */
  readonly subject: string
  /** Why it is revoked; undefined where no list names it. */
  readonly revoked: string | undefined
  /** From when until when its issuer's lists clear it; none where no list is by its issuer, or none would name it. */
  readonly spans: readonly { readonly from: number; readonly until: number }[]
  /** A list bears the issuer's name, and not its signature. */
  readonly forged: boolean
  /** A list is by its issuer and speaks of other certificates. */
  readonly leftOut: boolean
}

/** The lists of one upstream. */
export class CrlShelf {
  readonly sources: readonly CrlSource[]
  readonly #weak: WeakCertificates
  readonly #known = new WeakMap<readonly X509Certificate[], { version: number; standings: Standing[] }>()
  readonly #signed = new WeakMap<Crl, Map<string, boolean>>()

  constructor(sources: readonly CrlSource[], weak: WeakCertificates = 'refuse') {
    this.sources = sources
    this.#weak = weak
  }

  /** About every member of a path but the anchor, the leaf first; made once for a path until other lists come. */
  standingsOf(path: readonly X509Certificate[]): readonly Standing[] {
    let version = 0
    for (const source of this.sources) version += source.version
    const known = this.#known.get(path)
    if (known?.version === version) return known.standings
    const standings = path.slice(0, -1).map((member, at) => this.#standingOf(member, path[at + 1]))
    this.#known.set(path, { version, standings })
    return standings
  }

  #standingOf(member: X509Certificate, issuer: X509Certificate | undefined): Standing {
    const subject = nameLine(member.subject)
    const [about, by] = [factsOf(member), issuer && factsOf(issuer)]
    if (about === undefined || by === undefined || issuer === undefined) {
      return { subject, revoked: undefined, spans: [], forged: false, leftOut: false }
    }
    const named = this.sources.flatMap((source) =>
      source.lists.filter((crl) => isNamed(crl, by)).map((crl) => ({ source, crl })),
    )
    const signed = named.filter(({ crl }) => this.#isSigned(crl, issuer, by))
    for (const { source } of signed) source.signedBy(issuer)
    const genuine = signed.map(({ crl }) => crl)
    const entry = genuine.map((crl) => entryOf(crl, about.serial)).find((one) => one !== undefined)
    const within = genuine.filter(({ scope }) => isWithin(scope, about))
    return {
      subject,
      revoked: entry && `revoked on ${momentText(new Date(entry.at))} (${entry.why})`,
      spans: within.map(({ thisUpdate, nextUpdate }) => ({ from: thisUpdate, until: nextUpdate })),
      forged: genuine.length < named.length,
      leftOut: within.length < genuine.length,
    }
  }

  #isSigned(crl: Crl, issuer: X509Certificate, facts: CertificateFacts): boolean {
    const checked = this.#signed.get(crl) ?? new Map<string, boolean>()
    this.#signed.set(crl, checked)
    const known = checked.get(issuer.fingerprint256)
    if (known !== undefined) return known
    const signed = facts.signsLists && isSignedBy(crl.signed, issuer.publicKey, this.#weak)
    checked.set(issuer.fingerprint256, signed)
    return signed
  }
}

/** Whether a list says that it is by this issuer, and by this key of it where both say which. */
export function isNamed({ issuer, keyId }: Crl, facts: CertificateFacts): boolean {
  if (!sameName(issuer, facts.subjectName)) return false
  return keyId === undefined || facts.keyId === undefined || keyId.equals(facts.keyId)
}

/** Names compare without case and repeated blanks (RFC 5280, 7.1). */
function sameName(one: Buffer, other: Buffer): boolean {
  if (one.equals(other)) return true
  try {
    return (
      attributesOf(only(one, TAG.sequence)).join('\n') === attributesOf(only(other, TAG.sequence)).join('\n')
    )
  } catch {
    return false
  }
}
