// The ledger in memory: every device that is remembered, bounded so that invented ones push out only each other.

import { approved, keyOfRecord, read, standingOf, write, type DeviceRecord, type Standing } from './device.ts'

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
  /** `record` as `write` of device.ts writes it. */
  kept(key: string, record: string): void
  gone(key: string): void
}

export interface LedgerBounds {
  readonly devices: number
  /** Milliseconds after which a device that nobody approved is forgotten. */
  readonly age: number
}

/** Records as they are written: as objects they would take four times the room, and one is read in a few microseconds. */
type Tier = Map<string, string>

export class DeviceTable implements Ledger {
  /** Those that nobody approved, by whether they came back; of each, the one seen longest ago first. */
  readonly #fresh: Tier = new Map()
  readonly #known: Tier = new Map()
  readonly #approved: Tier = new Map()
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
    const text = this.#textOf(key)
    return text === undefined ? undefined : read(text)
  }

  keep(record: DeviceRecord): boolean {
    const key = keyOfRecord(record)
    const text = write(record)
    if (!this.#place(key, record, text)) return false
    this.#journal.kept(key, text)
    return true
  }

  /** Takes a record from the store, which need not be told of it; false where it is none, or there is no room. */
  restore(text: string): boolean {
    const record = read(text)
    return record !== undefined && this.#place(keyOfRecord(record), record, text)
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
      for (const [key, text] of tier) {
        if (count >= most) break
        const age = now - (read(text)?.lastSeen ?? 0)
        if (age <= this.bounds.age && this.size <= this.bounds.devices) break
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

  #place(key: string, record: DeviceRecord, text: string): boolean {
    const isNew = this.#textOf(key) === undefined
    if (isNew && this.size >= this.bounds.devices && !this.#makeRoom(record)) return false
    this.#forget(key)
    this.#tierOf(record).set(key, text)
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

  #tierOf({ approvedAt, sessions }: DeviceRecord): Tier {
    if (approvedAt > 0) return this.#approved
    return sessions > 1 ? this.#known : this.#fresh
  }

  #textOf(key: string): string | undefined {
    return this.#approved.get(key) ?? this.#known.get(key) ?? this.#fresh.get(key)
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
