// CONNECT: the check of every field, and the facts a session is built on.

import { finish } from './answers.ts'
import { checkDollar } from './dollar.ts'
import { PacketType, type Version } from './packet.ts'
import {
  authDataSeen,
  authMethodSeen,
  checkProperties,
  skipVarint,
  varintAt,
  willProperties,
} from './properties.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { checkBinary, checkString, checkTopicName, uint16 } from './text.ts'

/** What CONNECT says of a device. Credentials are only counted, never kept. */
export interface ConnectFacts {
  readonly version: Exclude<Version, 0>
  readonly clientId: string
  /** Seconds; 0 turns the mechanism off (MQTT 5.0, 3.1.2.10). */
  readonly keepAlive: number
  /** Clean Session before MQTT 5.0, Clean Start in it. */
  readonly clean: boolean
  readonly hasUsername: boolean
  readonly hasPassword: boolean
  readonly hasWill: boolean
}

const flag = {
  reserved: 0x01,
  clean: 0x02,
  will: 0x04,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
} as const

/** Checks the body of CONNECT from `at` to `end`; returns `end` or a fault. */
export function checkConnect(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const name = checkBinary(bytes, at, end)
  if (name < 0) return name
  const level = protocolLevel(bytes, at, name, end)
  if (level < 0) return level
  if (name + 4 > end) return fault(rules.fieldPastEnd, name)
  const flags = bytes[name + 1]!
  const flagged = checkFlags(flags, level, name + 1, scope)
  if (flagged < 0) return flagged
  const keepAlive = uint16(bytes, name + 2)
  if (keepAlive === 0 || keepAlive > scope.book.limits.keepAlive) {
    const outcome = scope.breaks(rules.keepAliveLong, name + 2)
    if (outcome < 0) return outcome
  }
  return checkPayload(bytes, name + 4, end, flags, level, scope)
}

/** Checks the first byte, at `start`, of a CONNECT whose body passed; MQTT 3.1 does not use its flags (3.1). */
export function checkConnectHeader(bytes: Uint8Array, start: number, body: number, scope: Scope): Outcome {
  const level = bytes[body + 2 + uint16(bytes, body)]
  return (bytes[start]! & 0x0f) !== 0 && level !== 3 ? scope.breaks(rules.reservedFlags, start) : start
}

/** Reads a CONNECT frame that passed `checkConnect`; `body` is where the variable header begins. */
export function readConnect(bytes: Buffer, body: number, end: number): ConnectFacts {
  const name = body + 2 + uint16(bytes, body)
  const version = bytes[name] as Exclude<Version, 0>
  const flags = bytes[name + 1]!
  let at = name + 4
  if (version === 5) at = skipVarint(bytes, at, end) + varintAt(bytes, at)
  return {
    version,
    clientId: bytes.toString('utf8', at + 2, at + 2 + uint16(bytes, at)),
    keepAlive: uint16(bytes, name + 2),
    clean: (flags & flag.clean) !== 0,
    hasUsername: (flags & flag.username) !== 0,
    hasPassword: (flags & flag.password) !== 0,
    hasWill: (flags & flag.will) !== 0,
  }
}

/** The version that a CONNECT which did not pass lays claim to, so that its refusal can be told in that version. */
export function claimedVersion(bytes: Uint8Array, body: number, end: number): Version {
  const name = checkBinary(bytes, body, end)
  if (name < 0 || name >= end) return 0
  const level = protocolLevel(bytes, body, name, end)
  return level < 0 ? 0 : (level as Version)
}

/** The protocol level behind a name that goes with it: MQIsdp with 3, MQTT with 4 or 5 (MQTT-3.1.2-1, -2). */
function protocolLevel(bytes: Uint8Array, at: number, name: number, end: number): Outcome {
  const old = spells(bytes, at + 2, name, 'MQIsdp')
  if (!old && !spells(bytes, at + 2, name, 'MQTT')) return fault(rules.protocolName, at)
  if (name >= end) return fault(rules.fieldPastEnd, name)
  const level = bytes[name]!
  if (old ? level !== 3 : level !== 4 && level !== 5) return fault(rules.protocolLevel, name)
  return level
}

