// The desk where devices register: compares each with its record, minds who is here, and finds who may be in between.

import type { Finding } from '../detect/finding.ts'
import { compare, compareStation, isSamePlace, together } from './compare.ts'
import type { Company, Comparison, Place, Surroundings } from './compare.ts'
import { attended, firstSight, learned, located, type DeviceRecord } from './device.ts'
import type { Ledger } from './ledger.ts'
import type { NeighbourEntry, NeighbourEvent, Neighbours } from './neighbours.ts'
import { keyOf, traits, type Observation, type Traits } from './observation.ts'
import { benignChanges, type Signal } from './signals.ts'
import { stageOf, suspect, suspicion, withSignals } from './suspicion.ts'

/** One session, as the desk knows it. */
export interface Visitor {
  readonly key: string
  readonly isLearning: boolean
  seen: Observation
  /** What was known before this session; undefined at first sight. */
  readonly before: DeviceRecord | undefined
  isAccepted: boolean
  /** Whether what was seen is held against the device. */
  isSuspect: boolean
  /** Names of signals that were told of this session already. */
  readonly told: Set<string>
  /** Told of what is found while the session is open. */
  readonly onFinding: (finding: Finding) => void
}

interface DeskDeps {
  readonly ledger: Ledger
  readonly neighbours: Neighbours
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

/** Takeovers of one client identifier remembered, and identifiers that are. */
const mostTakeovers = 8
const mostContended = 4096
/** Other sessions of one identifier that are looked at. */
const mostPlaces = 16
const minute = 60_000

export class Desk {
  readonly #deps: DeskDeps
  readonly #open = new Map<string, Set<Visitor>>()
  readonly #byAddress = new Map<string, Set<Visitor>>()
  /** When a client identifier changed its place while in use. */
  readonly #takeovers = new Map<string, readonly number[]>()

  constructor(deps: DeskDeps) {
    this.#deps = deps
  }

  /** Devices with a session now. */
  get open(): number {
    return this.#open.size
  }

  /**
   * A CONNECT that passed every check. Returns the visitor, to be handed back when the broker has answered and when the
   * session is over, and what is to be told.
   */
  arrive(
    seen: Observation,
    isLearning: boolean,
    onFinding: Visitor['onFinding'],
  ): { readonly visitor: Visitor; readonly finding: Finding | undefined } {
    const key = keyOf(seen.realm, seen.clientId)
    const before = this.#deps.ledger.find(key)
    const whole = this.#withMac(seen)
    const visitor: Visitor = {
      key,
      isLearning,
      seen: whole,
      before,
      isAccepted: false,
      isSuspect: false,
      told: new Set(),
      onFinding,
    }
    const record = before ?? firstSight(whole)
    let found = compare(record, whole, this.#company(key, whole))
    if (whole.traits.mac !== undefined)
      found = together(compareStation(record, whole, this.#surroundings(visitor)), found)
    this.#enter(visitor)
    return { visitor, finding: this.#judge(visitor, record, found) }
  }

  /** The broker accepted the session: only from here on is anything learnt. */
  accepted(visitor: Visitor): void {
    const { ledger } = this.#deps
    visitor.isAccepted = true
    if (visitor.seen.traits.mac === undefined) {
      visitor.seen = this.#withMac(visitor.seen)
      this.#settle(visitor)
    }
    const record = ledger.find(visitor.key) ?? firstSight(visitor.seen)
    ledger.keep(visitor.isSuspect ? attended(record, visitor.seen) : learned(record, visitor.seen))
  }

  left(visitor: Visitor): void {
    remove(this.#open, visitor.key, visitor)
    remove(this.#byAddress, visitor.seen.traits.address ?? '', visitor)
  }

  /** The neighbour table has this entry now. Returns what is worth telling of the network; sessions are told themselves. */
  note(entry: NeighbourEntry): NeighbourEvent[] {
    const { neighbours, clock, ledger } = this.#deps
    const events = neighbours.note(entry, clock())
    if (events.length === 0 || entry.mac === undefined) return events
    for (const visitor of this.#byAddress.get(entry.address) ?? []) {
      const wasUnknown = visitor.seen.traits.mac === undefined
      // What is known only while the session opens is compared when the broker accepts it.
      if (wasUnknown && !visitor.isAccepted) continue
      visitor.seen = { ...visitor.seen, traits: { ...visitor.seen.traits, mac: entry.mac } }
      const record = ledger.find(visitor.key)
      if (record === undefined) continue
      if (!wasUnknown) {
        if (hasOtherCard(record, entry.mac)) this.#cardChanged(visitor, record)
      } else {
        this.#settle(visitor)
        if (!visitor.isSuspect) ledger.keep(located(ledger.find(visitor.key) ?? record, visitor.seen))
      }
    }
    return events
  }

  /** Compares where a device is with where it was before, once the neighbour table has had the time to know. */
  #settle(visitor: Visitor): void {
    const { before, seen } = visitor
    const record = this.#deps.ledger.find(visitor.key)
    if (before === undefined || record === undefined) return
    const found = compareStation(before, seen, this.#surroundings(visitor))
    if (found.signals.length === 0 && found.benign.length === 0) return
    const finding = this.#judge(visitor, record, found)
    if (finding !== undefined) visitor.onFinding(finding)
  }

  /** The address of an open session has a network card that the device was never seen with. */
  #cardChanged(visitor: Visitor, record: DeviceRecord): void {
    const { neighbours, clock } = this.#deps
    const { address = '', mac = '' } = visitor.seen.traits
    const signals: Signal[] = [{ name: 'mac-changed', before: record.known.mac?.[0] ?? '', after: mac }]
    const taken = this.#takenBy(visitor.seen.traits)
    if (taken.length > 0) signals.push({ name: 'took-addresses', before: '', after: taken.join(', ') })
    if (neighbours.isContested(address, clock()))
      signals.push({ name: 'address-contested', before: record.known.mac?.[0] ?? '', after: mac })
    const finding = this.#judge(visitor, record, { signals, benign: [] })
    if (finding !== undefined) visitor.onFinding(finding)
  }

  /** Files what speaks against a device, and says what is to be told of it: once a signal and session. */
  #judge(visitor: Visitor, record: DeviceRecord, found: Comparison): Finding | undefined {
    const { signals, benign } = found
    if (signals.length === 0 && benign.length === 0) {
      return visitor.before === undefined ? sighting(visitor) : undefined
    }
    if (signals.length === 0 || visitor.isLearning) return changed(visitor, found)
    const { ledger, clock } = this.#deps
    const now = clock()
    const evidence = withSignals(record.evidence, signals, now)
    const stage = stageOf(suspicion(evidence, now))
    if (stage !== undefined) visitor.isSuspect = true
    // A stranger leaves a record only once the broker has accepted it.
    if (ledger.find(visitor.key) !== undefined) {
      const pending = visitor.isSuspect ? unknownOf(record, visitor.seen) : record.pending
      ledger.keep({ ...record, evidence, pending })
    }
    const isNews = signals.some(({ name }) => !visitor.told.has(name))
    for (const { name } of signals) visitor.told.add(name)
    if (!isNews) return undefined
    return stage === undefined ? changed(visitor, found) : suspect(evidence, stage, now)
  }

  /** The other sessions of the same identifier, the moment one more comes. */
  #company(key: string, seen: Observation): Company {
    const elsewhere: Place[] = []
    for (const { seen: other } of this.#open.get(key) ?? []) {
      if (elsewhere.length >= mostPlaces) break
      elsewhere.push(placeOf(other))
    }
    return { elsewhere, takeovers: this.#countTakeover(key, elsewhere, seen) }
  }

  #surroundings({ seen, before }: Visitor): Surroundings {
    return {
      takenAddresses: this.#takenBy(seen.traits),
      oldStationThere: this.#isOldStationThere(before),
    }
  }

  #withMac(seen: Observation): Observation {
    const { mac, address } = seen.traits
    if (mac !== undefined || address === undefined) return seen
    const found = this.#deps.neighbours.macOf(address)
    return found === undefined ? seen : { ...seen, traits: { ...seen.traits, mac: found } }
  }

  /** Other addresses that the network card of a device took over. */
  #takenBy({ mac, address }: Traits): readonly string[] {
    if (mac === undefined) return []
    return this.#deps.neighbours.takenBy(mac).filter((one) => one !== address)
  }

  #isOldStationThere(before: DeviceRecord | undefined): boolean {
    const address = before?.known.address?.[0]
    const mac = before?.known.mac?.[0]
    return address !== undefined && mac !== undefined && this.#deps.neighbours.isThere(address, mac)
  }

