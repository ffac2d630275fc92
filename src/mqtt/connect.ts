// CONNECT: the check of every field, and the facts a session is built on.

import { PacketType, type Version } from './packet.ts'
import { checkProperties, skipVarint, varintAt, willProperties } from './properties.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
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
export function checkConnect(bytes: Uint8Array, at: number, end: number): Outcome {
  const name = checkBinary(bytes, at, end)
  if (name < 0) return name
  const level = protocolLevel(bytes, at, name, end)
  if (level < 0) return level
  if (name + 4 > end) return fault(rules.fieldPastEnd, name)
  const flags = bytes[name + 1]!
  const flagged = checkFlags(flags, level, name + 1)
  if (flagged < 0) return flagged
  return checkPayload(bytes, name + 4, end, flags, level)
}

/** Checks the first byte, at `start`, of a CONNECT whose body passed; MQTT 3.1 does not use its flags (3.1). */
export function checkConnectHeader(bytes: Uint8Array, start: number, body: number): Outcome {
  const level = bytes[body + 2 + uint16(bytes, body)]
  return (bytes[start]! & 0x0f) !== 0 && level !== 3 ? fault(rules.reservedFlags, start) : start
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

function checkFlags(flags: number, level: number, at: number): Outcome {
  // MQTT 3.1 calls the lowest bit unused rather than reserved; devices of its time set it.
  if ((flags & flag.reserved) !== 0 && level !== 3) return fault(rules.connectReservedFlag, at)
  const qos = (flags >> 3) & 3
  const hasWill = (flags & flag.will) !== 0
  if (!hasWill && level !== 3 && (qos !== 0 || (flags & flag.willRetain) !== 0))
    return fault(rules.willFlags, at)
  if (hasWill && qos === 3) return fault(rules.willQos, at)
  if (level !== 5 && (flags & flag.password) !== 0 && (flags & flag.username) === 0) {
    return fault(rules.passwordWithoutUsername, at)
  }
  return 0
}

function checkPayload(bytes: Uint8Array, from: number, end: number, flags: number, level: number): Outcome {
  let at = from
  if (level === 5) at = checkProperties(bytes, at, end, PacketType.connect, 'up')
  if (at < 0) return at
  const clientId = at
  at = checkString(bytes, clientId, end)
  if (at < 0) return at
  // MQTT 3.1 demands an identifier; 3.1.1 only for a session that outlives the connection (MQTT-3.1.3-8).
  if (at === clientId + 2 && (level === 3 || (level === 4 && (flags & flag.clean) === 0))) {
    return fault(rules.clientIdEmpty, clientId)
  }
  if ((flags & flag.will) !== 0) {
    if (level === 5) at = checkProperties(bytes, at, end, willProperties, 'up')
    if (at >= 0) at = checkTopicName(bytes, at, end)
    if (at >= 0) at = checkBinary(bytes, at, end)
  }
  // In MQTT 3.1 the remaining length takes precedence over the user name and password flags (3.1, user name flag).
  const mayLack = level === 3
  if (at >= 0 && (flags & flag.username) !== 0 && !(mayLack && at === end)) at = checkString(bytes, at, end)
  if (at >= 0 && (flags & flag.password) !== 0 && !(mayLack && at === end)) at = checkBinary(bytes, at, end)
  if (at >= 0 && at !== end) return fault(rules.trailingBytes, at)
  return at
}
