// PUBLISH, read and checked in place: its head (topic, packet identifier, properties) without its payload.

import { PacketType, type Direction, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
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

/** What the head of a PUBLISH says, where it lies; filled anew for every PUBLISH that passed its checks. */
export class PublishView {
  /** The topic, resolved where an alias stands for it: `topic` from `from` to `to`. */
  topic: Buffer = nothing
  from = 0
  to = 0
  qos = 0
  dup = false
  retain = false
  /** 0 at QoS 0. */
  packetId = 0
  /** 0 where there is none. */
  alias = 0
  /** Offset of the payload behind the head. */
  payload = 0

  /** Lets go of the bytes the topic lies in. */
  forget(): void {
    this.topic = nothing
    this.from = 0
    this.to = 0
  }
}

const nothing: Buffer = Buffer.alloc(0)

/** Checks a whole head, which ends at `head`, and fills `view` from it; returns `head` or a fault. */
export function checkPublishHead(
  bytes: Buffer,
  body: number,
  head: number,
  flags: number,
  version: Version,
  scope: Scope,
  view: PublishView,
): Outcome {
  const qos = qosOf(flags)
  const topicEnd = body + 2 + uint16(bytes, body)
  if (topicEnd > head) return fault(rules.fieldPastEnd, body)
  const topic = checkTopicCharacters(bytes, body + 2, topicEnd, scope)
  if (topic < 0) return topic
  let at = topicEnd
  view.packetId = 0
  if (qos > 0) {
    if (at + 2 > head) return fault(rules.fieldPastEnd, at)
    view.packetId = uint16(bytes, at)
    if (view.packetId === 0) {
      const outcome = scope.breaks(rules.packetIdZero, at)
      if (outcome < 0) return outcome
    }
    at += 2
  }
  view.alias = 0
  if (version === 5) {
    at = checkProperties(bytes, at, head, PacketType.publish, scope)
    if (at < 0) return at
    view.alias = scope.topicAlias
  }
  if (topicEnd === body + 2 && view.alias === 0) {
    const outcome = scope.breaks(rules.topicEmpty, body)
    if (outcome < 0) return outcome
  }
  // Storing it anew for every frame of a chunk would trouble the garbage collector for nothing.
  if (view.topic !== bytes) view.topic = bytes
  view.from = body + 2
  view.to = topicEnd
  view.qos = qos
  view.dup = (flags & 0x08) !== 0
  view.retain = (flags & 0x01) !== 0
  view.payload = at
  return at
}

/** Checks the flags of PUBLISH at `at`. */
export function checkPublishFlags(flags: number, version: Version, at: number, scope: Scope): Outcome {
  const qos = qosOf(flags)
  if (qos === 3) return fault(rules.publishQos, at)
  if (qos === 0 && (flags & 0x08) !== 0 && !dupMayStand(version, scope.direction))
    return scope.breaks(rules.dupAtQos0, at)
  return at
}

/**
 * DUP at QoS 0 has no meaning in MQTT 3.1, which does not forbid it. Brokers of 3.1.1, aedes among them, hand the DUP
 * of a publisher on to subscribers at QoS 0; that is their mistake (MQTT-3.3.1-3), but no reason to cut a device off.
 */
function dupMayStand(version: Version, direction: Direction): boolean {
  return version === 3 || (version === 4 && direction === 'down')
}
