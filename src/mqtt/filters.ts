// The topic filters a session has asked for, and whether a topic that is delivered matches one of them.

import { bareFilter } from './text.ts'

interface Filter {
  /** Without `$share/{name}/`. */
  readonly bytes: Buffer
  plain: boolean
  shared: boolean
}

/** Most filters and bytes that are remembered; a session that asks for more is not watched for what it gets. */
const mostFilters = 64
const mostBytes = 8 * 1024

/** How a topic came to a session: by a filter, by one whose wildcard should not have matched a `$`, or by none. */
export type Match = 'filter' | 'dollar' | 'none'

/**
 * Filters stay after UNSUBSCRIBE, because messages that were on their way may still arrive (MQTT 5.0, 3.10.4). What an
 * earlier connection subscribed to is not known; then, and when there is too much to remember, everything matches.
 */
export class Filters {
  /** Whether something was subscribed to that is not remembered. */
  incomplete = false
  readonly #filters: Filter[] = []
  /** The same, by their bytes as text; a SUBSCRIBE may name hundreds. */
  readonly #byText = new Map<string, Filter>()
  readonly #identifiers: number[] = []
  #bytes = 0

  /** Notes the filter of a SUBSCRIBE; returns whether the session holds it both shared and plain now. */
  add(bytes: Buffer, from: number, to: number): boolean {
    const bare = bareFilter(bytes, from, to)
    const text = bytes.toString('latin1', bare, to)
    let known = this.#byText.get(text)
    if (known === undefined) {
      if (this.#filters.length === mostFilters || this.#bytes + to - bare > mostBytes) {
        this.incomplete = true
        return false
      }
      known = { bytes: Buffer.from(bytes.subarray(bare, to)), plain: false, shared: false }
      this.#filters.push(known)
      this.#byText.set(text, known)
      this.#bytes += to - bare
    }
    if (bare === from) known.plain = true
    else known.shared = true
    return known.plain && known.shared
  }

  /** Notes the filter of an UNSUBSCRIBE. */
  remove(bytes: Buffer, from: number, to: number): void {
    const bare = bareFilter(bytes, from, to)
    const known = this.#byText.get(bytes.toString('latin1', bare, to))
    if (known === undefined) return
    if (bare === from) known.plain = false
    else known.shared = false
  }

  addIdentifier(identifier: number): void {
    if (this.#identifiers.includes(identifier)) return
    if (this.#identifiers.length === mostFilters) this.incomplete = true
    else this.#identifiers.push(identifier)
  }

  hasIdentifier(identifier: number): boolean {
    return this.incomplete || this.#identifiers.includes(identifier)
  }

  match(topic: Buffer, from: number, to: number): Match {
    if (this.incomplete) return 'filter'
    let best: Match = 'none'
    for (const { bytes } of this.#filters) {
      if (!matches(bytes, topic, from, to)) continue
      if (topic[from] !== 0x24 || bytes[0] === 0x24) return 'filter'
      best = 'dollar'
    }
    return best
  }
}

/** Whether a checked filter matches the topic name from `from` to `to` (MQTT 5.0, 4.7.1), byte by byte. */
export function matches(filter: Uint8Array, topic: Uint8Array, from: number, to: number): boolean {
  let at = from
  for (let i = 0; i < filter.length; i++) {
    const byte = filter[i]!
    if (byte === 0x23) return true
    if (byte === 0x2b) {
      while (at < to && topic[at] !== 0x2f) at++
    } else if (at < to && topic[at] === byte) at++
    // `a/#` matches `a` too (4.7.1.2).
    else return at === to && byte === 0x2f && i + 2 === filter.length && filter[i + 1] === 0x23
  }
  return at === to
}
