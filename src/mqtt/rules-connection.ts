// Rules about the beginning and the end of a connection: CONNECT, CONNACK, AUTH and DISCONNECT.

import { defineRule as rule, protocolError } from './rule.ts'

export const connectionRules = {
  protocolName: rule('protocol-name', {
    fixed: true,
    clause: { v3: 'MQTT-3.1.2-1', v5: 'MQTT-3.1.2-1' },
    direction: 'up',
    explanation: 'the protocol name is neither MQTT nor, for level 3, MQIsdp',
    reason: 0x84,
  }),
  protocolLevel: rule('protocol-level', {
    fixed: true,
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
  maximumPacketSizeTiny: rule('maximum-packet-size-tiny', {
    clause: { v5: '3.1.2.11.4' },
    direction: 'up',
    explanation: 'the maximum packet size of a device leaves no room for the smallest CONNACK',
    reason: protocolError,
  }),
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
  sessionPresentUnasked: rule('session-present-unasked', {
    clause: { v3: 'MQTT-3.2.2-1', v5: 'MQTT-3.2.2-2' },
    direction: 'down',
    mode: { standard: 'report' },
    explanation: 'the broker says that a session is present although the device asked for a clean one',
    reason: protocolError,
  }),
  assignedClientId: rule('assigned-client-id', {
    clause: { v5: '3.2.2.3.7' },
    direction: 'down',
    mode: { standard: 'report' },
    explanation: 'the broker assigns a client identifier to a device that brought its own',
    references: ['R10'],
    reason: protocolError,
  }),
  assignedClientIdMissing: rule('assigned-client-id-missing', {
    clause: { v5: 'MQTT-3.2.2-16' },
    direction: 'down',
    mode: { standard: 'report' },
    explanation: 'the broker assigns no client identifier to a device that came without one',
    references: ['R10'],
    reason: protocolError,
  }),
  responseInformationUnasked: rule('response-information-unasked', {
    clause: { v5: 'MQTT-3.1.2-28' },
    direction: 'down',
    explanation: 'the broker sends response information that the device did not ask for',
    reason: protocolError,
  }),
  problemInformationUnasked: rule('problem-information-unasked', {
    clause: { v5: 'MQTT-3.1.2-29' },
    direction: 'down',
    mode: { standard: 'report' },
    explanation: 'the broker sends a reason string or user properties to a device that asked for none',
    reason: protocolError,
  }),
  authDataWithoutMethod: rule('auth-data-without-method', {
    clause: { v5: '3.1.2.11.10' },
    direction: 'up',
    explanation: 'CONNECT has authentication data without an authentication method',
    reason: protocolError,
  }),
  connackAuth: rule('connack-auth', {
    clause: { v5: 'MQTT-4.12.0-6' },
    direction: 'down',
    mode: { standard: 'report' },
    explanation: 'CONNACK has an authentication method or data although CONNECT named no method',
    reason: protocolError,
  }),
  authUnasked: rule('auth-unasked', {
    clause: { v5: 'MQTT-4.12.0-6' },
    explanation: 'AUTH although CONNECT named no authentication method',
    reason: protocolError,
  }),
  authMethod: rule('auth-method', {
    clause: { v5: 'MQTT-4.12.0-5' },
    explanation: 'the authentication method is missing, or is not the one CONNECT named',
    reason: 0x8c,
  }),
  authOutOfTurn: rule('auth-out-of-turn', {
    clause: { v5: 'MQTT-4.12.0-3' },
    explanation:
      'AUTH comes when it is the turn of the other side, or before there is anything to authenticate again',
    reason: protocolError,
  }),
  authInterrupted: rule('auth-interrupted', {
    clause: { v5: 'MQTT-3.1.2-30' },
    direction: 'up',
    explanation:
      'a device that named an authentication method sent more than AUTH or DISCONNECT before CONNACK',
    reason: protocolError,
  }),
  sessionExpiryRaised: rule('session-expiry-raised', {
    clause: { v5: '3.14.2.2.2' },
    direction: 'up',
    explanation:
      'DISCONNECT asks for a session that outlives the connection, although CONNECT asked for none',
    reason: protocolError,
  }),
} as const
