// How often something happens: messages of one connection within a second, CONNECTs of one identifier within a minute.

import type { Direction } from './packet.ts'

const second = 1000
const minute = 60_000

/** Counts within windows of a second, each direction for itself. */
export class Rate {
  readonly #began: Record<Direction, number> = { up: -Infinity, down: -Infinity }
  readonly #counts: Record<Direction, number> = { up: 0, down: 0 }

  /** Counts one more; returns how many there were in the window `now`, in milliseconds, lies in. */
  count(direction: Direction, now: number): number {
    if (now - this.#began[direction] >= second) {
      this.#began[direction] = now
      this.#counts[direction] = 0
    }
    return (this.#counts[direction] += 1)
  }
}

/** Most client identifiers remembered; the one that has been there longest makes room for a new one. */
const mostRemembered = 4096

interface Window {
  readonly began: number
  count: number
}

/** Counts CONNECTs by client identifier within windows of a minute; remembers hashes, never identifiers. */
export class Churn {
  readonly #windows = new Map<number, Window>()

  /** Counts one more; returns how many there were in the window `now`, in milliseconds, lies in. */
  count(clientId: string, now: number): number {
    const key = hash(clientId)
    const window = this.#windows.get(key)
    if (window !== undefined && now - window.began < minute) return (window.count += 1)
    this.#windows.delete(key)
    if (this.#windows.size === mostRemembered) {
      const [oldest] = this.#windows.keys()
      if (oldest !== undefined) this.#windows.delete(oldest)
    }
    this.#windows.set(key, { began: now, count: 1 })
    return 1
  }
}

/** FNV-1a over UTF-16 units, twice from different offsets, for 52 bits; spread, not secrecy. */
function hash(text: string): number {
  let low = 0x811c9dc5
  let high = 0x01234567
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x01000193)
  }
  return (high >>> 12) * 2 ** 32 + (low >>> 0)
}
