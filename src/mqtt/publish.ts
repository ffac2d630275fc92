// PUBLISH, read and checked in place: its head (topic, packet identifier, properties) without its payload.

import { PacketType, type Direction, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import { checkTopicCharacters, uint16 } from './text.ts'

/** The QoS in the flags of a fixed header. */
export function qosOf(flags: number): number {
  return (flags >> 1) & 3
}

/**
 * How far the buffer must be filled before the head can be judged: the offset behind the next field whose length is
 * not known yet, or, once every length is known, behind the whole head. `body` is where the variable header begins,
 * `filled` where the bytes that arrived end.
 */
export function headNeed(
  bytes: Uint8Array,
  body: number,
  filled: number,
  flags: number,
  version: Version,
): number {
  if (filled < body + 2) return body + 2
  const afterTopic = body + 2 + uint16(bytes, body) + (qosOf(flags) > 0 ? 2 : 0)
  if (version !== 5) return afterTopic
  let length = 0
  for (let i = 0; i < 4; i++) {
    const at = afterTopic + i
    if (filled <= at) return at + 1
    const byte = bytes[at]!
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return at + 1 + length
  }
  return afterTopic + 4 // a length that never ends; the check names it
}

/** Names the field of a head that does not fit into its packet: what `headNeed` asks for lies behind `end`. */
export function headFault(bytes: Uint8Array, body: number, end: number, flags: number): Outcome {
  if (body + 2 > end) return fault(rules.fieldPastEnd, body)
  const topicEnd = body + 2 + uint16(bytes, body)
  if (topicEnd > end) return fault(rules.fieldPastEnd, body)
  const properties = topicEnd + (qosOf(flags) > 0 ? 2 : 0)
  return properties > end ? fault(rules.fieldPastEnd, topicEnd) : fault(rules.propertyLength, properties)
}

/** Checks a whole head, which ends at `head`; returns `head` or a fault. */
export function checkPublishHead(
  bytes: Uint8Array,
  body: number,
  head: number,
  flags: number,
  version: Version,
  direction: Direction,
): Outcome {
  const qos = qosOf(flags)
  const topicEnd = body + 2 + uint16(bytes, body)
  if (topicEnd > head) return fault(rules.fieldPastEnd, body)
  const topic = checkTopicCharacters(bytes, body + 2, topicEnd)
  if (topic < 0) return topic
  let at = topicEnd
  if (qos > 0) {
    if (at + 2 > head) return fault(rules.fieldPastEnd, at)
    if (uint16(bytes, at) === 0) return fault(rules.packetIdZero, at)
    at += 2
  }
  if (version === 5) {
    const properties = at
    at = checkProperties(bytes, properties, head, PacketType.publish, direction)
    if (at < 0) return at
    if (topicEnd === body + 2 && !hasTopicAlias(bytes, properties, at)) return fault(rules.topicEmpty, body)
  } else if (topicEnd === body + 2) return fault(rules.topicEmpty, body)
  return at
}

/** Checks the flags of PUBLISH at `at`. */
export function checkPublishFlags(
  flags: number,
  version: Version,
  direction: Direction,
  at: number,
): Outcome {
  const qos = qosOf(flags)
  if (qos === 3) return fault(rules.publishQos, at)
  if (qos === 0 && (flags & 0x08) !== 0 && !dupMayStand(version, direction)) return fault(rules.dupAtQos0, at)
  return at
}

/**
 * DUP at QoS 0 has no meaning in MQTT 3.1, which does not forbid it. Brokers of 3.1.1, aedes among them, hand the DUP
 * of a publisher on to subscribers at QoS 0; that is their mistake (MQTT-3.3.1-3), but no reason to cut a device off.
 */
function dupMayStand(version: Version, direction: Direction): boolean {
  return version === 3 || (version === 4 && direction === 'down')
}

const topicAlias = 35
/** Bytes behind each fixed-size property identifier that PUBLISH may carry. */
const fixedSizes: Readonly<Record<number, number>> = { 1: 1, 2: 4, 35: 2 }

/** Whether a property block that was already checked holds a topic alias. */
function hasTopicAlias(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from
  while (bytes[at]! >= 0x80) at++
  at++
  while (at < end) {
    const id = bytes[at]!
    if (id === topicAlias) return true
    at = behindProperty(bytes, at + 1, id)
  }
  return false
}

function behindProperty(bytes: Uint8Array, at: number, id: number): number {
  const fixed = fixedSizes[id]
  if (fixed !== undefined) return at + fixed
  if (id === 11) {
    while (bytes[at]! >= 0x80) at++
    return at + 1
  }
  const next = at + 2 + uint16(bytes, at)
  return id === 38 ? next + 2 + uint16(bytes, next) : next
}
