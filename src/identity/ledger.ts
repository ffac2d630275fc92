// The ledger in memory: every device that is remembered, bounded so that invented ones push out only each other.

import { approved, keyOfRecord, standingOf, type DeviceRecord, type Standing } from './device.ts'

/** Who is who. A store behind it, if any, is told of what changed; lookups never wait for it. */
export interface Ledger {
  /** Undefined for a device that is not remembered. */
  find(key: string): DeviceRecord | undefined
  /** Keeps a record in place of the one before; false where there is no room for one more. */
  keep(record: DeviceRecord): boolean
}

/** What an administrator said of a device. */
export interface Order {
  readonly action: 'approve' | 'forget'
  readonly key: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What a store has to be told. */
export interface Journal {
  kept(key: string, record: DeviceRecord): void
  gone(key: string): void
}

export interface LedgerBounds {
  readonly devices: number
  /** Milliseconds after which a device that nobody approved is forgotten. */
  readonly age: number
}

export class DeviceTable implements Ledger {
  /** Those that nobody approved, by whether they came back; of each, the one seen longest ago first. */
  readonly #fresh = new Map<string, DeviceRecord>()
  readonly #known = new Map<string, DeviceRecord>()
  readonly #approved = new Map<string, DeviceRecord>()
  /** Devices with evidence against them. */
  readonly #doubted = new Set<string>()
  readonly #journal: Journal
  bounds: LedgerBounds

  constructor(bounds: LedgerBounds, journal: Journal) {
    this.bounds = bounds
    this.#journal = journal
  }

  get size(): number {
    return this.#fresh.size + this.#known.size + this.#approved.size
  }

  find(key: string): DeviceRecord | undefined {
    return this.#approved.get(key) ?? this.#known.get(key) ?? this.#fresh.get(key)
  }

  keep(record: DeviceRecord): boolean {
    const key = keyOfRecord(record)
    if (!this.#place(key, record)) return false
    this.#journal.kept(key, record)
    return true
  }

  /** Takes a record from the store, which need not be told of it. */
  restore(record: DeviceRecord): boolean {
    return this.#place(keyOfRecord(record), record)
  }

  /** @returns whether there is such a device. */
  obey({ action, key, at }: Order): boolean {
    const record = this.find(key)
    if (record === undefined) return false
    if (action === 'approve') return this.keep(approved(record, at))
    this.#remove(key)
    return true
  }

  /** Forgets who was not seen for too long, and who is too many; at most `most` of them at once. */
  expire(now: number, most: number): number {
    let count = 0
    for (const tier of [this.#fresh, this.#known]) {
      for (const [key, { lastSeen }] of tier) {
        const stays = now - lastSeen <= this.bounds.age && this.size <= this.bounds.devices
        if (count >= most || stays) break
        this.#remove(key)
        count += 1
      }
    }
    return count
  }

  /** How many devices there are of each standing; suspicions are as of `now`. */
  census(now: number): Record<Standing, number> {
    const counts = {
      approved: this.#approved.size,
      known: this.#known.size,
      new: this.#fresh.size,
      suspected: 0,
    }
    for (const key of this.#doubted) {
      const record = this.find(key)
      if (record === undefined || standingOf(record, now) !== 'suspected') continue
      counts.suspected += 1
      counts[standingOf({ ...record, evidence: [] }, now)] -= 1
    }
    return counts
  }

  #place(key: string, record: DeviceRecord): boolean {
    const isNew = this.find(key) === undefined
    if (isNew && this.size >= this.bounds.devices && !this.#makeRoom(record)) return false
    this.#forget(key)
    this.#tierOf(record).set(key, record)
    if (record.evidence.length > 0) this.#doubted.add(key)
    return true
  }

  /** One that came once goes before one that came back; one that was approved never goes. */
  #makeRoom(record: DeviceRecord): boolean {
    const comesBack = record.approvedAt > 0 || record.sessions > 1
    const [oldest] = this.#fresh.size > 0 ? this.#fresh.keys() : comesBack ? this.#known.keys() : []
    if (oldest === undefined) return false
    this.#remove(oldest)
    return true
  }

  #tierOf({ approvedAt, sessions }: DeviceRecord): Map<string, DeviceRecord> {
    if (approvedAt > 0) return this.#approved
    return sessions > 1 ? this.#known : this.#fresh
  }

  #remove(key: string): void {
    this.#forget(key)
    this.#journal.gone(key)
  }

  #forget(key: string): void {
    this.#doubted.delete(key)
    if (!this.#approved.delete(key) && !this.#known.delete(key)) this.#fresh.delete(key)
  }
}
