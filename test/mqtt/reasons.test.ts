import { expect, test } from 'vitest'
import { PacketType, type Direction, type PacketName, type Version } from '../../src/mqtt/packet.ts'
import { reasonAllowed } from '../../src/mqtt/reasons.ts'

/**
 * MQTT 5.0, table 2-6, code by code; `disconnect-down` where 3.14.2.1 leaves a code to servers, and so on.
 */
const table: Readonly<Record<number, string>> = {
  0x00: 'connack puback pubrec pubrel pubcomp suback unsuback disconnect auth-down',
  0x01: 'suback',
  0x02: 'suback',
  0x04: 'disconnect-up',
  0x10: 'puback pubrec',
  0x11: 'unsuback',
  0x18: 'auth',
  0x19: 'auth-up',
  0x80: 'connack puback pubrec suback unsuback disconnect',
  0x81: 'connack disconnect',
  0x82: 'connack disconnect',
  0x83: 'connack puback pubrec suback unsuback disconnect',
  0x84: 'connack',
  0x85: 'connack',
  0x86: 'connack',
  0x87: 'connack puback pubrec suback unsuback disconnect-down',
  0x88: 'connack',
  0x89: 'connack disconnect-down',
  0x8a: 'connack',
  0x8b: 'disconnect-down',
  0x8c: 'connack disconnect',
  0x8d: 'disconnect-down',
  0x8e: 'disconnect-down',
  0x8f: 'suback unsuback disconnect-down',
  0x90: 'connack puback pubrec disconnect',
  0x91: 'puback pubrec suback unsuback',
  0x92: 'pubrel pubcomp',
  0x93: 'disconnect',
  0x94: 'disconnect',
  0x95: 'connack disconnect',
  0x96: 'disconnect',
  0x97: 'connack puback pubrec suback disconnect',
  0x98: 'disconnect',
  0x99: 'connack puback pubrec disconnect',
  0x9a: 'connack disconnect-down',
  0x9b: 'connack disconnect-down',
  0x9c: 'connack disconnect-down',
  0x9d: 'connack disconnect-down',
  0x9e: 'suback disconnect-down',
  0x9f: 'connack disconnect-down',
  0xa0: 'disconnect-down',
  0xa1: 'suback disconnect-down',
  0xa2: 'suback disconnect-down',
}

const answers = [
  'connack',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'disconnect',
  'auth',
] as const satisfies PacketName[]
const onlyDown = new Set<PacketName>(['connack', 'suback', 'unsuback'])

test.each(answers)('%s carries the codes of MQTT 5.0 and no others', (name) => {
  for (const direction of onlyDown.has(name) ? (['down'] as const) : (['up', 'down'] as const)) {
    const expected = Object.entries(table)
      .filter(([, places]) =>
        places.split(' ').some((place) => place === name || place === `${name}-${direction}`),
      )
      .map(([code]) => Number(code))
    expect(codesOf(name, 5, direction)).toEqual(expected)
  }
})

test.each([3, 4] as const)('version %i has its few return codes', (version) => {
  expect(codesOf('connack', version, 'down')).toEqual([0, 1, 2, 3, 4, 5])
  // MQTT 3.1 has no 0x80, but its brokers say it.
  expect(codesOf('suback', version, 'down')).toEqual([0, 1, 2, 0x80])
})

function codesOf(name: PacketName, version: Version, direction: Direction): number[] {
  const all = Array.from({ length: 256 }, (_, code) => code)
  return all.filter((code) => reasonAllowed(code, PacketType[name], version, direction))
}
