// Who is at which address of the links: what the kernel's neighbour table says over time, in the words of arpwatch.

/** One line of the neighbour table. */
export interface NeighbourEntry {
  readonly address: string
  /** Undefined where nobody answers, or the entry is gone. */
  readonly mac: string | undefined
  /** Whether the station was heard from of late, as far as the kernel knows. */
  readonly reachable: boolean
}

export const neighbourChanges = [
  'new-station',
  'changed-address',
  'flip-flop',
  'reused-old-address',
  'many-addresses',
  'duplicate-address',
] as const
/**
 * `changed-address`: a network card never seen there; `flip-flop`: back to the one before; `reused-old-address`: back to
 * an older one (arpwatch(8)). `many-addresses`: one network card took over several addresses; `duplicate-address`: two
 * cards take turns at one address.
 */
export type NeighbourChange = (typeof neighbourChanges)[number]

export interface NeighbourEvent {
  readonly change: NeighbourChange
  readonly address: string
  readonly mac: string
  /** The network card before; empty for a new station. */
  readonly before: string
}

interface Station {
  mac: string
  /** The card that was seen there first. */
  readonly owner: string
  /** Cards before, the latest first. */
  past: readonly string[]
  reachable: boolean
  /** When the card changed last, a few of the latest. */
  changes: readonly number[]
}

/** Addresses remembered; the one heard of longest ago makes room. */
const mostStations = 16_384
/** Network cards of one address that are remembered. */
const mostPast = 8
/** So many changes of one address within a minute: two stations claim it. */
const contested = 3
const minute = 60_000

export class Neighbours {
  /** The one heard of longest ago first. */
  readonly #stations = new Map<string, Station>()
  /** Addresses that a network card took over from another. */
  readonly #taken = new Map<string, Set<string>>()

  get size(): number {
    return this.#stations.size
  }

  /** The network card at an address, undefined beyond a router or where nobody is. */
  macOf(address: string): string | undefined {
    return this.#stations.get(address)?.mac
  }

  /** Whether this network card is at this address and was heard from of late. */
  isThere(address: string, mac: string): boolean {
    const station = this.#stations.get(address)
    return station !== undefined && station.mac === mac && station.reachable
  }

  /** Addresses that this network card took over from others and holds. */
  takenBy(mac: string): readonly string[] {
    return [...(this.#taken.get(mac) ?? [])]
  }

  /** Whether two network cards take turns at an address, as of `now` in milliseconds. */
  isContested(address: string, now: number): boolean {
    const changes = this.#stations.get(address)?.changes ?? []
    return changes.filter((at) => now - at < minute).length >= contested
  }

  /** Takes note of an entry; `now` in milliseconds. Returns what is worth telling. */
  note({ address, mac, reachable }: NeighbourEntry, now: number): NeighbourEvent[] {
    const known = this.#stations.get(address)
    if (known === undefined) {
      if (mac === undefined) return []
      this.#makeRoom()
      this.#stations.set(address, { mac, owner: mac, past: [], reachable, changes: [] })
      return [{ change: 'new-station', address, mac, before: '' }]
    }
    this.#stations.delete(address)
    this.#stations.set(address, known)
    // Who does not answer for a while is still who was there last.
    known.reachable = mac !== undefined && reachable
    if (mac === undefined || mac === known.mac) return []
    return this.#changed(address, known, mac, now)
  }

  #changed(address: string, station: Station, mac: string, now: number): NeighbourEvent[] {
    const before = station.mac
    const place = station.past.indexOf(mac)
    this.#release(before, address)
    station.past = [before, ...station.past.filter((one) => one !== mac)].slice(0, mostPast)
    station.mac = mac
    station.changes = [...station.changes.filter((at) => now - at < minute), now].slice(-contested)
    const events: NeighbourEvent[] = [{ change: changeOf(place), address, mac, before }]
    if (mac !== station.owner) {
      const taken = this.#take(mac, address)
      if (place < 0 && taken > 1) events.push({ change: 'many-addresses', address, mac, before })
    }
    if (station.changes.length >= contested)
      events.push({ change: 'duplicate-address', address, mac, before })
    return events
  }

  #take(mac: string, address: string): number {
    const taken = this.#taken.get(mac) ?? new Set()
    this.#taken.set(mac, taken.add(address))
    return taken.size
  }

  #release(mac: string, address: string): void {
    const taken = this.#taken.get(mac)
    taken?.delete(address)
    if (taken?.size === 0) this.#taken.delete(mac)
  }

  #makeRoom(): void {
    if (this.#stations.size < mostStations) return
    const [oldest] = this.#stations
    if (oldest === undefined) return
    this.#release(oldest[1].mac, oldest[0])
    this.#stations.delete(oldest[0])
  }
}

function changeOf(place: number): NeighbourChange {
  if (place < 0) return 'changed-address'
  return place === 0 ? 'flip-flop' : 'reused-old-address'
}
