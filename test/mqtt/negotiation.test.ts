// What CONNECT and CONNACK agreed on, and the packets that do not keep to it.

import { describe, expect, test } from 'vitest'
import { judge, type Step } from '../help/judge.ts'
import {
  block,
  bytes,
  connackPacket,
  connectPacket,
  field,
  packet,
  publishPacket,
  subscribePacket,
  uint16,
  uint32,
  type ConnectShape,
  type Level,
} from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'

const frames = { connect: 4096, control: 4096, publish: 1 << 20 }

const up = (sent: Buffer): Step => ({ direction: 'up', bytes: sent })
const down = (sent: Buffer): Step => ({ direction: 'down', bytes: sent })

interface Opening extends Partial<ConnectShape> {
  readonly connack?: Buffer
  readonly code?: number
  readonly sessionPresent?: boolean
}

/** What `strict` says, with the receive maximum enforced and without what has nothing to do with what was agreed. */
function strictly(opening: Opening, ...steps: readonly Step[]): string {
  const { connack = bytes(), code = 0, sessionPresent = false, version = 5, ...connect } = opening
  const off = ['delivery-unasked', 'credentials-missing'] as const
  const quiet = Object.fromEntries(off.map((id) => [id, 'off' as const]))
  const rules = { ...quiet, 'receive-maximum': 'enforce' as const }
  const answer = connackPacket(version, code, { sessionPresent, properties: connack })
  const all = [up(connectPacket({ version, ...connect })), down(answer), ...steps]
  return judge(all, { limits: frames, book: rulebook({ frames, preset: 'strict', rules }) }).verdict
}

const publish = (shape: object = {}): Buffer => publishPacket({ version: 5, topic: 'a', ...shape })

describe('the session', () => {
  test.each<[Level, boolean, boolean, string]>([
    [3, true, true, 'pass'],
    [4, true, true, 'session-present-unasked'],
    [5, true, true, 'session-present-unasked'],
    [4, false, true, 'pass'],
    [5, false, true, 'pass'],
    [4, true, false, 'pass'],
    [5, false, false, 'pass'],
  ])('version %i, clean %s, present %s: %s', (version, clean, sessionPresent, verdict) => {
    expect(strictly({ version, clean, sessionPresent })).toBe(verdict)
  })

  test.each([
    [undefined, 0, 'pass'],
    [undefined, 30, 'session-expiry-raised'],
    [0, 30, 'session-expiry-raised'],
    [0, 0, 'pass'],
    [30, 60, 'pass'],
    [30, 0, 'pass'],
  ])('expires after %s, and after %i by DISCONNECT: %s', (first, last, verdict) => {
    const properties = first === undefined ? bytes() : bytes(17, uint32(first))
    const leave = packet(0xe0, 0, block(17, uint32(last)))
    expect(strictly({ properties }, up(leave))).toBe(verdict)
    expect(strictly({ properties }, up(packet(0xe0)))).toBe('pass')
  })

  test.each([
    [0, 0, 'pass'],
    [0, 1, 'will-delay'],
    [30, 31, 'will-delay'],
    [30, 30, 'pass'],
    [0xffffffff, 0xffffffff, 'pass'],
  ])('of %i seconds, with a will after %i: %s', (expiry, delay, verdict) => {
    const will = { topic: 'w', payload: bytes(), qos: 0, retain: false, properties: bytes(24, uint32(delay)) }
    expect(strictly({ properties: bytes(17, uint32(expiry)), will })).toBe(verdict)
  })
})

describe('CONNACK', () => {
  const name = bytes(18, field('auto-1'))

  test.each([
    ['pump-7', bytes(), 0, 'pass'],
    ['pump-7', name, 0, 'assigned-client-id'],
    ['', name, 0, 'pass'],
    ['', bytes(), 0, 'assigned-client-id-missing'],
    ['', bytes(), 0x87, 'pass'],
  ])('to %j with %j and code %i: %s', (clientId, connack, code, verdict) => {
    expect(strictly({ clientId, connack, code })).toBe(verdict)
  })

  test('tells response information to who asked for it', () => {
    const connack = bytes(26, field('reply/to'))
    expect(strictly({ connack })).toBe('response-information-unasked')
    expect(strictly({ connack, properties: bytes(25, 0) })).toBe('response-information-unasked')
    expect(strictly({ connack, properties: bytes(25, 1) })).toBe('pass')
  })

  test('fits the device', () => {
    const connack = bytes(31, field('x'.repeat(200)))
    // Fixed header of three bytes, flags, code, two bytes of length, and the reason string.
    const size = 3 + 2 + 2 + 203
    expect(strictly({ connack, properties: bytes(39, uint32(size)) })).toBe('pass')
    expect(strictly({ connack, properties: bytes(39, uint32(size - 1)) })).toBe('maximum-packet-size')
    expect(strictly({ properties: bytes(39, uint32(5)) })).toBe('pass')
    expect(strictly({ properties: bytes(39, uint32(4)) })).toBe('maximum-packet-size-tiny')
  })
})

