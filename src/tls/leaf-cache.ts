// The leaves of the local authority, kept on disk so that a restart shows devices the same certificates.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { mintLeaf } from './issue.ts'
import type { Identity, KeyKind } from './mint.ts'
import { certificateName } from './names.ts'
import { readText, setAside, writePrivate } from './storage.ts'

export interface Leaves {
  readonly rsa: Identity
  readonly ec: Identity
  /** When to ask again, in milliseconds since the epoch: a third of the shorter life is left then. */
  readonly renewAt: number
  readonly warnings: readonly string[]
}

/** The most names one certificate is made for. */
const MAX_NAMES = 100

export class LeafCache {
  readonly #directory: string
  readonly #authority: Identity
  readonly #issuer: X509Certificate
  readonly #clock: () => number
  /** Listeners that share their names also share the minting. */
  readonly #underway = new Map<string, Promise<Leaves>>()

  constructor(directory: string, authority: Identity, clock: () => number) {
    this.#directory = directory
    this.#authority = authority
    this.#issuer = new X509Certificate(authority.cert)
    this.#clock = clock
  }

  async leaves(names: readonly string[]): Promise<Leaves> {
    const unique = [...new Set(names.map((name) => certificateName(name).text))]
    if (unique.length === 0 || unique.length > MAX_NAMES) {
      throw new PulsewardError(
        'name-invalid',
        'config',
        `a certificate for ${unique.length} names cannot be made`,
        {
          hint: `give between 1 and ${MAX_NAMES} names`,
        },
      )
    }
    const key = unique.join('\n')
    const pending = this.#underway.get(key) ?? this.#find(unique).finally(() => this.#underway.delete(key))
    this.#underway.set(key, pending)
    return await pending
  }

  async #find(names: readonly string[]): Promise<Leaves> {
    const warnings: string[] = []
    const rsa = await this.#leaf(names, 'rsa', warnings)
    const ec = await this.#leaf(names, 'ec', warnings)
    return { rsa, ec, renewAt: Math.min(renewalOf(rsa), renewalOf(ec)), warnings }
  }

  async #leaf(names: readonly string[], kind: KeyKind, warnings: string[]): Promise<Identity> {
    const file = join(
      this.#directory,
      `${kind}-${createHash('sha256').update(names.join('\n')).digest('hex').slice(0, 32)}.pem`,
    )
    try {
      const kept = await this.#recall(file, warnings)
      if (kept !== undefined) return kept
    } catch (error) {
      warnings.push(`"${file}" cannot be read, so a new certificate is shown to devices: ${messageOf(error)}`)
    }
    const leaf = await mintLeaf(this.#authority, names, kind, this.#clock())
    try {
      await writePrivate(file, leaf.cert + leaf.key)
      await this.#prune()
    } catch (error) {
      warnings.push(
        `"${file}" cannot be written, so every start shows devices a new certificate: ${messageOf(error)}`,
      )
    }
    return leaf
  }

  /** The leaf in `file` while it is good for devices; what is damaged is set aside. */
  async #recall(file: string, warnings: string[]): Promise<Identity | undefined> {
    const text = await readText(file)
    if (text === undefined) return undefined
    const leaf = split(text)
    if (leaf === undefined) {
      const aside = await setAside(file, this.#clock())
      warnings.push(`"${file}" was damaged and is now "${aside ?? file}"; a new certificate takes its place`)
      return undefined
    }
    const certificate = new X509Certificate(leaf.cert)
    if (!certificate.checkIssued(this.#issuer) || !certificate.verify(this.#issuer.publicKey)) {
      warnings.push(`"${file}" was signed by another authority; a new certificate takes its place`)
      return undefined
    }
    const now = this.#clock()
    return certificate.validFromDate.getTime() <= now && now < renewalOf(leaf) ? leaf : undefined
  }

  /** Names come and go with proxy.yaml; what they leave behind goes when it expires. */
  async #prune(): Promise<void> {
    const now = this.#clock()
    const files = (await readdir(this.#directory)).filter((name) =>
      /^(?:rsa|ec)-[0-9a-f]{32}\.pem$/.test(name),
    )
    for (const name of files.slice(0, 1000)) {
      const leaf = split((await readText(join(this.#directory, name))) ?? '')
      if (leaf !== undefined && new X509Certificate(leaf.cert).validToDate.getTime() < now) {
        await rm(join(this.#directory, name), { force: true })
      }
    }
  }
}

function renewalOf({ cert }: Identity): number {
  const certificate = new X509Certificate(cert)
  const from = certificate.validFromDate.getTime()
  const to = certificate.validToDate.getTime()
  return to - (to - from) / 3
}

/** Certificate and key live in one file, so that neither is ever found without the other. */
function split(text: string): Identity | undefined {
  const cert = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(text)?.[0]
  const key = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/.exec(text)?.[0]
  if (cert === undefined || key === undefined) return undefined
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? { cert, key } : undefined
  } catch {
    return undefined
  }
}
