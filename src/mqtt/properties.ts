// The property blocks of MQTT 5.0: which property may stand where, how often, and with which values (2.2.2).

import type { Direction } from './packet.ts'
import { PacketType } from './packet.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
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
define(17, 'uint32', [connect, connack, disconnect])
define(18, 'string', [connack])
define(19, 'uint16', [connack])
define(21, 'string', [connect, connack, auth])
define(22, 'binary', [connect, connack, auth])
define(23, 'flag', [connect])
define(24, 'uint32', [willProperties])
define(25, 'flag', [connect])
define(26, 'string', [connack])
define(28, 'string', [connack, disconnect])
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

const subscriptionIdentifier = 11

/**
 * Checks a whole property block, its length included; returns the offset behind it.
 * `place` is a packet type, or `willProperties`.
 */
export function checkProperties(
  bytes: Uint8Array,
  at: number,
  end: number,
  place: number,
  direction: Direction,
): Outcome {
  const from = skipVarint(bytes, at, end)
  if (from < 0) return fault(rules.propertyLength, at)
  const stop = from + varintAt(bytes, at)
  if (stop > end) return fault(rules.propertyLength, at)
  let seenLow = 0
  let seenHigh = 0
  let cursor = from
  while (cursor < stop) {
    const id = bytes[cursor]!
    const property = table[id]
    if (property === undefined) return fault(rules.propertyUnknown, cursor)
    if ((property.places & (1 << place)) === 0) return fault(rules.propertyNotAllowed, cursor)
    const repeats = property.repeats || (id === subscriptionIdentifier && direction === 'down')
    if (id === subscriptionIdentifier && place === publish && direction === 'up') {
      return fault(rules.propertyNotAllowed, cursor) // MQTT-3.3.4-6
    }
    const bit = 1 << (id & 31)
    if (!repeats && ((id < 32 ? seenLow : seenHigh) & bit) !== 0) return fault(rules.propertyTwice, cursor)
    if (id < 32) seenLow |= bit
    else seenHigh |= bit
    const next = checkValue(bytes, cursor + 1, stop, property)
    if (next < 0) return next
    cursor = next
  }
  return stop
}

function checkValue(bytes: Uint8Array, at: number, end: number, property: Property): Outcome {
  switch (property.shape) {
    case 'flag':
      if (at + 1 > end) return fault(rules.fieldPastEnd, at)
      return bytes[at]! > 1 ? fault(rules.propertyValue, at) : at + 1
    case 'uint16':
      if (at + 2 > end) return fault(rules.fieldPastEnd, at)
      return property.positive && uint16(bytes, at) === 0 ? fault(rules.propertyValue, at) : at + 2
    case 'uint32':
      if (at + 4 > end) return fault(rules.fieldPastEnd, at)
      return property.positive && uint16(bytes, at) === 0 && uint16(bytes, at + 2) === 0
        ? fault(rules.propertyValue, at)
        : at + 4
    case 'varint': {
      const next = skipVarint(bytes, at, end)
      if (next < 0) return fault(rules.propertyValue, at)
      return property.positive && varintAt(bytes, at) === 0 ? fault(rules.propertyValue, at) : next
    }
    case 'binary':
      return checkBinary(bytes, at, end)
    case 'string':
      return checkString(bytes, at, end)
    case 'topic':
      return checkTopicName(bytes, at, end)
    case 'pair': {
      const value = checkString(bytes, at, end)
      return value < 0 ? value : checkString(bytes, value, end)
    }
  }
}

/** The offset behind a variable byte integer; -1 where it is missing, padded or longer than four bytes (1.5.5). */
export function skipVarint(bytes: Uint8Array, at: number, end: number): number {
  for (let i = 0; i < 4; i++) {
    if (at + i >= end) return -1
    const byte = bytes[at + i]!
    if (byte < 0x80) return byte === 0 && i > 0 ? -1 : at + i + 1
  }
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
  { positive = false, repeats = false }: { positive?: boolean; repeats?: boolean } = {},
): void {
  let set = 0
  for (const place of places) set |= 1 << place
  table[id] = { shape, places: set, positive, repeats }
}
