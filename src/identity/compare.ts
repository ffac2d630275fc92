// What was seen of a device against its record: signals, and the changes that have an ordinary reason.

import type { DeviceRecord } from './device.ts'
import type { Observation, Trait } from './observation.ts'
import type { BenignChange, Signal, SignalName } from './signals.ts'

/** What is known of other sessions while a device connects. */
export interface Company {
  /** Other sessions of the same client identifier that are open now. */
  readonly elsewhere: readonly Place[]
  /** How often two places took the session from each other within the last minute. */
  readonly takeovers: number
}

/** What is known of the link. */
export interface Surroundings {
  /** Other addresses that its network card took over from other cards. */
  readonly takenAddresses: readonly string[]
  /** Whether the card it had before is known to be there still, at the address it had before. */
  readonly oldStationThere: boolean
}

export interface Place {
  readonly address?: string | undefined
  readonly mac?: string | undefined
}

export interface Comparison {
  readonly signals: readonly Signal[]
  readonly benign: readonly BenignChange[]
}

export function together(one: Comparison, other: Comparison): Comparison {
  return { signals: [...one.signals, ...other.signals], benign: [...one.benign, ...other.benign] }
}

/** Takeovers within a minute that are no accident any more. */
const pingPong = 3
/** A round trip that is so many times, and so many milliseconds, above the least ever. */
const slower = { times: 4, by: 3 }
/** Addresses named in evidence. */
const mostNamed = 4

/** All but where it is: see `compareStation`. */
export function compare(record: DeviceRecord, seen: Observation, company: Company): Comparison {
  const changes = new Changes(record, seen)
  compareSoftware(changes)
  compareWay(changes, record, seen)
  comparePlaces(changes, seen, company)
  return changes
}

class Changes implements Comparison {
  readonly signals: Signal[] = []
  readonly benign: BenignChange[] = []
  readonly #record: DeviceRecord
  readonly #seen: Observation

  constructor(record: DeviceRecord, seen: Observation) {
    this.#record = record
    this.#seen = seen
  }

  signal(name: SignalName, before: string, after: string): void {
    this.signals.push({ name, before, after })
  }

  /** The signal of a trait, with the value seen last before and the one seen now. */
  signalTrait(name: SignalName, trait: Trait): void {
    this.signal(name, this.#record.known[trait]?.[0] ?? '', this.#seen.traits[trait] ?? '')
  }

  /** Whether a trait has a value it never had; undefined where either side of the comparison is missing. */
  isNew(trait: Trait): boolean | undefined {
    const value = this.#seen.traits[trait]
    const known = this.#record.known[trait]
    if (value === undefined || known === undefined) return undefined
    return !known.includes(value)
  }

  /** Whether a trait has one of its old values, and not the last one. */
  wentBack(trait: Trait): boolean {
    const known = this.#record.known[trait]
    return this.isNew(trait) === false && known?.[0] !== this.#seen.traits[trait]
  }

  /** Whether the network card is one the device is known by. */
  get sameCard(): boolean {
    return this.isNew('mac') === false
  }
}

/** Network card and address. Apart, for the neighbour table may know of a device only after its CONNECT. */
export function compareStation(
  record: DeviceRecord,
  seen: Observation,
  { oldStationThere, takenAddresses }: Surroundings,
): Comparison {
  const changes = new Changes(record, seen)
  const newCard = changes.isNew('mac')
  const newAddress = changes.isNew('address')
  compareFrame(changes, record, seen)
  if (newCard === true) {
    if (newAddress === false) changes.signalTrait('mac-changed', 'mac')
    else changes.signal('station-changed', stationOf(record), placeOf(seen))
    if (takenAddresses.length > 0) {
      changes.signal('took-addresses', '', `${seen.traits.mac} at ${named(takenAddresses)}`)
    }
    if (oldStationThere) changes.signal('old-address-answers', stationOf(record), placeOf(seen))
  } else if (newAddress === true) {
    changes.benign.push(newCard === false ? 'address-renewed' : 'address-changed')
  } else if (changes.wentBack('mac') || changes.wentBack('address')) changes.benign.push('roamed')
  return changes
}

/** The table may lag behind a card that the device is known by; a card it was never seen with is another matter. */
function compareFrame(changes: Changes, { known }: DeviceRecord, { frameMac, traits }: Observation): void {
  if (frameMac === undefined || traits.mac === undefined || frameMac === traits.mac) return
  if (known.mac?.includes(frameMac) !== true) changes.signal('frame-mac-differs', traits.mac, frameMac)
}

/** What the device runs. All of it changing at once on the same network card is an update. */
function compareSoftware(changes: Changes): void {
  const stack = changes.isNew('syn') === true
  const tls = changes.isNew('ja4') === true
  const profile = changes.isNew('profile') === true
  if (profile && (stack || tls) && changes.sameCard) changes.benign.push('firmware-updated')
  else {
    if (stack) changes.signalTrait('syn-changed', 'syn')
    if (tls) changes.signalTrait('ja4-changed', 'ja4')
    if (profile) changes.signalTrait('profile-changed', 'profile')
  }
  if (changes.isNew('login') === true) changes.signalTrait('login-changed', 'login')
}

/** The way between device and proxy. */
function compareWay(changes: Changes, record: DeviceRecord, { traits, roundTrip }: Observation): void {
  if (changes.isNew('hops') === true) {
    // Only a device of this link has an entry in the neighbour table, and then no router is in between.
    const wasHere = record.known.hops?.[0] === '0' && traits.mac !== undefined
    changes.signalTrait(wasHere ? 'hop-added' : 'hops-changed', 'hops')
  }
  const floor = record.roundTrip
  if (roundTrip === undefined || floor === undefined) return
  if (roundTrip > floor * slower.times && roundTrip > floor + slower.by)
    changes.signal('round-trip-shifted', milliseconds(floor), milliseconds(roundTrip))
}

/** The same client identifier at several places. */
function comparePlaces(changes: Changes, { traits }: Observation, { elsewhere, takeovers }: Company): void {
  if (elsewhere.length === 0 && takeovers < pingPong) return
  const other = elsewhere.find((place) => !isSamePlace(place, traits))
  const here = traits.address ?? 'unknown'
  if (other !== undefined) changes.signal('two-places', other.address ?? 'unknown', here)
  else if (elsewhere.length > 0) changes.benign.push('reconnected')
  if (takeovers >= pingPong) changes.signal('takeover-ping-pong', `${takeovers} times a minute`, here)
}

export function isSamePlace(one: Place, other: Place): boolean {
  if (one.mac !== undefined && other.mac !== undefined) return one.mac === other.mac
  return one.address === other.address
}

function stationOf({ known }: DeviceRecord): string {
  return `${known.address?.[0] ?? 'unknown'} at ${known.mac?.[0] ?? 'unknown'}`
}

function placeOf({ traits }: Observation): string {
  return `${traits.address ?? 'unknown'} at ${traits.mac ?? 'unknown'}`
}

function named(addresses: readonly string[]): string {
  const shown = addresses.slice(0, mostNamed).join(', ')
  return addresses.length > mostNamed ? `${shown} and ${addresses.length - mostNamed} more` : shown
}

function milliseconds(value: number): string {
  return `${value.toFixed(2)} ms`
}
