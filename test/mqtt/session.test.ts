import { describe, expect, test } from 'vitest'
import { FrameStream, stopped } from '../../src/mqtt/frames.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { Mode, Rule } from '../../src/mqtt/rule.ts'
import type { FrameLimits } from '../../src/mqtt/rulebook.ts'
import { allRules, brokenRule, rules } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import {
  connackPacket,
  connectPacket,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
} from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'

const limits: FrameLimits = { connect: 1024, control: 1024, publish: 1 << 20 }

interface Wanted {
  readonly watched?: number
  readonly witness?: (type: number) => boolean
  /** Of single rules; the preset is `standard`. */
  readonly modes?: Readonly<Record<string, Mode>>
}

function openSession({ watched = 0, witness = () => true, modes = {} }: Wanted = {}) {
  const book = rulebook({ frames: limits, rules: modes })
  const session = new SessionState({ book, churn: new Churn(), clock: () => 0 })
  const counts = new Float64Array(32)
  const hits = new Float64Array(allRules.length + 1)
  const reports: string[] = []
  const tolerated = ({ id }: Rule): void => void reports.push(id)
  const bench = { counts, hits, tolerated, watched, witness }
  return {
    session,
    counts,
    hits,
    reports,
    up: new FrameStream('up', session, bench),
    down: new FrameStream('down', session, bench),
  }
}

describe('the session', () => {
  test.each([3, 4, 5] as const)('learns version %i from CONNECT and the answer from CONNACK', (version) => {
    const { session, up, down } = openSession()
    expect(session.version).toBe(0)
    expect(up.push(connectPacket({ version }))).toBe(0)
    expect(session.version).toBe(version)
    expect(session.connackCode).toBe(-1)
    down.push(connackPacket(version, version === 5 ? 0x87 : 5))
    expect(session.connackCode).toBe(version === 5 ? 0x87 : 5)
  })

  test.each([
    ['5.0, bad flags', connectWith('MQTT', 5, 0x03), 5],
    ['3.1.1, bad flags', connectWith('MQTT', 4, 0x03), 4],
    ['3.1, no identifier', connectWith('MQIsdp', 3, 0x02), 3],
    ['5.0, header flags', connectPacket({ version: 5 }).fill(0x11, 0, 1), 5],
    ['a level to come', connectWith('MQTT', 6, 0x02), 0],
    ['another name', connectWith('MQTX', 5, 0x02), 0],
    ['no level at all', packet(0x10, 0, 4, 'MQTT'), 0],
    ['no name at all', packet(0x10, 0), 0],
  ])('remembers the version a broken CONNECT claimed: %s', (_, bytes, claimed) => {
    const { session, up } = openSession()
    expect(up.push(bytes)).toBeLessThan(0)
    expect({ version: session.version, claimed: session.claimed }).toEqual({ version: 0, claimed })
  })

  test('knows who has left', () => {
    const { session, up, down } = openSession()
    up.push(connectPacket({ version: 5 }))
    down.push(connackPacket(5))
    up.push(packet(0xe0))
    expect({ device: session.deviceLeft, broker: session.brokerLeft }).toEqual({
      device: true,
      broker: false,
    })
    down.push(packet(0xe0))
    expect({ device: session.deviceLeft, broker: session.brokerLeft }).toEqual({ device: true, broker: true })
  })

  test('lets every PINGREQ be answered, however many are on their way', () => {
    const { up, down, counts, hits, reports } = openSession()
    up.push(connectPacket({ version: 4 }))
    down.push(connackPacket(4))
    const many = 5000
    expect(up.push(Buffer.concat(Array.from({ length: many }, () => pingreqPacket)))).toBe(0)
    expect(down.push(Buffer.concat(Array.from({ length: many }, () => pingrespPacket)))).toBe(0)
    expect(counts[PacketType.pingreq]).toBe(many)
    expect(counts[16 + PacketType.pingresp]).toBe(many)
    expect(reports).toEqual([])
    // Counted each time, told once.
    for (let i = 0; i < 3; i++) expect(down.push(pingrespPacket)).toBe(0)
    expect(reports).toEqual(['pingresp-unasked'])
    expect(hits[rules.pingrespUnasked.index]).toBe(3)
  })

  test('refuses a PINGRESP that answers nothing where that is enforced', () => {
    const { up, down } = openSession({ modes: { 'pingresp-unasked': 'enforce' } })
    up.push(connectPacket({ version: 4 }))
    down.push(connackPacket(4))
    up.push(pingreqPacket)
    expect(down.push(pingrespPacket)).toBe(0)
    expect(brokenRule(down.push(pingrespPacket)).id).toBe('pingresp-unasked')
  })
})