function spells(bytes: Uint8Array, from: number, end: number, text: string): boolean {
  if (end - from !== text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
  return true
}

function checkFlags(flags: number, level: number, at: number, scope: Scope): Outcome {
  let outcome = 0
  // MQTT 3.1 calls the lowest bit unused rather than reserved; devices of its time set it.
  if ((flags & flag.reserved) !== 0 && level !== 3) outcome = scope.breaks(rules.connectReservedFlag, at)
  const qos = (flags >> 3) & 3
  const hasWill = (flags & flag.will) !== 0
  if (outcome >= 0 && !hasWill && level !== 3 && (qos !== 0 || (flags & flag.willRetain) !== 0))
    outcome = scope.breaks(rules.willFlags, at)
  if (outcome >= 0 && hasWill && qos === 3) outcome = scope.breaks(rules.willQos, at)
  const hasUsername = (flags & flag.username) !== 0
  const hasPassword = (flags & flag.password) !== 0
  if (outcome >= 0 && level !== 5 && hasPassword && !hasUsername)
    outcome = scope.breaks(rules.passwordWithoutUsername, at)
  if (outcome >= 0 && (!hasUsername || !hasPassword)) outcome = scope.breaks(rules.credentialsMissing, at)
  return outcome
}

function checkPayload(
  bytes: Uint8Array,
  from: number,
  end: number,
  flags: number,
  level: number,
  scope: Scope,
): Outcome {
  let at = from
  if (level === 5) at = checkConnectProperties(bytes, at, end, scope)
  if (at < 0) return at
  at = checkClientId(bytes, at, end, flags, level, scope)
  if (at >= 0 && (flags & flag.will) !== 0) {
    if (level === 5) at = checkProperties(bytes, at, end, willProperties, scope)
    if (at >= 0) at = checkWillTopic(bytes, at, end, scope)
    if (at >= 0) at = checkBinary(bytes, at, end)
  }
  // In MQTT 3.1 the remaining length takes precedence over the user name and password flags (3.1, user name flag).
  const mayLack = level === 3
  if (at >= 0 && (flags & flag.username) !== 0 && !(mayLack && at === end)) {
    const username = at
    at = checkString(bytes, at, end, scope)
    if (at >= 0) at = checkIdentity(bytes, username + 2, at, scope)
  }
  if (at >= 0 && (flags & flag.password) !== 0 && !(mayLack && at === end)) at = checkBinary(bytes, at, end)
  return at >= 0 ? finish(at, end, scope) : at
}

/** A will is published by the broker, but where to, the device says. */
function checkWillTopic(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const next = checkTopicName(bytes, at, end, scope)
  if (next < 0 || bytes[at + 2] !== 0x24) return next
  const topic = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const outcome = checkDollar({ topic, from: at + 2, to: next }, at, scope)
  return outcome < 0 ? outcome : next
}

function checkConnectProperties(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const next = checkProperties(bytes, at, end, PacketType.connect, scope)
  if (next < 0 || (scope.seen & authDataSeen) === 0 || (scope.seen & authMethodSeen) !== 0) return next
  const outcome = scope.breaks(rules.authDataWithoutMethod, at)
  return outcome < 0 ? outcome : next
}

function checkClientId(
  bytes: Uint8Array,
  at: number,
  end: number,
  flags: number,
  level: number,
  scope: Scope,
): Outcome {
  let next = checkString(bytes, at, end, scope)
  if (next < 0) return next
  // MQTT 3.1 demands an identifier; 3.1.1 only for a session that outlives the connection (MQTT-3.1.3-8).
  if (next === at + 2 && (level === 3 || (level === 4 && (flags & flag.clean) === 0))) {
    const outcome = scope.breaks(rules.clientIdEmpty, at)
    if (outcome < 0) return outcome
  }
  next = checkIdentity(bytes, at + 2, next, scope)
  if (next < 0 || !scope.watches(rules.clientIdCharacters)) return next
  const allowed = scope.book.limits.clientIdCharacters
  for (let one = at + 2; one < next; one++) {
    if (allowed[bytes[one]!] === 1) continue
    const outcome = scope.breaks(rules.clientIdCharacters, one)
    return outcome < 0 ? outcome : next
  }
  return next
}

/** Whether a client identifier or user name could pass for a pattern where access lists are made of it; returns `end`. */
function checkIdentity(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  for (let at = from; at < end; at++) {
    if (bytes[at] !== 0x23 && bytes[at] !== 0x2b) continue
    const outcome = scope.breaks(rules.identityWildcard, at)
    return outcome < 0 ? outcome : end
  }
  return end
}
