// The property blocks of MQTT 5.0: which property may stand where, how often, and with which values (2.2.2).

import { PacketType } from './packet.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { checkBinary, checkString, checkTopicName, uint16 } from './text.ts'

/** Where properties stand: a packet type, or 0 for the will properties inside CONNECT. */
export const willProperties = 0

type Shape = 'flag' | 'uint16' | 'uint32' | 'varint' | 'binary' | 'string' | 'topic' | 'pair'

interface Property {
  readonly shape: Shape
  /** Bit set of packet types (bit 0: will) in which the property may stand. */
  readonly places: number
  readonly positive: boolean
  readonly repeats: boolean
  /** In DISCONNECT, who may send it. */
  readonly from: 'up' | 'down' | undefined
}

const { connect, connack, publish, subscribe, unsubscribe, suback, unsuback, disconnect, auth } = PacketType
const acks = [PacketType.puback, PacketType.pubrec, PacketType.pubrel, PacketType.pubcomp]
const everywhere = [
  willProperties,
  connect,
  connack,
  publish,
  ...acks,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  disconnect,
  auth,
]

/** Indexed by property identifier (MQTT 5.0, table 2-4). */
const table: (Property | undefined)[] = []
define(1, 'flag', [publish, willProperties])
define(2, 'uint32', [publish, willProperties])
define(3, 'string', [publish, willProperties])
define(8, 'topic', [publish, willProperties])
define(9, 'binary', [publish, willProperties])
define(11, 'varint', [publish, subscribe], { positive: true })
define(17, 'uint32', [connect, connack, disconnect], { from: 'up' }) // MQTT-3.14.2-2
define(18, 'string', [connack])
define(19, 'uint16', [connack])
define(21, 'string', [connect, connack, auth])
define(22, 'binary', [connect, connack, auth])
define(23, 'flag', [connect])
define(24, 'uint32', [willProperties])
define(25, 'flag', [connect])
define(26, 'string', [connack])
define(28, 'string', [connack, disconnect], { from: 'down' }) // 3.14.2.2.5
define(31, 'string', [connack, ...acks, suback, unsuback, disconnect, auth])
define(33, 'uint16', [connect, connack], { positive: true })
define(34, 'uint16', [connect, connack])
define(35, 'uint16', [publish], { positive: true })
define(36, 'flag', [connack])
define(37, 'flag', [connack])
define(38, 'pair', everywhere, { repeats: true })
define(39, 'uint32', [connect, connack], { positive: true })
define(40, 'flag', [connack])
define(41, 'flag', [connack])
define(42, 'flag', [connack])

const topicAlias = 35
const subscriptionIdentifier = 11
const authenticationMethod = 21
const userProperty = 38
const sessionExpiry = 17

/** Bits of `Scope.seen`; no property has the identifier 0, so its bit stands for user properties. */
export const userPropertySeen = 1
export const reasonStringSeen = 1 << 31
export const authDataSeen = 1 << 22
export const authMethodSeen = 1 << authenticationMethod
export const sessionExpirySeen = 1 << sessionExpiry

/**
 * Checks a whole property block, its length included; returns the offset behind it.
 * `place` is a packet type, or `willProperties`. What was met stands in `scope` until the next block is checked.
 */
export function checkProperties(
  bytes: Uint8Array,
  at: number,
  end: number,
  place: number,
  scope: Scope,
): Outcome {
  scope.seen = 0
  scope.topicAlias = 0
  scope.subscriptionId = 0
  // Nearly always there are none.
  if (bytes[at] === 0 && at < end) return at + 1
  const from = skipVarint(bytes, at, end)
  if (from < 0) return fault(rules.propertyLength, at)
  const stop = from + varintAt(bytes, at)
  if (stop > end) return fault(rules.propertyLength, at)
  if (stop - from > scope.book.limits.propertyBytes) {
    const outcome = scope.breaks(rules.propertyBytes, at)
    if (outcome < 0) return outcome
  }
  return checkEach(bytes, from, stop, place, scope)
}

