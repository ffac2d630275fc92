// Sequences that are let pass although Mosquitto would hang up, by name, and why that is right.

const brokersDo =
  'brokers in use do so, and devices cope with it: rule RULE reports it, and the preset `strict` enforces it'

export const reasons: Readonly<Record<string, string>> = {
  'lib/CONNACK, v3.1.1 CONNACK, 20 CAF=0x01': brokersDo.replace('RULE', '`session-present-unasked`'),
  'lib/CONNACK, v5.0 CONNACK, 20 CAF=0x01': brokersDo.replace('RULE', '`session-present-unasked`'),
  'lib/CONNACK, v5.0 CONNACK ALLOWED PROPERTIES INVALID, 20 with assigned-client-identifier (UTF-8 string)':
    brokersDo.replace('RULE', '`assigned-client-id`'),
  'broker/CONNECT, v5.0 CONNECT EXTENDED AUTH, unsupported authentication method':
    'only the broker knows the methods it supports; its refusal is forwarded and ends the session',
  'lib/PUBLISH, v5.0 PUBLISH ALLOWED PROPERTIES, 2*subscription-identifier=1 (variable byte integer)':
    'a delivered message carries one identifier for each subscription that fits, even the same twice ' +
    '(MQTT 5.0, 3.3.4); the client library of Mosquitto is stricter than the standard',
}