  #countTakeover(key: string, elsewhere: readonly Place[], seen: Observation): number {
    const now = seen.at
    const times = (this.#takeovers.get(key) ?? []).filter((at) => now - at < minute)
    const moved = elsewhere.some((place) => !isSamePlace(place, seen.traits))
    this.#takeovers.delete(key)
    if (moved) times.push(now)
    if (times.length === 0) return 0
    if (this.#takeovers.size >= mostContended) {
      const [oldest] = this.#takeovers.keys()
      if (oldest !== undefined) this.#takeovers.delete(oldest)
    }
    this.#takeovers.set(key, times.slice(-mostTakeovers))
    return moved ? times.length : 0
  }

  #enter(visitor: Visitor): void {
    add(this.#open, visitor.key, visitor)
    add(this.#byAddress, visitor.seen.traits.address ?? '', visitor)
  }
}

/** The detector name of changes that raise no suspicion. */
const changeDetector = 'device-changed'
const sightDetector = 'device-new'

function sighting({ seen }: Visitor): Finding {
  return {
    detector: sightDetector,
    severity: 'info',
    summary: 'a device that was never seen before',
    evidence: seen.traits.mac === undefined ? {} : { mac: seen.traits.mac },
    references: [],
  }
}

function changed({ isLearning }: Visitor, { signals, benign }: Comparison): Finding {
  const told: Record<string, string> = {}
  for (const name of benign) told[name] = benignChanges[name]
  for (const { name, before, after } of signals) told[name] = `${before} -> ${after}`
  return {
    detector: changeDetector,
    severity: 'info',
    summary: isLearning ? 'a device changed while it is still being learnt' : 'a device changed a little',
    evidence: told,
    references: [],
  }
}

/** Whether a network card is none that the device was seen with. */
function hasOtherCard({ known }: DeviceRecord, mac: string | undefined): boolean {
  return mac !== undefined && known.mac !== undefined && !known.mac.includes(mac)
}

/** The traits that a record does not have. */
function unknownOf(record: DeviceRecord, { traits: seen, frameMac }: Observation): Traits {
  const pending: Record<string, string> = {}
  for (const trait of traits) {
    const value = trait === 'mac' ? (frameMac ?? seen.mac) : seen[trait]
    if (value !== undefined && record.known[trait]?.includes(value) !== true) pending[trait] = value
  }
  return pending
}

function placeOf({ traits: { address, mac } }: Observation): Place {
  return { address, mac }
}

function add<Value>(map: Map<string, Set<Value>>, key: string, value: Value): void {
  const set = map.get(key)
  if (set === undefined) map.set(key, new Set([value]))
  else set.add(value)
}

function remove<Value>(map: Map<string, Set<Value>>, key: string, value: Value): void {
  const set = map.get(key)
  set?.delete(value)
  if (set?.size === 0) map.delete(key)
}
