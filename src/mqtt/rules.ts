// The rule table: every way in which a control packet can be refused, one entry each.

import { faultIndex, type Outcome, type Rule } from './rule.ts'

const malformed = 0x81
const protocolError = 0x82

let nextIndex = 0

type Draft = Omit<Rule, 'index' | 'id' | 'direction' | 'references' | 'reason'> &
  Partial<Pick<Rule, 'direction' | 'references' | 'reason'>>

/** All rules by their names in code; `rules.topicEmpty.id` is `topic-empty`. */
export const rules = {
  // Fixed header
  remainingLengthTooLong: rule('remaining-length-too-long', {
    clause: { v3: '2.2.3', v5: '1.5.5' },
    explanation: 'the remaining length takes more than four bytes',
    references: [
      'R1',
      'CVE-2019-19307',
      'CVE-2020-10062',
      'CVE-2025-66168',
      'CVE-2026-40046',
      'CVE-2024-31040',
    ],
  }),
  remainingLengthNotMinimal: rule('remaining-length-not-minimal', {
    clause: { v3: '2.2.3', v5: 'MQTT-1.5.5-1' },
    explanation: 'the remaining length is padded, so that two parsers may disagree where the packet ends',
    references: ['R1'],
  }),
  reservedType: rule('reserved-type', {
    clause: { v3: '2.2.1', v5: '2.1.2' },
    explanation: 'the packet type is reserved in this protocol version',
    references: ['R7'],
  }),
  reservedFlags: rule('reserved-flags', {
    clause: { v3: 'MQTT-2.2.2-2', v5: 'MQTT-2.1.3-1' },
    explanation: 'the reserved flags of the fixed header do not have the value the packet type demands',
    references: ['R3'],
  }),
  packetTooLarge: rule('packet-too-large', {
    clause: { policy: 'limits.maxPacket', v5: 'MQTT-3.1.2-24' },
    explanation: 'the packet is larger than the listener allows',
    references: ['R4', 'CVE-2017-7651', 'CVE-2023-0809', 'CVE-2018-17614', 'CVE-2021-41036'],
    reason: 0x95,
  }),
  // Order and direction
  wrongDirection: rule('wrong-direction', {
    clause: { v3: '2.2.1', v5: '2.1.2' },
    explanation: 'this packet type never travels in this direction',
    references: ['R7', 'CVE-2021-28166', 'CVE-2026-47275'],
    reason: protocolError,
  }),
  firstNotConnect: rule('first-not-connect', {
    clause: { v3: 'MQTT-3.1.0-1', v5: 'MQTT-3.1.0-1' },
    direction: 'up',
    explanation: 'the first packet of a device is not CONNECT',
    references: ['R6', 'CVE-2017-2893', 'CVE-2023-0809'],
    reason: protocolError,
  }),
  secondConnect: rule('second-connect', {
    clause: { v3: 'MQTT-3.1.0-2', v5: 'MQTT-3.1.0-2' },
    direction: 'up',
    explanation: 'a device sent CONNECT twice on one connection',
    references: ['R6', 'CVE-2025-63235'],
    reason: protocolError,
  }),
  firstNotConnack: rule('first-not-connack', {
    clause: { v3: 'MQTT-3.2.0-1', v5: 'MQTT-3.2.0-1' },
    direction: 'down',
    explanation: 'the first packet of the broker is neither CONNACK nor, in MQTT 5.0, AUTH',
    references: ['R6'],
    reason: protocolError,
  }),
  secondConnack: rule('second-connack', {
    clause: { v3: '3.2', v5: 'MQTT-3.2.0-2' },
    direction: 'down',
    explanation: 'the broker sent CONNACK twice on one connection',
    references: ['R6'],
    reason: protocolError,
  }),
  afterDisconnect: rule('after-disconnect', {
    clause: { v3: 'MQTT-3.14.4-2', v5: 'MQTT-3.14.4-1' },
    explanation: 'a packet followed DISCONNECT',
    references: ['R6'],
    reason: protocolError,
  }),
  afterRefusal: rule('after-refusal', {
    clause: { v3: 'MQTT-3.2.2-5', v5: 'MQTT-3.2.2-7' },
    direction: 'down',
    explanation: 'the broker sent a packet after a CONNACK that refuses',
    references: ['R6'],
    reason: protocolError,
  }),
  pingrespUnasked: rule('pingresp-unasked', {
    clause: { v3: 'MQTT-3.12.4-1', v5: 'MQTT-3.12.4-1' },
    direction: 'down',
    explanation: 'the broker sent PINGRESP without a PINGREQ to answer',
    references: ['R6'],
    reason: protocolError,
  }),
  // Fields
  fieldPastEnd: rule('field-past-end', {
    clause: { v3: '1.5.3', v5: 'MQTT-4.13.1-1' },
    explanation: 'a field reaches past the end of its packet or property block',
    references: [
      'R2',
      'CVE-2016-10523',
      'CVE-2017-2892',
      'CVE-2017-2895',
      'CVE-2019-17210',
      'CVE-2020-10071',
      'CVE-2023-2905',
      'CVE-2023-29994',
      'CVE-2026-8686',
      'CVE-2026-54412',
    ],
  }),
  trailingBytes: rule('trailing-bytes', {
    clause: { v3: 'MQTT-3.1.4-1', v5: 'MQTT-4.13.1-1' },
    explanation: 'bytes are left over after the last field of the packet',
    references: ['R3', 'CVE-2019-12951'],
  }),
  utf8Invalid: rule('utf8-invalid', {
    clause: { v3: 'MQTT-1.5.3-1', v5: 'MQTT-1.5.4-1' },
    explanation: 'a string is not well-formed UTF-8 (overlong, truncated, surrogate or beyond U+10FFFF)',
    references: ['R8', 'CVE-2017-7653'],
  }),
  utf8Nul: rule('utf8-nul', {
    clause: { v3: 'MQTT-1.5.3-2', v5: 'MQTT-1.5.4-2' },
    explanation: 'a string contains the null character U+0000',
    references: ['R8'],
  }),
  packetIdZero: rule('packet-id-zero', {
    clause: { v3: 'MQTT-2.3.1-1', v5: 'MQTT-2.2.1-3' },
    explanation: 'a packet identifier is zero',
    references: ['R17'],
    reason: protocolError,
  }),
  reasonCode: rule('reason-code', {
    clause: { v3: 'MQTT-3.9.3-2', v5: 'MQTT-3.2.2-8' },
    explanation: 'the reason or return code is not one this packet may carry in this direction',
    references: ['R18'],
    reason: protocolError,
  }),
  // CONNECT
  protocolName: rule('protocol-name', {
    clause: { v3: 'MQTT-3.1.2-1', v5: 'MQTT-3.1.2-1' },
    direction: 'up',
    explanation: 'the protocol name is neither MQTT nor, for level 3, MQIsdp',
    references: ['CVE-2017-7654'],
    reason: 0x84,
  }),
  protocolLevel: rule('protocol-level', {
    clause: { v3: 'MQTT-3.1.2-2', v5: 'MQTT-3.1.2-2' },
    direction: 'up',
    explanation: 'the protocol level is not 3, 4 or 5 for its protocol name',
    reason: 0x84,
  }),
  connectReservedFlag: rule('connect-reserved-flag', {
    clause: { v3: 'MQTT-3.1.2-3', v5: 'MQTT-3.1.2-3' },
    direction: 'up',
    explanation: 'the reserved bit of the CONNECT flags is set',
    references: ['R16'],
  }),
  willFlags: rule('will-flags', {
    clause: { v3: 'MQTT-3.1.2-13', v5: 'MQTT-3.1.2-11' },
    direction: 'up',
    explanation: 'will QoS or will retain is set without a will',
    references: ['R16'],
  }),
  willQos: rule('will-qos', {
    clause: { v3: 'MQTT-3.1.2-14', v5: 'MQTT-3.1.2-12' },
    direction: 'up',
    explanation: 'the will QoS is 3',
    references: ['R16'],
  }),
  passwordWithoutUsername: rule('password-without-username', {
    clause: { v3: 'MQTT-3.1.2-22' },
    direction: 'up',
    explanation: 'a password comes without a user name before MQTT 5.0',
    references: ['R19'],
  }),
  clientIdEmpty: rule('client-id-empty', {
    clause: { v3: 'MQTT-3.1.3-8' },
    direction: 'up',
    explanation: 'an empty client identifier comes with a persistent session, or in MQTT 3.1',
    references: ['R10'],
    reason: 0x85,
  }),
  // CONNACK
  connackFlags: rule('connack-flags', {
    clause: { v3: '3.2.2.1', v5: 'MQTT-3.2.2-1' },
    direction: 'down',
    explanation: 'reserved bits of the CONNACK flags are set',
  }),
  sessionPresentOnError: rule('session-present-on-error', {
    clause: { v3: 'MQTT-3.2.2-4', v5: 'MQTT-3.2.2-6' },
    direction: 'down',
    explanation: 'a CONNACK that refuses says that a session is present',
    reason: protocolError,
  }),
  // PUBLISH
  publishQos: rule('publish-qos', {
    clause: { v3: 'MQTT-3.3.1-4', v5: 'MQTT-3.3.1-4' },
    explanation: 'the QoS of a PUBLISH is 3',
  }),
  dupAtQos0: rule('dup-at-qos-0', {
    clause: { v3: 'MQTT-3.3.1-2', v5: 'MQTT-3.3.1-2' },
    explanation: 'a QoS 0 PUBLISH is marked as a duplicate',
    reason: protocolError,
  }),
  topicEmpty: rule('topic-empty', {
    clause: { v3: 'MQTT-4.7.3-1', v5: 'MQTT-4.7.3-1' },
    explanation: 'a topic name or filter is empty, and no topic alias stands in for it',
    references: ['R9', 'CVE-2021-34431', 'CVE-2021-34432'],
    reason: protocolError,
  }),
  topicWildcard: rule('topic-wildcard', {
    clause: { v3: 'MQTT-3.3.2-2', v5: 'MQTT-3.3.2-2' },
    explanation: 'a topic name (of a message, a will or a response) contains + or #',
    references: ['R9', 'CVE-2024-3935'],
    reason: 0x90,
  }),
  // SUBSCRIBE and UNSUBSCRIBE
  noFilter: rule('no-filter', {
    clause: { v3: 'MQTT-3.8.3-3', v5: 'MQTT-3.8.3-2' },
    direction: 'up',
    explanation: 'SUBSCRIBE or UNSUBSCRIBE carries no topic filter',
    references: ['R14'],
    reason: protocolError,
  }),
  filterWildcard: rule('filter-wildcard', {
    clause: { v3: 'MQTT-4.7.1-2', v5: 'MQTT-4.7.1-1' },
    direction: 'up',
    explanation: '+ does not fill its level, or # is not the last level, of a topic filter',
    references: ['R14'],
    reason: 0x8f,
  }),
  shareName: rule('share-name', {
    clause: { v5: 'MQTT-4.8.2-1' },
    direction: 'up',
    explanation: 'a shared subscription lacks its share name or its filter, or the name contains + or #',
    references: ['R13', 'CVE-2025-68699'],
    reason: 0x8f,
  }),
  subscriptionOptions: rule('subscription-options', {
    clause: { v3: 'MQTT-3-8.3-4', v5: 'MQTT-3.8.3-5' },
    direction: 'up',
    explanation:
      'subscription options have reserved bits, QoS 3, retain handling 3, or No Local on a shared subscription',
    references: ['R14'],
    reason: protocolError,
  }),
  noReasonCode: rule('no-reason-code', {
    clause: { v3: 'MQTT-3.8.4-5', v5: 'MQTT-3.8.4-6' },
    direction: 'down',
    explanation: 'SUBACK or UNSUBACK answers no filter at all',
    references: ['R18', 'CVE-2024-10525'],
    reason: protocolError,
  }),
  // Properties of MQTT 5.0
  propertyLength: rule('property-length', {
    clause: { v5: 'MQTT-1.5.5-1' },
    explanation: 'a property length is missing, padded, longer than four bytes or past the end of the packet',
    references: ['R1', 'R2', 'CVE-2026-21888', 'CVE-2026-44248'],
  }),
  propertyUnknown: rule('property-unknown', {
    clause: { v5: '2.2.2.2' },
    explanation: 'a property identifier is not defined',
    references: ['R15'],
  }),
  propertyNotAllowed: rule('property-not-allowed', {
    clause: { v5: '2.2.2.2' },
    explanation: 'a property is not allowed in this packet or this direction',
    references: ['R15', 'CVE-2023-3592'],
    reason: protocolError,
  }),
  propertyTwice: rule('property-twice', {
    clause: { v5: '2.2.2.2' },
    explanation: 'a property that may stand once stands twice',
    references: ['R15'],
    reason: protocolError,
  }),
  propertyValue: rule('property-value', {
    clause: { v5: '2.2.2.2' },
    explanation: 'the value of a property is outside its range',
    references: ['R15'],
    reason: protocolError,
  }),
} as const

/** All rules in table order; `allRules[rule.index - 1] === rule`. */
export const allRules: readonly Rule[] = Object.values(rules)

/** The rule that a negative outcome names. */
export function brokenRule(outcome: Outcome): Rule {
  const found = allRules[faultIndex(outcome) - 1]
  if (found === undefined) throw new RangeError(`not a fault: ${outcome}`)
  return found
}

function rule(id: string, draft: Draft): Rule {
  nextIndex += 1
  return Object.freeze({
    direction: 'both' as const,
    references: [],
    reason: malformed,
    ...draft,
    id,
    index: nextIndex,
  })
}
