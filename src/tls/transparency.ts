// Certificate transparency (RFC 6962) as a hint: who had a certificate issued in secret cannot show that logs saw it.
import type { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import { factsOf } from './extensions.ts'

/**
 * Never a reason to refuse: what is remarkable about a verified path whose leaf no log vouches for. Private CAs use no logs,
 * so it is remarkable only where the leaf before had timestamps, or where the CA is one of the public ones.
 */
export class TimestampMemory {
  /** Names whose leaves had timestamps. */
  readonly #seen = new Set<string>()
  readonly #told = new WeakMap<readonly X509Certificate[], string | undefined>()

  remark(name: string, path: readonly X509Certificate[]): string | undefined {
    if (!this.#told.has(path)) this.#told.set(path, this.#look(name, path))
    return this.#told.get(path)
  }

  #look(name: string, path: readonly X509Certificate[]): string | undefined {
    const [leaf, anchor] = [path[0], path.at(-1)]
    if (leaf === undefined || anchor === undefined) return undefined
    if ((factsOf(leaf)?.timestamps ?? 0) > 0) {
      this.#seen.add(name)
      return undefined
    }
    if (this.#seen.has(name)) {
      return 'no transparency log vouches for its certificate, and logs did for the one before'
    }
    return isPublic(anchor)
      ? 'no transparency log vouches for its certificate, though its CA is a public one'
      : undefined
  }
}

function isPublic(anchor: X509Certificate): boolean {
  const base64 = anchor.raw.toString('base64')
  // Node's own list breaks its lines elsewhere than `toString` does.
  return getCACertificates('bundled').some((known) => known.replaceAll('\n', '').includes(base64))
}
