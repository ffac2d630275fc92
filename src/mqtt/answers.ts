// The packets without topics: CONNACK, the PUBLISH acknowledgements, PINGREQ, PINGRESP, DISCONNECT and AUTH.

import { PacketType, type Direction, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { reasonAllowed } from './reasons.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import { uint16 } from './text.ts'

/** Checks the body of CONNACK; returns `end` or a fault. */
export function checkConnack(bytes: Uint8Array, at: number, end: number, version: Version): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  const flags = bytes[at]!
  const code = bytes[at + 1]!
  // A broker that knows no level 5 has to say so in the form of MQTT 3.1.1, and does (3.1.1, MQTT-3.1.2-2).
  if (version === 5 && end === at + 2 && flags === 0 && code === 1) return end
  if ((flags & 0xfe) !== 0 && version !== 3) return fault(rules.connackFlags, at)
  if (!reasonAllowed(code, PacketType.connack, version, 'down')) return fault(rules.reasonCode, at + 1)
  if (code !== 0 && (flags & 1) !== 0 && version !== 3) return fault(rules.sessionPresentOnError, at)
  const next = version === 5 ? checkProperties(bytes, at + 2, end, PacketType.connack, 'down') : at + 2
  return finish(next, end)
}

/** Checks the body of PUBACK, PUBREC, PUBREL or PUBCOMP; returns `end` or a fault. */
export function checkPublishAnswer(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  direction: Direction,
): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  if (uint16(bytes, at) === 0) return fault(rules.packetIdZero, at)
  return version === 5 ? checkReasoned(bytes, at + 2, end, type, direction) : finish(at + 2, end)
}

/** Checks the body of DISCONNECT; before MQTT 5.0 it has none. */
export function checkDisconnect(
  bytes: Uint8Array,
  at: number,
  end: number,
  version: Version,
  direction: Direction,
): Outcome {
  return version === 5 ? checkReasoned(bytes, at, end, PacketType.disconnect, direction) : finish(at, end)
}

/** Checks the body of AUTH, which exists in MQTT 5.0 only; an empty body means success (3.15.2.1). */
export function checkAuth(bytes: Uint8Array, at: number, end: number, direction: Direction): Outcome {
  if (at === end) return direction === 'down' ? end : fault(rules.reasonCode, at)
  if (!reasonAllowed(bytes[at]!, PacketType.auth, 5, direction)) return fault(rules.reasonCode, at)
  return finish(checkProperties(bytes, at + 1, end, PacketType.auth, direction), end)
}

/** Checks that nothing follows where a packet has to end. */
export function finish(at: Outcome, end: number): Outcome {
  return at >= 0 && at !== end ? fault(rules.trailingBytes, at) : at
}

/** A reason code and properties, both of which may be left out from the end (MQTT 5.0, 3.4.2.1 and 3.14.2). */
function checkReasoned(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  direction: Direction,
): Outcome {
  if (at === end) return end
  if (!reasonAllowed(bytes[at]!, type, 5, direction)) return fault(rules.reasonCode, at)
  if (at + 1 === end) return end
  return finish(checkProperties(bytes, at + 1, end, type, direction), end)
}
