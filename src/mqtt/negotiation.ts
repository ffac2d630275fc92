// CONNECT, CONNACK and DISCONNECT against each other: what may be said depends on what the other side has said.

import { PacketType, type Version } from './packet.ts'
import { reasonStringSeen, sessionExpirySeen, userPropertySeen } from './properties.ts'
import { qosOf } from './publish.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import type { Terms } from './terms.ts'

/** CONNACK without properties, the smallest there is. */
const smallestConnack = 5

/** A CONNECT whose terms are read. */
export function checkConnectTerms(terms: Terms, scope: Scope, at: number): Outcome {
  let outcome = 0
  if (terms.device.maximumPacketSize < smallestConnack)
    outcome = scope.breaks(rules.maximumPacketSizeTiny, at)
  if (outcome >= 0 && terms.willDelay > terms.sessionExpiry) outcome = scope.breaks(rules.willDelay, at)
  return outcome
}

/** A CONNACK whose terms are read; `body` is where its flags lie. */
export function checkConnackTerms(
  terms: Terms,
  bytes: Buffer,
  body: number,
  version: Version,
  scope: Scope,
): Outcome {
  let outcome = 0
  const sessionPresent = (bytes[body]! & 1) === 1
  if (sessionPresent && terms.clean && version !== 3)
    outcome = scope.breaks(rules.sessionPresentUnasked, body)
  if (outcome < 0 || version !== 5) return outcome
  if (terms.assignedClientId && terms.hasClientId) outcome = scope.breaks(rules.assignedClientId, body)
  const isAccepted = bytes[body + 1] === 0
  if (outcome >= 0 && !terms.assignedClientId && !terms.hasClientId && isAccepted)
    outcome = scope.breaks(rules.assignedClientIdMissing, body)
  if (outcome >= 0 && terms.responseInformation && !terms.wantsResponseInformation)
    outcome = scope.breaks(rules.responseInformationUnasked, body)
  return outcome
}

/** A DISCONNECT of a device (MQTT 5.0, 3.14.2.2.2). */
export function checkDisconnectTerms(terms: Terms, bytes: Buffer, scope: Scope): Outcome {
  if ((scope.seen & sessionExpirySeen) === 0 || terms.sessionExpiry !== 0) return 0
  return bytes.readUInt32BE(scope.expiryAt) === 0
    ? 0
    : scope.breaks(rules.sessionExpiryRaised, scope.expiryAt)
}

/** Any packet against the size its receiver can take; `size` has its fixed header in it. */
export function checkSize(terms: Terms, size: number, scope: Scope, at: number): Outcome {
  const receiver = scope.direction === 'up' ? terms.broker : terms.device
  return size > receiver.maximumPacketSize ? scope.breaks(rules.maximumPacketSize, at) : 0
}

/** A PUBLISH of a device against what the broker says it can do. */
export function checkPublishTerms(terms: Terms, flags: number, scope: Scope, at: number): Outcome {
  let outcome = 0
  if (qosOf(flags) > terms.maximumQos) outcome = scope.breaks(rules.qosNotSupported, at)
  if (outcome >= 0 && (flags & 1) === 1 && !terms.retainAvailable)
    outcome = scope.breaks(rules.retainNotSupported, at)
  return outcome
}

/** Reason strings and user properties that the device did not want (MQTT-3.1.2-29). */
export function checkProblemInformation(terms: Terms, type: number, scope: Scope, at: number): Outcome {
  if (terms.wantsProblemInformation || (scope.seen & (reasonStringSeen | userPropertySeen)) === 0) return 0
  const { connack, publish, disconnect } = PacketType
  const mayExplain = type === connack || type === publish || type === disconnect
  return mayExplain ? 0 : scope.breaks(rules.problemInformationUnasked, at)
}
