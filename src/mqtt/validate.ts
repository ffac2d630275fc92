// The strict check of one control packet where it lies: first its fixed header, then, once it is there, its body.

import { checkAuth, checkConnack, checkDisconnect, checkPublishAnswer, finish } from './answers.ts'
import { checkConnect } from './connect.ts'
import { PacketType, type Version } from './packet.ts'
import { checkPublishFlags } from './publish.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { checkFilterAnswers, checkFilters } from './subscriptions.ts'

const { connect, connack, publish, subscribe, unsubscribe, suback, unsuback, pingreq, pingresp, pubrel } =
  PacketType

/** Packet types that travel only one way (MQTT 5.0, table 2-1); AUTH and the PUBLISH flows go both ways. */
const onlyUp = bits([connect, subscribe, unsubscribe, pingreq])
const onlyDown = bits([connack, suback, unsuback, pingresp])
/** Packet types whose fixed header flags are 0010 (MQTT 5.0, table 2-2). */
const flagged = bits([pubrel, subscribe, unsubscribe])

/** Checks the first byte of a packet at `at`; returns `at` or a fault. */
export function checkFirstByte(first: number, version: Version, at: number, scope: Scope): Outcome {
  const type = first >> 4
  const flags = first & 0x0f
  if (type === publish) return checkPublishFlags(flags, version, at, scope)
  if (type === 0 || (type === PacketType.auth && version !== 5)) return fault(rules.reservedType, at)
  const bit = 1 << type
  const isUp = scope.direction === 'up'
  if (((isUp ? onlyDown : onlyUp) & bit) !== 0) return fault(rules.wrongDirection, at)
  if (!isUp && type === PacketType.disconnect && version !== 5) return fault(rules.wrongDirection, at)
  if (type === connect) return at // what its flags mean, the level inside tells: `checkConnectHeader`
  const wanted = (flagged & bit) === 0 ? 0 : 2
  // MQTT 3.1 lets these three carry DUP, which later versions reserve.
  const given = version === 3 && wanted === 2 ? flags & ~0x08 : flags
  return given === wanted ? at : scope.breaks(rules.reservedFlags, at)
}

/** Checks the body of any packet but PUBLISH, from `at` to `end`; returns an offset or a fault. */
export function checkBody(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  scope: Scope,
): Outcome {
  switch (type) {
    case connect:
      return checkConnect(bytes, at, end, scope)
    case connack:
      return checkConnack(bytes, at, end, version, scope)
    case subscribe:
    case unsubscribe:
      return checkFilters(bytes, at, end, type, version, scope)
    case suback:
    case unsuback:
      return checkFilterAnswers(bytes, at, end, type, version, scope)
    case pingreq:
    case pingresp:
      return finish(at, end, scope)
    case PacketType.disconnect:
      return checkDisconnect(bytes, at, end, version, scope)
    case PacketType.auth:
      return checkAuth(bytes, at, end, scope)
    default:
      return checkPublishAnswer(bytes, at, end, type, version, scope)
  }
}

function bits(types: readonly number[]): number {
  let set = 0
  for (const type of types) set |= 1 << type
  return set
}