describe('the witness', () => {
  test('sees only what it asked for', () => {
    const seen: number[] = []
    const { up } = openSession({
      watched: (1 << PacketType.connect) | (1 << PacketType.publish),
      witness: (type) => seen.push(type) > 0,
    })
    up.push(
      Buffer.concat([
        connectPacket({ version: 4 }),
        pingreqPacket,
        publishPacket({ version: 4, topic: 'a' }),
        pingreqPacket,
      ]),
    )
    expect(seen).toEqual([PacketType.connect, PacketType.publish])
  })

  test('stops the stream in front of a frame, which is neither counted nor passed nor taken note of', () => {
    const { session, up, counts } = openSession({
      watched: 1 << PacketType.disconnect,
      witness: () => false,
    })
    const before = Buffer.concat([connectPacket({ version: 4 }), pingreqPacket])
    const chunk = Buffer.concat([before, packet(0xe0), pingreqPacket])
    expect(up.push(chunk)).toBe(stopped)
    expect(chunk.subarray(up.from, up.to)).toEqual(before)
    expect(counts[PacketType.disconnect]).toBe(0)
    expect(session.deviceLeft).toBe(false)
  })

  test('stops the stream in front of a frame that came in pieces, and of a CONNECT', () => {
    const { session, up } = openSession({ watched: 1 << PacketType.connect, witness: () => false })
    const connect = connectPacket({ version: 5 })
    expect(up.push(connect.subarray(0, 7))).toBe(0)
    expect(up.push(connect.subarray(7))).toBe(stopped)
    expect(up.carry).toBeUndefined()
    expect(up.to).toBe(up.from)
    expect(session.version).toBe(0)
  })

  test('stops the stream in front of a PUBLISH whose payload is still to come', () => {
    const { up } = openSession({ watched: 1 << PacketType.publish, witness: () => false })
    up.push(connectPacket({ version: 4 }))
    const message = publishPacket({ version: 4, topic: 'a', payload: Buffer.alloc(100) })
    expect(up.push(message.subarray(0, 20))).toBe(stopped)
    expect(up.to).toBe(0)
    expect(up.betweenFrames).toBe(true)
  })
})

describe('the stream', () => {
  test('knows whether what went on ends between two frames', () => {
    const { up } = openSession()
    expect(up.betweenFrames).toBe(true)
    up.push(connectPacket({ version: 4 }))
    const message = publishPacket({ version: 4, topic: 'a', payload: Buffer.alloc(100) })
    up.push(message.subarray(0, 3))
    // The head is not whole: nothing of it went on.
    expect({ between: up.betweenFrames, held: up.held }).toEqual({ between: true, held: 3 })
    up.push(message.subarray(3, 50))
    expect({ between: up.betweenFrames, held: up.held }).toEqual({ between: false, held: 0 })
    up.push(message.subarray(50))
    expect(up.betweenFrames).toBe(true)
  })

  test('hands on a held head and the payload behind it in their order', () => {
    const { up } = openSession()
    up.push(connectPacket({ version: 4 }))
    const message = publishPacket({ version: 4, topic: 'a', payload: 'payload' })
    const chunk = Buffer.concat([message.subarray(2), pingreqPacket])
    up.push(message.subarray(0, 2))
    expect(up.push(chunk)).toBe(0)
    expect(up.carry).toEqual(message.subarray(0, 5))
    expect(chunk.subarray(up.from, up.to).toString('latin1')).toBe('payload\xc0\x00')
  })

  test.each([3, 40, 600, 900])(
    'keeps no more room than its frame needs, of which %i bytes are there',
    (there) => {
      const { up } = openSession()
      up.push(connectPacket({ version: 4 }))
      const filters = subscribePacket(4, 1, [['a'.repeat(900), 0]])
      for (const chunk of [filters.subarray(0, there), filters.subarray(there, there + 1)]) up.push(chunk)
      expect(up.push(filters.subarray(there + 1))).toBe(0)
      expect(up.carry).toEqual(filters)
      expect(up.carry?.buffer.byteLength).toBe(filters.length)
    },
  )

  test('takes an empty chunk for what it is', () => {
    const { up } = openSession()
    expect(up.push(Buffer.alloc(0))).toBe(0)
    up.push(connectPacket({ version: 4 }).subarray(0, 5))
    expect(up.push(Buffer.alloc(0))).toBe(0)
    expect({ held: up.held, from: up.from, to: up.to }).toEqual({ held: 5, from: 0, to: 0 })
  })
})

/** A CONNECT with an empty client identifier, and a property block where the level has one. */
function connectWith(name: string, level: number, flags: number): Buffer {
  return packet(0x10, 0, name.length, name, level, flags, 0, 60, ...(level === 5 ? [0] : []), 0, 0)
}

test('a device that falls silent leaves none of its bytes behind', () => {
  const { up, down } = openSession()
  up.push(connectPacket({ version: 4 }))
  down.push(connackPacket(4))
  expect(up.push(publishPacket({ version: 4, topic: 'ward/7', payload: 'x'.repeat(500) }))).toBe(0)
  expect(up.view).toMatchObject({ qos: 0, from: 0, to: 0 })
  expect(up.view?.topic).toHaveLength(0)
})