function checkEach(bytes: Uint8Array, from: number, stop: number, place: number, scope: Scope): Outcome {
  let seenHigh = 0
  let userProperties = 0
  let outcome = 0
  let cursor = from
  while (cursor < stop) {
    const id = bytes[cursor]!
    const property = table[id]
    if (property === undefined) return fault(rules.propertyUnknown, cursor)
    if (!mayStand(property, id, place, scope)) outcome = scope.breaks(rules.propertyNotAllowed, cursor)
    const bit = 1 << (id & 31)
    const repeats = property.repeats || (id === subscriptionIdentifier && scope.direction === 'down')
    if (outcome >= 0 && !repeats && ((id < 32 ? scope.seen : seenHigh) & bit) !== 0)
      outcome = scope.breaks(rules.propertyTwice, cursor)
    if (id === userProperty && ++userProperties > scope.book.limits.userProperties && outcome >= 0)
      outcome = scope.breaks(rules.userProperties, cursor)
    if (outcome < 0) return outcome
    if (id < 32) scope.seen |= bit
    else seenHigh |= bit
    if (id === userProperty) scope.seen |= userPropertySeen
    const next = checkValue(bytes, cursor + 1, stop, property, scope)
    if (next < 0) return next
    if (id === topicAlias) scope.topicAlias = uint16(bytes, cursor + 1)
    else if (id === subscriptionIdentifier) scope.subscriptionId = varintAt(bytes, cursor + 1)
    else if (id === authenticationMethod) scope.methodAt = cursor + 1
    else if (id === sessionExpiry) scope.expiryAt = cursor + 1
    cursor = next
  }
  return stop
}

/** Whether a property has a place here: in this packet, and from this side. */
function mayStand(property: Property, id: number, place: number, { direction }: Scope): boolean {
  if ((property.places & (1 << place)) === 0) return false
  if (id === subscriptionIdentifier) return place !== publish || direction === 'down' // MQTT-3.3.4-6
  return place !== disconnect || property.from === undefined || property.from === direction
}

function checkValue(bytes: Uint8Array, at: number, end: number, property: Property, scope: Scope): Outcome {
  let next = at
  let inRange = true
  switch (property.shape) {
    case 'flag':
      next = at + 1
      inRange = next > end || bytes[at]! <= 1
      break
    case 'uint16':
      next = at + 2
      inRange = next > end || !property.positive || uint16(bytes, at) !== 0
      break
    case 'uint32':
      next = at + 4
      inRange = next > end || !property.positive || uint16(bytes, at) !== 0 || uint16(bytes, at + 2) !== 0
      break
    case 'varint':
      next = endOfVarint(bytes, at, end)
      // Where it ends nobody can say, so this is no question of its range.
      if (next < 0) return fault(rules.fieldPastEnd, at)
      // A last byte of zero pads what is in front of it (MQTT-1.5.5-1).
      inRange = bytes[next - 1] !== 0 || (next === at + 1 && !property.positive)
      break
    case 'binary':
      return checkBinary(bytes, at, end)
    case 'string':
      return checkString(bytes, at, end, scope)
    case 'topic':
      return checkTopicName(bytes, at, end, scope)
    case 'pair': {
      const value = checkString(bytes, at, end, scope)
      return value < 0 ? value : checkString(bytes, value, end, scope)
    }
  }
  if (next > end) return fault(rules.fieldPastEnd, at)
  if (inRange) return next
  const outcome = scope.breaks(rules.propertyValue, at)
  return outcome < 0 ? outcome : next
}

/** The offset behind the value of a property in a block that was checked; `at` is where its value begins. */
export function behindValue(bytes: Uint8Array, at: number, id: number): number {
  switch (table[id]!.shape) {
    case 'flag':
      return at + 1
    case 'uint16':
      return at + 2
    case 'uint32':
      return at + 4
    case 'varint':
      while (bytes[at]! >= 0x80) at++
      return at + 1
    case 'pair':
      at += 2 + uint16(bytes, at)
  }
  return at + 2 + uint16(bytes, at)
}

/** The offset behind a variable byte integer; -1 where it is missing, padded or longer than four bytes (1.5.5). */
export function skipVarint(bytes: Uint8Array, at: number, end: number): number {
  const next = endOfVarint(bytes, at, end)
  return next > at + 1 && bytes[next - 1] === 0 ? -1 : next
}

/** The offset behind a variable byte integer, padded or not; -1 where it is missing or longer than four bytes. */
function endOfVarint(bytes: Uint8Array, at: number, end: number): number {
  const stop = Math.min(end, at + 4)
  for (let one = at; one < stop; one++) if (bytes[one]! < 0x80) return one + 1
  return -1
}

/** The value of a variable byte integer that `skipVarint` has accepted. */
export function varintAt(bytes: Uint8Array, at: number): number {
  let value = 0
  let byte = 0
  let shift = 0
  do {
    byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    shift += 7
  } while (byte >= 0x80)
  return value
}

function define(
  id: number,
  shape: Shape,
  places: readonly number[],
  { positive = false, repeats = false, from }: Partial<Pick<Property, 'positive' | 'repeats' | 'from'>> = {},
): void {
  let set = 0
  for (const place of places) set |= 1 << place
  table[id] = { shape, places: set, positive, repeats, from }
}
