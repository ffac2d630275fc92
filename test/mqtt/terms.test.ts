// What both sides tell each other, read from generated CONNECT and CONNACK and held against what mqtt-packet reads.

import fc, { type Arbitrary } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode } from '../../src/mqtt/decode.ts'
import { Terms } from '../../src/mqtt/terms.ts'
import { bytes, connackPacket, connectPacket, field, uint16, uint32, type Level } from '../help/packets.ts'

const text = fc.string({ unit: 'grapheme-ascii', maxLength: 10 }).map((one) => field(one))
const flag = fc.nat(1).map((one) => bytes(one))
const short = fc.nat(0xffff).map(uint16)
const positive = fc.integer({ min: 1, max: 0xffff }).map(uint16)
const long = fc.integer({ min: 1, max: 0xffffffff }).map(uint32)
const user = fc.tuple(text, text).map((both) => bytes(...both))

/** Every property of a packet, each once or not at all, and user properties, in any order. */
function block(values: Readonly<Record<number, Arbitrary<Buffer>>>): Arbitrary<Buffer> {
  const each = Object.entries(values).map(([id, value]) => value.map((one) => bytes(Number(id), one)))
  return fc
    .tuple(
      fc.tuple(...each.map((one) => fc.option(one))),
      fc.array(
        user.map((one) => bytes(38, one)),
        { maxLength: 2 },
      ),
    )
    .map(([some, users]) => [...some.filter((one) => one !== null), ...users])
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }))
    .map((all) => bytes(...all))
}

const connectBlock = block({
  17: long,
  21: text,
  22: text,
  23: flag,
  25: flag,
  33: positive,
  34: short,
  39: long,
})
const willBlock = block({ 1: flag, 2: long, 3: text, 8: text.map(() => field('r')), 9: text, 24: long })
const connackBlock = block({
  17: long,
  18: text,
  19: short,
  21: text,
  22: text,
  26: text,
  28: text,
  31: text,
  33: positive,
  34: short,
  36: flag,
  37: flag,
  39: long,
  40: flag,
  41: flag,
  42: flag,
})

/** The offset of the variable header. */
function bodyOf(frame: Buffer): number {
  let at = 1
  while (frame[at]! >= 0x80) at++
  return at + 1
}

function told(properties: object | undefined): Readonly<Record<string, unknown>> {
  return { ...properties }
}

const untold = { receiveMaximum: 65_535, maximumPacketSize: Infinity, topicAliasMaximum: -1 }

describe('the terms', () => {
  test('of CONNECT are those that mqtt-packet reads', () => {
    const shape = fc.record({
      version: fc.constantFrom<Level>(3, 4, 5),
      clean: fc.boolean(),
      clientId: fc.constantFrom('', 'pump-7'),
      properties: connectBlock,
      will: fc.option(
        fc.record({ properties: willBlock, topic: fc.constant('w'), payload: fc.uint8Array() }),
      ),
      username: fc.boolean(),
    })
    fc.assert(
      fc.property(shape, ({ version, clean, clientId, properties, will, username }) => {
        // Both do not like an empty one in MQTT 3.1.
        fc.pre(version !== 3 || clientId !== '')
        const frame = connectPacket({
          version,
          clean,
          clientId,
          properties,
          ...(will === null ? {} : { will: { ...will, qos: 1, retain: false } }),
          ...(username ? { username: 'u' } : {}),
        })
        const packet = decode(frame, version)
        if (packet?.cmd !== 'connect') throw new Error('expected CONNECT')
        const terms = new Terms()
        terms.readConnect(frame, bodyOf(frame), version)
        const own = told(packet.properties)
        const method = own['authenticationMethod']
        const willDelay = told(packet.will?.properties)['willDelayInterval']
        expect(terms).toEqual(
          Object.assign(new Terms(), {
            clean,
            hasClientId: packet.clientId !== '',
            sessionExpiry: own['sessionExpiryInterval'] ?? 0,
            method: typeof method === 'string' ? Buffer.from(method) : undefined,
            wantsProblemInformation: own['requestProblemInformation'] ?? true,
            wantsResponseInformation: own['requestResponseInformation'] ?? false,
            willDelay: willDelay ?? 0,
            device: {
              receiveMaximum: own['receiveMaximum'] ?? 65_535,
              maximumPacketSize: own['maximumPacketSize'] ?? Infinity,
              topicAliasMaximum: own['topicAliasMaximum'] ?? -1,
            },
          }),
        )
      }),
      { numRuns: 2000 },
    )
  })

  test('of CONNACK are those that mqtt-packet reads', () => {
    fc.assert(
      fc.property(connackBlock, (properties) => {
        const frame = connackPacket(5, 0, { properties })
        const packet = decode(frame, 5)
        if (packet?.cmd !== 'connack') throw new Error('expected CONNACK')
        const terms = new Terms()
        terms.readConnack(frame, bodyOf(frame), frame.length)
        const own = told(packet.properties)
        expect(terms).toEqual(
          Object.assign(new Terms(), {
            assignedClientId: own['assignedClientIdentifier'] !== undefined,
            responseInformation: own['responseInformation'] !== undefined,
            maximumQos: own['maximumQoS'] ?? 2,
            retainAvailable: own['retainAvailable'] ?? true,
            wildcardAvailable: own['wildcardSubscriptionAvailable'] ?? true,
            subscriptionIdsAvailable: own['subscriptionIdentifiersAvailable'] ?? true,
            sharedAvailable: own['sharedSubscriptionAvailable'] ?? true,
            broker: {
              receiveMaximum: own['receiveMaximum'] ?? 65_535,
              maximumPacketSize: own['maximumPacketSize'] ?? Infinity,
              topicAliasMaximum: own['topicAliasMaximum'] ?? -1,
            },
          }),
        )
      }),
      { numRuns: 2000 },
    )
  })

  test('are not what was told where it may not be told, or out of range', () => {
    const terms = new Terms()
    const connect = connectPacket({
      version: 5,
      properties: bytes(33, uint16(0), 36, 0, 37, 0, 39, uint32(0), 18, field('x'), 26, field('x'), 40, 0),
      will: {
        topic: 'w',
        payload: bytes(),
        qos: 0,
        retain: false,
        properties: bytes(33, uint16(1), 34, uint16(1), 39, uint32(1), 17, uint32(9), 21, field('m')),
      },
    })
    terms.readConnect(connect, bodyOf(connect), 5)
    const connack = connackPacket(5, 0, {
      properties: bytes(
        17,
        uint32(9),
        21,
        field('m'),
        23,
        0,
        24,
        uint32(9),
        25,
        1,
        33,
        uint16(0),
        39,
        uint32(0),
      ),
    })
    terms.readConnack(connack, bodyOf(connack), connack.length)
    expect(terms).toEqual(new Terms())
    expect(terms.broker).toEqual(untold)
  })

  test('of a CONNACK in the form of MQTT 3.1.1 are none', () => {
    const terms = new Terms()
    const connack = connackPacket(4, 1)
    terms.readConnack(connack, 2, connack.length)
    expect(terms).toEqual(new Terms())
  })

  test('keep a copy of the method, not the packet', () => {
    const terms = new Terms()
    const connect = connectPacket({ version: 5, properties: bytes(21, field('SCRAM')) })
    terms.readConnect(connect, bodyOf(connect), 5)
    connect.fill(0)
    expect(terms.method?.toString()).toBe('SCRAM')
  })
})
