// The TLS clients of a capture: who they are by address, JA4 and the name they ask for; bounded.

import type { ClientHello } from '../tls/client-hello.ts'

export interface TlsSighting {
  readonly address: string
  readonly ja4: string
  readonly sni: string | undefined
  /** Offered, as on the wire: 0x0304 is TLS 1.3. */
  readonly versions: readonly number[]
  readonly connections: number
}

const mostSightings = 1000

export class TlsSightings {
  /** Connections of clients for whom there was no room. */
  omitted = 0
  readonly #byKey = new Map<string, { -readonly [Name in keyof TlsSighting]: TlsSighting[Name] }>()

  add(address: string, { ja4, sni, versions }: ClientHello): void {
    const key = `${address} ${ja4} ${sni ?? ''}`
    const known = this.#byKey.get(key)
    if (known !== undefined) known.connections += 1
    else if (this.#byKey.size === mostSightings) this.omitted += 1
    else this.#byKey.set(key, { address, ja4, sni, versions, connections: 1 })
  }

  list(): readonly TlsSighting[] {
    return [...this.#byKey.values()]
  }
}