describe('a packet', () => {
  test('is no larger than its receiver takes, whichever it is', () => {
    const message = publish({ payload: 'x'.repeat(50) })
    const { length } = message
    for (const [size, verdict] of [
      [length, 'pass'],
      [length - 1, 'maximum-packet-size'],
    ] as const) {
      const told = bytes(39, uint32(size))
      expect(strictly({ connack: told }, up(message))).toBe(verdict)
      expect(strictly({ properties: told }, down(message))).toBe(verdict)
      // The other side has told nothing.
      expect(strictly({ connack: told }, down(message))).toBe('pass')
    }
    const request = subscribePacket(5, 1, [['a'.repeat(60), 0]])
    expect(strictly({ connack: bytes(39, uint32(60)) }, up(request))).toBe('maximum-packet-size')
  })

  test.each([
    ['QoS 1 above 0', bytes(36, 0), publish({ qos: 1 }), 'qos-not-supported'],
    ['QoS 2 above 1', bytes(36, 1), publish({ qos: 2 }), 'qos-not-supported'],
    ['QoS 1 of 1', bytes(36, 1), publish({ qos: 1 }), 'pass'],
    ['QoS 2', bytes(), publish({ qos: 2 }), 'pass'],
    ['retain', bytes(37, 0), publish({ retain: true }), 'retain-not-supported'],
    ['retain, as told', bytes(37, 1), publish({ retain: true }), 'pass'],
    ['wildcard', bytes(40, 0), subscribePacket(5, 1, [['a/+', 0]]), 'wildcard-not-supported'],
    ['shared wildcard', bytes(40, 0), subscribePacket(5, 1, [['$share/g/#', 0]]), 'wildcard-not-supported'],
    ['no wildcard', bytes(40, 0), subscribePacket(5, 1, [['$share/g/a', 0]]), 'pass'],
    [
      'identifier',
      bytes(41, 0),
      subscribePacket(5, 1, [['a', 0]], bytes(11, 1)),
      'subscription-id-not-supported',
    ],
    ['no identifier', bytes(41, 0), subscribePacket(5, 1, [['a', 0]]), 'pass'],
    ['shared', bytes(42, 0), subscribePacket(5, 1, [['$share/g/a', 0]]), 'shared-not-supported'],
    ['plain', bytes(42, 0), subscribePacket(5, 1, [['share/g/a', 0]]), 'pass'],
    ['alias of none', bytes(), publish({ properties: bytes(35, uint16(1)) }), 'topic-alias-unasked'],
    [
      'alias of zero',
      bytes(34, uint16(0)),
      publish({ properties: bytes(35, uint16(1)) }),
      'topic-alias-unasked',
    ],
    [
      'alias beyond',
      bytes(34, uint16(3)),
      publish({ properties: bytes(35, uint16(4)) }),
      'topic-alias-range',
    ],
    ['last alias', bytes(34, uint16(3)), publish({ properties: bytes(35, uint16(3)) }), 'pass'],
  ])('of a device keeps to what CONNACK says: %s', (_, connack, sent, verdict) => {
    expect(strictly({ connack }, up(sent))).toBe(verdict)
    // Before CONNACK nothing was told (3.1.4), but that aliases have to be allowed first.
    const early = judge([up(connectPacket({ version: 5 })), up(sent)], { limits: frames })
    expect(early.verdict).toBe('pass')
  })

  test('has no more in flight than its receiver takes', () => {
    const three = [1, 2, 3].map((id) => publish({ qos: 1, id }))
    const told = bytes(33, uint16(2))
    expect(strictly({ connack: told }, ...three.map(up))).toBe('receive-maximum')
    expect(strictly({ properties: told }, ...three.map(down))).toBe('receive-maximum')
    expect(strictly({ connack: told }, ...three.map(down))).toBe('pass')
  })

  test('explains nothing to a device that wants no explanations, but where it may', () => {
    const why = block(31, field('why'))
    const properties = bytes(23, 0)
    const asked = [up(publish({ qos: 1, id: 1 })), up(subscribePacket(5, 2, [['a', 0]]))]
    const unwanted = 'problem-information-unasked'
    expect(strictly({ properties }, ...asked, down(packet(0x40, 0, 1, 0, why)))).toBe(unwanted)
    expect(strictly({ properties }, ...asked, down(packet(0x90, 0, 2, why, 0)))).toBe(unwanted)
    expect(
      strictly({ properties }, ...asked, down(packet(0x90, 0, 2, block(38, field('k'), field('v')), 0))),
    ).toBe(unwanted)
    expect(strictly({ properties }, ...asked, down(packet(0xe0, 0x8b, why)))).toBe('pass')
    expect(strictly({ properties, connack: bytes(31, field('why')) })).toBe('pass')
    expect(strictly({}, ...asked, down(packet(0x40, 0, 1, 0, why)))).toBe('pass')
  })
})
