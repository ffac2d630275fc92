// What a CONNECT says of the software behind it: every part of the profile, and nothing of a person or a secret.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { connectTraits, shapeOf } from '../../src/identity/connect-profile.ts'
import { readConnect } from '../../src/mqtt/connect.ts'
import { bytes, connectPacket, field, uint16, uint32, type ConnectShape } from '../help/packets.ts'
import { session } from '../mqtt/arbitraries.ts'

function traitsOf(packet: Buffer) {
  const body = packet.findIndex((byte, at) => at > 0 && byte < 0x80) + 1
  return connectTraits(packet, body, packet.length)
}

function profile(shape: Partial<ConnectShape>): string {
  return traitsOf(connectPacket({ version: 4, ...shape })).profile
}

test('a profile has version, flags, keep alive, shape of the identifier, properties and will', () => {
  expect(profile({ clientId: 'pump-7' })).toBe('v4;f2;k60;ia4-91;p')
  const properties = bytes(0x11, uint32(60), 0x26, field('ward'), field('7'), 0x21, uint16(10))
  const will = {
    topic: 'ward/7/gone',
    payload: Buffer.from('gone'),
    qos: 1,
    retain: true,
    properties: bytes(0x18, uint32(5)),
  }
  expect(profile({ version: 5, clientId: 'x', properties, will })).toBe('v5;f2e;k60;ia1;p11.26.21;w18')
})

test.each([
  [{ version: 3 }],
  [{ version: 5 }],
  [{ clean: false }],
  [{ keepAlive: 61 }],
  [{ clientId: 'pump-77' }],
  [{ clientId: 'pump_7' }],
  [{ username: 'ward' }],
  [{ username: 'ward', password: Buffer.from('x') }],
  [{ will: { topic: 't', payload: Buffer.alloc(0), qos: 0, retain: false } }],
] as const)('%o makes another profile', (change) => {
  expect(profile(change)).not.toBe(profile({}))
})

test('the order of properties is a habit of a library', () => {
  const one = bytes(0x11, uint32(60), 0x21, uint16(10))
  const other = bytes(0x21, uint16(10), 0x11, uint32(60))
  expect(profile({ version: 5, properties: one })).not.toBe(profile({ version: 5, properties: other }))
})

test('names, topics and secrets do not make the profile', () => {
  const shape = (secret: string): Partial<ConnectShape> => ({
    version: 5,
    clientId: `pump-${secret}`,
    username: secret,
    password: Buffer.from(secret),
    will: { topic: secret, payload: Buffer.from(secret), qos: 0, retain: false },
  })
  expect(profile(shape('aaaaaa'))).toBe(profile(shape('bbbbbb')))
  expect(profile(shape('aaaaaa'))).not.toContain('aaaaaa')
})

test.each([
  ['pump-7', 'a4-91'],
  ['a1b2c3d4e5f6', 'x12'],
  ['mqttjs_8bea31', 'a6_x6'],
  ['00:1a:2b', '92:x2:x2'],
  ['zz9', 'n3'],
  ['', ''],
  ['pömp\u0007', 'a1?a2?'],
])('the shape of %j is %j', (clientId, shape) => {
  expect(shapeOf(clientId)).toBe(shape)
})

test('the login is the user name and the password as they lie on the wire, and nothing else', () => {
  const login = (shape: Partial<ConnectShape>) => traitsOf(connectPacket({ version: 5, ...shape })).login
  expect(login({})).toBeUndefined()
  expect(login({ username: 'ward', password: Buffer.from('s3cret') })).toEqual(
    bytes(field('ward'), field('s3cret')),
  )
  const will = { topic: 'gone', payload: Buffer.from('x'), qos: 0, retain: false }
  expect(login({ will, username: 'ward' })).toEqual(field('ward'))
})

test('of every valid CONNECT there is a bounded profile, and the login lies behind the identifier', () => {
  fc.assert(
    fc.property(session, ({ packets, version }) => {
      const packet = packets[0]?.bytes
      if (packet === undefined) return
      const { profile: found, login } = traitsOf(packet)
      const body = packet.findIndex((byte, at) => at > 0 && byte < 0x80) + 1
      const facts = readConnect(packet, body, packet.length)
      expect(found.startsWith(`v${version};f`)).toBe(true)
      expect(found.length).toBeLessThanOrEqual(160)
      // In MQTT 3.1 the fields may be missing although the flags promise them.
      if (version !== 3) expect(login !== undefined).toBe(facts.hasUsername || facts.hasPassword)
      expect(/^[ -~]*$/.test(found)).toBe(true)
    }),
  )
})
