// The TCP connections of a capture, found by the addresses and ports of their packets; the idlest make room for new ones.

import { Connection, type Arrivals, type Listener, type Pool, type Side } from './connection.ts'
import type { Segment } from './segment.ts'

/** Who listens to a connection, by the key of its side 0. `client` is undefined where the capture began later. */
export type Opened = (key: string, client: Side | undefined) => Listener

interface Entry {
  readonly connection: Connection
  readonly side: Side
}

/** Most connections remembered, those that are over included. */
export const mostConnections = 16_384
/** Bytes that wait for others in all connections together. */
const mostHeld = 64 * 1024 * 1024

export class Connections implements Arrivals {
  retransmitted = 0
  outOfOrder = 0
  /** Connections forgotten, before they were over, for others to be remembered. */
  evicted = 0
  readonly #opened: Opened
  readonly #byKey = new Map<string, Entry>()
  readonly #all = new Set<Connection>()
  readonly #pool: Pool = { held: 0, most: mostHeld }

  constructor(opened: Opened) {
    this.#opened = opened
  }

  take(segment: Segment, packet: number, now: number): void {
    const { key } = segment
    let entry = this.#byKey.get(key)
    if (entry === undefined || beginsAnew(segment, entry)) {
      // What belongs to no connection and carries nothing begins none.
      if (!segment.isSyn && (segment.size === 0 || segment.isRst)) return
      entry = this.#open(segment, key)
    }
    entry.connection.take(entry.side, segment, packet, now)
  }

  /** The capture is over, and so is every connection in it. */
  finish(): void {
    for (const connection of this.#all) connection.finish()
    this.#byKey.clear()
    this.#all.clear()
  }

  #open(segment: Segment, key: string): Entry {
    if (this.#all.size >= mostConnections) this.#makeRoom()
    const { answerKey } = segment
    const before = this.#byKey.get(key)
    if (before !== undefined) this.#remove(before.connection)
    const client = segment.isSyn ? (segment.isAck ? 1 : 0) : undefined
    const listener = this.#opened(key, client)
    const connection = new Connection({ listener, pool: this.#pool, arrivals: this, keys: [key, answerKey] })
    const entry: Entry = { connection, side: 0 }
    this.#all.add(connection)
    this.#byKey.set(key, entry)
    if (answerKey !== key) this.#byKey.set(answerKey, { connection, side: 1 })
    return entry
  }

  /** Forgets those that are over, and of the others the idlest quarter. */
  #makeRoom(): void {
    for (const connection of this.#all) if (connection.isOver) this.#remove(connection)
    if (this.#all.size < (mostConnections * 3) / 4) return
    const times = Float64Array.from(this.#all, ({ lastSeen }) => lastSeen).toSorted()
    const threshold = times[times.length >> 2]!
    for (const connection of this.#all) {
      if (this.#all.size <= (mostConnections * 3) / 4) return
      if (connection.lastSeen > threshold) continue
      this.evicted += 1
      this.#remove(connection)
    }
  }

  #remove(connection: Connection): void {
    connection.finish()
    this.#all.delete(connection)
    for (const key of connection.keys) this.#byKey.delete(key)
  }
}

/** Whether this is the SYN of another connection between the same ports than the one that is remembered. */
function beginsAnew({ isSyn, isAck, sequence }: Segment, { connection, side }: Entry): boolean {
  if (!isSyn || isAck || connection.syn[side] === sequence) return false
  // The answer to it may have been captured first.
  return connection.isOver || connection.syn[side] >= 0 || connection.syn[1 - side]! < 0
}
