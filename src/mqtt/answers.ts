// The packets without topics: CONNACK, the PUBLISH acknowledgements, PINGREQ, PINGRESP, DISCONNECT and AUTH.

import { PacketType, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { reasonAllowed } from './reasons.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { uint16 } from './text.ts'

/** Checks the body of CONNACK; returns `end` or a fault. */
export function checkConnack(
  bytes: Uint8Array,
  at: number,
  end: number,
  version: Version,
  scope: Scope,
): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  const flags = bytes[at]!
  const code = bytes[at + 1]!
  // A broker that knows no level 5 has to say so in the form of MQTT 3.1.1, and does (3.1.1, MQTT-3.1.2-2).
  if (version === 5 && end === at + 2 && flags === 0 && code === 1) return end
  let outcome = 0
  if ((flags & 0xfe) !== 0 && version !== 3) outcome = scope.breaks(rules.connackFlags, at)
  if (outcome >= 0 && !reasonAllowed(code, PacketType.connack, version, scope.direction))
    outcome = scope.breaks(rules.reasonCode, at + 1)
  if (outcome >= 0 && code !== 0 && (flags & 1) !== 0 && version !== 3)
    outcome = scope.breaks(rules.sessionPresentOnError, at)
  if (outcome < 0) return outcome
  const next = version === 5 ? checkProperties(bytes, at + 2, end, PacketType.connack, scope) : at + 2
  return finish(next, end, scope)
}

/** Checks the body of PUBACK, PUBREC, PUBREL or PUBCOMP; returns `end` or a fault. */
export function checkPublishAnswer(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  scope: Scope,
): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  if (uint16(bytes, at) === 0) {
    const outcome = scope.breaks(rules.packetIdZero, at)
    if (outcome < 0) return outcome
  }
  return version === 5 ? checkReasoned(bytes, at + 2, end, type, scope) : finish(at + 2, end, scope)
}

/** Checks the body of DISCONNECT; before MQTT 5.0 it has none. */
export function checkDisconnect(
  bytes: Uint8Array,
  at: number,
  end: number,
  version: Version,
  scope: Scope,
): Outcome {
  return version === 5 ? checkReasoned(bytes, at, end, PacketType.disconnect, scope) : finish(at, end, scope)
}

/** Checks the body of AUTH, which exists in MQTT 5.0 only; an empty body means success (3.15.2.1). */
export function checkAuth(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  scope.seen = 0
  if (at === end) return scope.direction === 'down' ? end : scope.breaks(rules.reasonCode, at)
  if (!reasonAllowed(bytes[at]!, PacketType.auth, 5, scope.direction)) {
    const outcome = scope.breaks(rules.reasonCode, at)
    if (outcome < 0) return outcome
  }
  return finish(checkProperties(bytes, at + 1, end, PacketType.auth, scope), end, scope)
}

/** Checks that nothing follows where a packet has to end. */
export function finish(at: Outcome, end: number, scope: Scope): Outcome {
  if (at < 0 || at === end) return at
  const outcome = scope.breaks(rules.trailingBytes, at)
  return outcome < 0 ? outcome : end
}

/** A reason code and properties, both of which may be left out from the end (MQTT 5.0, 3.4.2.1 and 3.14.2). */
function checkReasoned(bytes: Uint8Array, at: number, end: number, type: number, scope: Scope): Outcome {
  scope.seen = 0
  if (at === end) return end
  if (!reasonAllowed(bytes[at]!, type, 5, scope.direction)) {
    const outcome = scope.breaks(rules.reasonCode, at)
    if (outcome < 0) return outcome
  }
  if (at + 1 === end) return end
  return finish(checkProperties(bytes, at + 1, end, type, scope), end, scope)
}
