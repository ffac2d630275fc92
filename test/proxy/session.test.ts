// One device and its broker: every way a session ends, in both orders, and what is told, counted and left behind.

import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { clearCredentials } from '../../src/detect/clear-credentials.ts'
import type { Detector } from '../../src/detect/detector.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import { ByteCount } from '../../src/observe/samples.ts'
import { Upstream, type Connected } from '../../src/proxy/upstream.ts'
import { deviceContext } from '../../src/tls/contexts.ts'
import { acceptAll, TestBroker, type Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Gate, upstreamPlan, type GateOptions } from '../help/gate.ts'
import { deadPort, Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import {
  block,
  bytes,
  connackPacket,
  connectPacket,
  field,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  uint16,
  type Level,
} from '../help/packets.ts'
import { eventually } from '../help/wait.ts'

let pki: Pki
let cert: string
let key: string

beforeAll(async () => {
  pki = await makePki()
  const leaf = await pki.issue()
  cert = leaf.chain
  key = leaf.key
})

/** A broker that serves like this, and a gate in front of it. */
async function stage(
  serve: (visit: Visit) => void | Promise<void> = acceptAll,
  options: Partial<GateOptions> = {},
  halfOpen = false,
) {
  const stack = new AsyncDisposableStack()
  const broker = stack.use(await TestBroker.start({ cert, key, serve, halfOpen }))
  const gate = stack.use(await Gate.open({ upstream: { ports: [broker.port], ca: pki.ca.cert }, ...options }))
  return { broker, gate, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** An upstream whose connections wait until the test lets them go on. */
function gated() {
  const released = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  let last: Promise<unknown> | undefined
  class Gated extends Upstream {
    override async connect(signal: AbortSignal): Promise<Connected> {
      asked.resolve()
      await released.promise
      const connecting = super.connect(signal)
      last = connecting.catch(() => undefined)
      return await connecting
    }
  }
  return {
    asked: asked.promise,
    release: () => released.resolve(),
    /** Waits until the connection was made, or not, and whoever asked has heard of it. */
    settled: async () => {
      await eventually('the dial', () => last !== undefined)
      await last
      await setImmediate()
    },
    upstream: (port: number) => (deps: ConstructorParameters<typeof Upstream>[1]) =>
      new Gated(upstreamPlan({ ports: [port], ca: pki.ca.cert }), deps),
  }
}

const alarm = publishPacket({ version: 4, topic: 'ward/1/alarm', payload: 'asystole' })

describe('relaying', () => {
  test('passes the very bytes both ways, and counts them once', async () => {
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      await visit.holds(alarm)
      await visit.send(alarm, pingrespPacket)
    })
    const { gate, broker } = set
    await using device = await Device.connect(gate.port)
    const hello = connectPacket({ version: 4 })
    await device.hello({ version: 4 }, alarm, pingreqPacket)
    const down = bytes(connackPacket(4), alarm, pingrespPacket)
    expect(await device.bytes(down.length)).toEqual(down)
    const up = bytes(hello, alarm, pingreqPacket)
    expect((await broker.visit(0)).received).toEqual(up)
    expect(await gate.metric('device_sessions', { transport: 'plain' })).toBe(1)
    device.end()
    await device.untilClosed()
    await gate.emptied()
    const { metrics } = gate
    expect([...metrics.bytes]).toEqual([up.length, down.length, down.length, up.length])
    expect(metrics.packets[PacketType.publish]).toBe(1)
    expect(metrics.packets[16 + PacketType.publish]).toBe(1)
    expect(metrics.connacks[0]).toBe(1)
    expect(gate.diary.lines('session opened')).toHaveLength(1)
    const closed = gate.diary.lines('session closed')
    expect(closed).toHaveLength(1)
    expect(closed[0]).toMatchObject({
      reason: 'device-closed',
      clientId: 'pump-7',
      version: '3.1.1',
      connack: 0,
      bytes: { up: up.length, down: down.length },
    })
  })

  test('a device that says everything at once and leaves is delivered', async () => {
    await using set = await stage()
    await using device = await Device.connect(set.gate.port)
    const all = bytes(connectPacket({ version: 4 }), alarm, packet(0xe0))
    device.end(all)
    const visit = await set.broker.visit(0)
    expect(await visit.everything()).toEqual(all)
    await set.gate.emptied()
  })

  test('a device that resets while it waits for the broker is still delivered', async () => {
    const gate1 = gated()
    await using broker = await TestBroker.start({ cert, key })
    await using gate = await Gate.open({ upstream: gate1.upstream(broker.port) })
    await using device = await Device.connect(gate.port)
    const all = bytes(connectPacket({ version: 4 }), alarm)
    await device.send(all)
    await gate1.asked
    device.socket.resetAndDestroy()
    gate1.release()
    expect(await (await broker.visit(0)).everything()).toEqual(all)
    await gate.emptied()
  })
})

describe('the end of one leg', () => {
  test('a broker that resets frees the session although its device is still sending', async () => {
    const large = publishPacket({ version: 4, topic: 'ward/1/waveform', payload: Buffer.alloc(400_000) })
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      visit.socket.pause()
    })
    const { gate, broker } = set
    await using device = await Device.join(gate.port)
    await device.send(large)
    await eventually('all of it sent on', () => gate.metrics.bytes[ByteCount.brokerSent]! > large.length)
    // With bytes unread in its kernel, a close is a reset.
    const visit = await broker.visit(0)
    visit.socket.destroy()
    await device.everything()
    device.end(large, large)
    await device.untilClosed()
    // No time passes here: nothing may wait for a deadline.
    await gate.emptied()
    expect(gate.diary.lines('session closed')).toHaveLength(1)
  })

  test('a device that resets frees the session although its broker is still sending', async () => {
    const large = publishPacket({ version: 4, topic: 'ward/1/orders', payload: Buffer.alloc(400_000) })
    await using set = await stage(
      async (visit) => {
        await acceptAll(visit)
        await visit.everything()
        visit.end(large)
      },
      {},
      true,
    )
    const { gate } = set
    await using device = await Device.join(gate.port)
    const sent = gate.metrics.bytes[ByteCount.deviceSent]
    device.socket.resetAndDestroy()
    await gate.emptied()
    expect(gate.diary.lines('session closed')[0]?.['reason']).toBe('device-reset')
    // What goes to nobody is not counted as sent.
    expect(gate.metrics.bytes[ByteCount.deviceSent]).toBe(sent)
  })

  test('a broker that floods a device that left before the dial does not fill the memory', async () => {
    const hold = gated()
    const more = publishPacket({ version: 4, topic: 'ward/1/orders', payload: Buffer.alloc(100_000) })
    await using broker = await TestBroker.start({
      cert,
      key,
      halfOpen: true,
      serve: async (visit) => {
        await acceptAll(visit)
        for (let i = 0; i < 20; i++) await visit.send(more)
        visit.end()
      },
    })
    await using gate = await Gate.open({ upstream: hold.upstream(broker.port) })
    await using device = await Device.connect(gate.port)
    await device.send(connectPacket({ version: 4 }))
    await hold.asked
    device.socket.resetAndDestroy()
    await gate.diary.line('connection failed', { leg: 'device' })
    hold.release()
    await gate.emptied()
    expect(gate.metrics.bytes[ByteCount.deviceSent]).toBe(0)
    expect(gate.metrics.bytes[ByteCount.brokerReceived]).toBe(0)
  })

  test('a broken TLS record of a device ends its session at once', async () => {
    const context = deviceContext({ cert: [cert], key: [key], minVersion: 'TLSv1.2' }).context
    await using set = await stage(acceptAll, { deviceContext: context })
    const raw = connectPlain(set.gate.port, '127.0.0.1')
    raw.on('error', () => {})
    const socket = connectTls({ socket: raw, ca: pki.ca.cert, servername: 'localhost' })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    await using device = new Device(socket)
    await device.hello()
    raw.write(bytes(0x17, 0x03, 0x03, uint16(32), Buffer.alloc(32, 7)))
    await set.gate.emptied()
    expect(set.gate.diary.lines('session closed')[0]?.['reason']).toBe('device-reset')
  })
})

describe('a refusal', () => {
  const bad = packet(0xf0)
  const refuseCredentials = {
    detectors: [undefined, [clearCredentials.create({})]],
    policy: { mode: 'enforce', actions: new Map([['clear-credentials', 'refuse']]) },
  } as const satisfies Partial<GateOptions>
  const connect = (version: Level): Buffer => connectPacket({ version })

  test.each<[string, Level, Buffer, string]>([
    ['a malformed CONNECT', 4, bytes(connect(4).subarray(0, 9), 0xff, connect(4).subarray(10)), ''],
    [
      'a malformed CONNECT',
      5,
      bytes(connect(5).subarray(0, 9), 0xff, connect(5).subarray(10)),
      '20 03 00 81 00',
    ],
    [
      'an unknown protocol level',
      4,
      bytes(connect(4).subarray(0, 8), 7, connect(4).subarray(9)),
      '20 02 00 01',
    ],
    ['a bad packet behind CONNECT', 4, bytes(connect(4), bad), ''],
    ['a bad packet behind CONNECT', 5, bytes(connect(5), packet(0x00)), '20 03 00 81 00'],
  ])('of %s in version %i never reaches a broker', async (_, _version, sent, answer) => {
    await using set = await stage()
    await using device = await Device.connect(set.gate.port)
    await device.send(sent)
    expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
    device.end()
    await set.gate.emptied()
    expect(set.gate.closed).toBe(1)
    expect(set.broker.knocks).toBe(0)
    expect(await set.gate.metric('rejections_total')).toBe(1)
    expect(set.gate.diary.lines('session refused')).toMatchObject([{ level: 'warn', blame: 'device' }])
    expect(set.gate.diary.lines('session closed')).toEqual([])
  })

  test.each<[Level, string]>([
    [3, '20 02 00 05'],
    [4, '20 02 00 05'],
    [5, '20 03 00 87 00'],
  ])('by a detector is told in version %i', async (version, answer) => {
    await using set = await stage(acceptAll, refuseCredentials)
    await using device = await Device.connect(set.gate.port)
    await device.send(connectPacket({ version, username: 'nurse', password: Buffer.from('canary') }))
    expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
    device.end()
    await set.gate.emptied()
    expect(set.broker.knocks).toBe(0)
    expect(set.gate.metrics.connacks[version === 5 ? 0x87 : 5]).toBe(1)
    expect(set.gate.diary.lines('session refused')[0]).toMatchObject({
      reason: 'clear-credentials',
      clientId: 'pump-7',
      version: { 3: '3.1', 4: '3.1.1', 5: '5.0' }[version],
    })
    expect(JSON.stringify(set.gate.diary.all)).not.toContain('canary')
  })

  test.each<[Level, string]>([
    [4, ''],
    [5, 'e0 02 81 00'],
  ])(
    'in the middle of a session of version %i is told, and the broker sees the end',
    async (version, answer) => {
      await using set = await stage()
      await using device = await Device.join(set.gate.port, { version })
      const before = device.received.length
      await device.send(packet(0x00))
      expect((await device.everything()).subarray(before).toString('hex')).toBe(answer.replaceAll(' ', ''))
      device.end()
      const visit = await set.broker.visit(0)
      expect(await visit.everything()).toEqual(connectPacket({ version }))
      await set.gate.emptied()
      expect(set.gate.diary.lines('session closed')[0]?.['reason']).toBe('reserved-type')
    },
  )

  test('is not put into the middle of a packet', async () => {
    const large = publishPacket({ version: 5, topic: 'ward/1/orders', payload: Buffer.alloc(5000) })
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      await visit.send(large.subarray(0, 3000))
    })
    await using device = await Device.join(set.gate.port, { version: 5 })
    await device.bytes(3005)
    await device.send(packet(0x00))
    expect(await device.everything()).toHaveLength(3005)
  })

  test.each<[Level, string]>([
    [4, '20 02 00 03'],
    [5, '20 03 00 88 00'],
  ])('for want of a broker is told in version %i', async (version, answer) => {
    await using gate = await Gate.open({ upstream: { ports: [await deadPort()], ca: pki.ca.cert } })
    await using device = await Device.connect(gate.port)
    await device.send(connectPacket({ version }))
    expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
    device.end()
    await gate.emptied()
    expect(await gate.metric('rejections_total', { reason: 'upstream-unreachable' })).toBe(1)
    expect(gate.diary.lines('session refused')).toMatchObject([{ blame: 'broker', direction: 'down' }])
  })

  test.each<[Level, string]>([
    [4, '20 02 00 03'],
    [5, '20 03 00 88 00'],
  ])('for a broker that hangs up before CONNACK is told in version %i', async (version, answer) => {
    await using set = await stage((visit) => visit.end())
    await using device = await Device.connect(set.gate.port)
    await device.send(connectPacket({ version }))
    expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
    device.end()
    await set.gate.emptied()
    expect(await set.gate.metric('rejections_total', { reason: 'broker-closed-early' })).toBe(1)
    expect(set.gate.diary.lines('session refused')).toMatchObject([{ blame: 'broker' }])
  })

  test.each<[Level, string]>([
    [4, '20 02 00 03'],
    [5, '20 03 00 88 00'],
  ])(
    'for a broker that never answers CONNECT is told in version %i, even to a device that pings',
    async (version, answer) => {
      await using set = await stage(() => {})
      await using device = await Device.connect(set.gate.port)
      await device.send(connectPacket({ version }))
      const visit = await set.broker.visit(0)
      await visit.until('CONNECT', (received) => received.length > 0)
      set.gate.advance(20_000)
      await device.send(pingreqPacket)
      await visit.holds(pingreqPacket)
      expect(device.received).toHaveLength(0)
      set.gate.advance(10_001)
      expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
      device.end()
      await set.gate.emptied()
      expect(await set.gate.metric('rejections_total', { reason: 'broker-silent' })).toBe(1)
      expect(set.gate.diary.lines('session refused')).toMatchObject([
        { blame: 'broker', detail: 'the broker did not answer CONNECT within 30 seconds' },
      ])
      expect(set.gate.upstream.doubted).toBe(true)
    },
  )

  test('is not for a device whose broker asked it something in its turn', async () => {
    const authPacket = packet(0xf0, 0x18, block(bytes(0x15, field('SCRAM'))))
    await using set = await stage((visit) => visit.send(authPacket))
    await using device = await Device.connect(set.gate.port)
    await device.send(connectPacket({ version: 5, properties: bytes(0x15, field('SCRAM')) }))
    await device.holds(authPacket)
    set.gate.advance(40_000)
    expect(device.ended).toBe(false)
    expect(await set.gate.metric('rejections_total')).toBe(0)
  })

  test('can be read although the device keeps sending', async () => {
    await using set = await stage()
    await using device = await Device.join(set.gate.port, { version: 5 })
    device.socket.write(packet(0x00))
    for (let i = 0; i < 20; i++) await device.send(Buffer.alloc(5000))
    const answer = await device.everything()
    expect(answer.subarray(-4)).toEqual(Buffer.from('e0028100', 'hex'))
    expect(device.error).toBeUndefined()
    device.end()
    await device.untilClosed()
    expect(device.error).toBeUndefined()
    await set.gate.emptied()
  })

  test('has an end although the device keeps sending, or never closes', async () => {
    await using set = await stage()
    await using chatty = await Device.join(set.gate.port)
    chatty.socket.write(bytes(packet(0x00), Buffer.alloc(1_000_000)))
    await chatty.everything()
    await set.gate.emptied()
    await using mute = await Device.join(set.gate.port)
    await mute.send(packet(0x00))
    await mute.everything()
    set.gate.advance(2001)
    await set.gate.emptied()
    expect(set.gate.closed).toBe(2)
  })

  test('says nothing behind the last word of the broker', async () => {
    const last = packet(0xe0, 0x8b, 0)
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      await visit.send(last, pingrespPacket)
    })
    await using device = await Device.join(set.gate.port, { version: 5 })
    expect(await device.everything()).toEqual(bytes(connackPacket(5), last))
    expect(await set.gate.metric('rejections_total', { reason: 'after-disconnect' })).toBe(1)
  })

  test('says nothing behind a refusal of the broker', async () => {
    const refused = connackPacket(5, 0x86)
    await using set = await stage(async (visit) => await visit.send(refused, pingrespPacket))
    await using device = await Device.connect(set.gate.port)
    await device.send(connectPacket({ version: 5 }))
    expect(await device.everything()).toEqual(refused)
    expect(await set.gate.metric('rejections_total', { reason: 'after-refusal' })).toBe(1)
    expect([...set.gate.metrics.connacks.entries()].filter(([, count]) => count > 0)).toEqual([[0x86, 1]])
  })

  test('for a defect of ours ends this session, and no other', async () => {
    const faulty: Detector = {
      kind: 'faulty',
      watches: ['subscribe'],
      begin: () => undefined,
      see() {
        throw new Error('a defect')
      },
    }
    const detectors = Array.from({ length: 9 }, (_, type) =>
      type === PacketType.subscribe ? [faulty] : undefined,
    )
    await using set = await stage(acceptAll, { detectors })
    await using other = await Device.join(set.gate.port, { clientId: 'other' })
    await using device = await Device.join(set.gate.port, { version: 5 })
    await device.send(subscribePacket(5, 1, [['ward/#', 0]]))
    expect((await device.everything()).subarray(-4).toString('hex')).toBe('e0028000')
    expect(await set.gate.metric('rejections_total', { reason: 'internal-error' })).toBe(1)
    const told = set.gate.diary.lines('a defect in Pulseward; only this session is closed')
    expect(told).toMatchObject([{ level: 'error', stack: expect.stringContaining('a defect') }])
    const [refusal] = set.gate.diary.lines('session refused')
    expect(refusal).toMatchObject({ blame: 'proxy' })
    expect(refusal).not.toHaveProperty('direction')
    set.gate.diary.all.length = 0
    await other.send(alarm)
    await (await set.broker.visitOf('other')).holds(alarm)
  })
})

describe('silence', () => {
  test('of a device ends its session after one and a half times the keep alive, and five seconds', async () => {
    await using set = await stage()
    const { gate } = set
    await using device = await Device.join(gate.port, { version: 5, keepAlive: 10 })
    gate.advance(20_000)
    await device.send(pingreqPacket)
    await (await set.broker.visit(0)).holds(pingreqPacket)
    gate.advance(20_000)
    expect(device.ended).toBe(false)
    gate.advance(1)
    expect((await device.everything()).subarray(-4).toString('hex')).toBe('e0028d00')
    expect(gate.metrics.keepAliveExpired).toBe(1)
    device.end()
    await gate.emptied()
    expect(gate.diary.lines('session closed')[0]?.['reason']).toBe('keep-alive-expired')
  })

  test('of a device that has to wait for a slow broker is not its fault, as long as the broker takes something', async () => {
    const large = publishPacket({ version: 4, topic: 'ward/1/wave', payload: Buffer.alloc(2_000_000) })
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      visit.socket.pause()
    })
    const { gate, broker } = set
    await using device = await Device.join(gate.port, { keepAlive: 10 })
    // More than all buffers on the way hold.
    for (let i = 0; i < 10; i++) device.socket.write(large)
    const visit = await broker.visit(0)
    await stalled(gate)
    gate.advance(30_000)
    gate.advance(30_000)
    expect(device.ended).toBe(false)
    // It need not keep what it reads.
    visit.socket.removeAllListeners('data').resume()
    await eventually('all of it', () => gate.metrics.bytes[ByteCount.brokerSent]! > 10 * large.length)
    gate.advance(19_000)
    expect(device.ended).toBe(false)
    expect(gate.metrics.keepAliveExpired).toBe(0)
  })

  test('of a broker that takes nothing any more ends the session', async () => {
    const large = publishPacket({ version: 4, topic: 'ward/1/wave', payload: Buffer.alloc(2_000_000) })
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      visit.socket.pause()
    })
    const { gate } = set
    await using device = await Device.join(gate.port, { keepAlive: 10 })
    for (let i = 0; i < 10; i++) device.socket.write(large)
    await stalled(gate)
    for (let i = 0; i < 10; i++) gate.advance(30_000)
    await device.everything()
    await gate.emptied()
    expect(gate.metrics.keepAliveExpired).toBe(0)
    expect(await gate.metric('rejections_total', { reason: 'broker-stalled' })).toBe(1)
    expect(gate.diary.lines('session refused')).toMatchObject([{ blame: 'broker' }])
  })

  test('after a half-close ends the session when it lasts', async () => {
    await using set = await stage(acceptAll, {}, true)
    const { gate } = set
    await using device = await Device.join(gate.port)
    device.end(alarm)
    const visit = await set.broker.visit(0)
    await visit.everything()
    gate.advance(59_000)
    await visit.send(alarm)
    await device.holds(alarm)
    gate.advance(60_000)
    expect(visit.closed).toBe(false)
    gate.advance(1)
    await gate.emptied()
  })
})

describe('the last word', () => {
  const farewell = packet(0xe0)

  test('of a device ends the leg to its broker, though the device keeps its socket open', async () => {
    await using set = await stage(acceptAll, {}, true)
    const { gate } = set
    await using device = await Device.join(gate.port)
    await device.send(alarm, farewell)
    const visit = await set.broker.visit(0)
    expect(await visit.everything()).toEqual(bytes(connectPacket({ version: 4 }), alarm, farewell))
    // What the broker still has to say is delivered.
    visit.end(alarm)
    expect(await device.everything()).toEqual(bytes(connackPacket(4), alarm))
    device.end()
    await gate.emptied()
    expect(gate.diary.lines('session closed')).toMatchObject([{ reason: 'device-closed' }])
    expect(await gate.metric('rejections_total')).toBe(0)
  })

  test('of a device that comes in pieces ends the leg behind its last byte', async () => {
    await using set = await stage()
    await using device = await Device.join(set.gate.port)
    await device.send(farewell.subarray(0, 1))
    const first = connectPacket({ version: 4 }).length + 1
    await eventually('the first byte', () => set.gate.metrics.bytes[ByteCount.deviceReceived] === first)
    await device.send(farewell.subarray(1))
    const visit = await set.broker.visit(0)
    expect(await visit.everything()).toEqual(bytes(connectPacket({ version: 4 }), farewell))
  })

  test('of a device to a broker that never closes does not keep the session for ever', async () => {
    await using set = await stage(acceptAll, {}, true)
    const { gate } = set
    await using device = await Device.join(gate.port)
    await device.send(farewell)
    await (await set.broker.visit(0)).everything()
    gate.advance(60_000)
    expect(device.ended).toBe(false)
    gate.advance(1)
    await device.everything()
    await gate.emptied()
  })

  test('of a device is followed by nothing: what comes behind it is refused', async () => {
    await using set = await stage(acceptAll, {}, true)
    const { gate } = set
    await using device = await Device.join(gate.port)
    await device.send(farewell)
    const visit = await set.broker.visit(0)
    await visit.everything()
    await device.send(alarm)
    await device.everything()
    expect(visit.received.includes(alarm)).toBe(false)
    expect(await gate.metric('rejections_total', { reason: 'after-disconnect' })).toBe(1)
  })

  test.each<[string, Level, Buffer]>([
    ['a DISCONNECT', 5, bytes(connackPacket(5), packet(0xe0, 0x8b))],
    ['a refusal', 3, connackPacket(3, 5)],
    ['a refusal', 4, connackPacket(4, 5)],
    ['a refusal', 5, connackPacket(5, 0x87)],
  ])(
    'of a broker, %s in version %i, ends the leg to the device, though the broker stays',
    async (_, version, last) => {
      await using set = await stage(
        async (visit) => {
          await visit.until(
            'a whole CONNECT',
            (received) => received.length === connectPacket({ version }).length,
          )
          await visit.send(last)
        },
        {},
        true,
      )
      const { gate } = set
      await using device = await Device.connect(gate.port)
      await device.send(connectPacket({ version }))
      expect(await device.everything()).toEqual(last)
      const visit = await set.broker.visit(0)
      expect(visit.ended).toBe(false)
      device.end()
      await visit.everything()
      visit.end()
      await gate.emptied()
      expect(gate.diary.lines('session closed')).toMatchObject([{ reason: 'broker-closed' }])
      expect(await gate.metric('rejections_total')).toBe(0)
    },
  )
})

describe('a rule that is only reported', () => {
  const unasked = bytes(pingrespPacket, pingrespPacket)

  test('lets the packet pass, is told once a session, and counted each time', async () => {
    await using set = await stage(async (visit) => {
      await acceptAll(visit)
      await visit.send(unasked)
    })
    const { gate } = set
    for (const clientId of ['one', 'two']) {
      await using device = await Device.join(gate.port, { clientId })
      const down = bytes(connackPacket(4), unasked)
      expect(await device.bytes(down.length)).toEqual(down)
    }
    const explanation = 'the broker sent PINGRESP without a PINGREQ to answer'
    expect(gate.diary.lines(explanation)).toMatchObject([
      {
        level: 'info',
        clientId: 'one',
        action: 'forward',
        evidence: { rule: 'pingresp-unasked', offset: 0, direction: 'down' },
      },
      { level: 'info', clientId: 'two' },
    ])
    const labels = { rule: 'pingresp-unasked', direction: 'down', action: 'forward' }
    expect(await gate.metric('rule_hits_total', labels)).toBe(4)
    expect(await gate.metric('findings_total', { detector: 'protocol', action: 'forward' })).toBe(2)
    expect(await gate.metric('rejections_total')).toBe(0)
  })

  test('shows nothing of what the packet says', async () => {
    await using set = await stage(acceptAll, { preset: 'observe' })
    const { gate } = set
    const odd = publishPacket({ version: 4, topic: 'canary/#/\u0001', payload: 'canary' })
    await using device = await Device.join(gate.port)
    await device.send(odd, odd)
    await (await set.broker.visit(0)).holds(bytes(odd, odd))
    expect(gate.diary.all.filter(({ detector }) => detector === 'protocol')).toMatchObject([
      { evidence: { rule: 'topic-wildcard', offset: 4 + 7 } },
      { evidence: { rule: 'utf8-control', offset: 4 + 9 } },
    ])
    expect(JSON.stringify(gate.diary.all)).not.toContain('canary')
    expect(await gate.metric('rule_hits_total', { direction: 'up', action: 'forward' })).toBe(4)
  })

  test('is one that can be: a fixed one ends the session even where everything is only observed', async () => {
    await using set = await stage(acceptAll, {
      preset: 'observe',
      policy: { mode: 'observe', actions: new Map() },
    })
    const { gate } = set
    await using device = await Device.join(gate.port)
    await device.send(packet(0x00))
    await device.everything()
    const labels = { rule: 'reserved-type', direction: 'up', action: 'refuse' }
    expect(await gate.metric('rule_hits_total', labels)).toBe(1)
    expect(gate.diary.lines('session refused')).toMatchObject([{ reason: 'reserved-type' }])
  })
})

describe('a half-closed session', () => {
  test('of a broker that has said all still takes what the device has', async () => {
    await using set = await stage(
      async (visit) => {
        await acceptAll(visit)
        visit.end(alarm)
      },
      {},
      true,
    )
    await using device = await Device.join(set.gate.port)
    expect(await device.everything()).toEqual(bytes(connackPacket(4), alarm))
    const visit = await set.broker.visit(0)
    device.end(alarm)
    expect(await visit.everything()).toEqual(bytes(connectPacket({ version: 4 }), alarm))
    await set.gate.emptied()
    expect(set.gate.diary.lines('session closed')[0]?.['reason']).toBe('broker-closed')
  })
})

describe('draining', () => {
  test.each<[Level, string]>([
    [4, ''],
    [5, 'e0 02 8b 00'],
  ])('tells a device of version %i, and delivers what it still says', async (version, answer) => {
    await using set = await stage()
    await using device = await Device.join(set.gate.port, { version })
    const before = device.received.length
    set.gate.connection.drain()
    set.gate.connection.drain()
    expect((await device.everything()).subarray(before).toString('hex')).toBe(answer.replaceAll(' ', ''))
    const visit = await set.broker.visit(0)
    const reading = publishPacket({ version, topic: 'ward/1/pulse', payload: '72' })
    device.end(reading)
    expect(await visit.everything()).toEqual(bytes(connectPacket({ version }), reading))
    await set.gate.emptied()
    expect(set.gate.diary.lines('session closed')[0]?.['reason']).toBe('draining')
    expect(await set.gate.metric('rejections_total')).toBe(0)
  })

  test.each<[Level, string]>([
    [4, '20 02 00 03'],
    [5, '20 03 00 88 00'],
  ])(
    'refuses a device of version %i whose broker is being dialled, and gives up the dial',
    async (version, answer) => {
      await using mute = await Mute.start()
      await using gate = await Gate.open({ upstream: { ports: [mute.port], ca: pki.ca.cert } })
      await using device = await Device.connect(gate.port)
      await device.send(connectPacket({ version }))
      const dialled = await eventually('a dial', () => mute.seen[0])
      gate.connection.drain()
      expect((await device.everything()).toString('hex')).toBe(answer.replaceAll(' ', ''))
      device.end()
      await gate.emptied()
      await eventually('the end of the dial', () => dialled.destroyed)
      expect(gate.closed).toBe(1)
    },
  )

  test('sends who has not said CONNECT away', async () => {
    await using set = await stage()
    await using device = await Device.connect(set.gate.port)
    await device.send(connectPacket({ version: 5 }).subarray(0, 5))
    await eventually('the session', () => set.gate.metrics.bytes[ByteCount.deviceReceived] === 5)
    set.gate.connection.drain()
    expect(await device.everything()).toHaveLength(0)
    device.end()
    await set.gate.emptied()
    expect(set.broker.knocks).toBe(0)
  })
})

describe('destroying', () => {
  test('a session whose broker is being dialled ends it, and nothing goes to the broker', async () => {
    const hold = gated()
    await using broker = await TestBroker.start({ cert, key })
    await using gate = await Gate.open({ upstream: hold.upstream(broker.port) })
    await using device = await Device.connect(gate.port)
    await device.send(connectPacket({ version: 4 }))
    await hold.asked
    gate.connection.destroy()
    await device.everything()
    await gate.emptied()
    hold.release()
    await hold.settled()
    expect(gate.closed).toBe(1)
    expect(broker.applicationBytes).toBe(0)
    expect(gate.diary.lines('session opened')).toEqual([])
  })

  test('one whose device left during the dial counts it out once', async () => {
    await using mute = await Mute.start()
    await using gate = await Gate.open({ upstream: { ports: [mute.port], ca: pki.ca.cert } })
    await using device = await Device.connect(gate.port)
    await device.send(connectPacket({ version: 4 }))
    const dialled = await eventually('a dial', () => mute.seen[0])
    device.socket.resetAndDestroy()
    await gate.diary.line('connection failed', { leg: 'device' })
    expect(gate.connections.size).toBe(1)
    gate.connection.destroy()
    await gate.emptied()
    await eventually('the end of the dial', () => dialled.destroyed)
    gate.advance(100_000)
    expect(gate.closed).toBe(1)
  })

  test('a session closes both legs', async () => {
    await using set = await stage()
    await using device = await Device.join(set.gate.port)
    const visit = await set.broker.visit(0)
    set.gate.connection.destroy()
    await Promise.all([device.everything(), visit.everything(), set.gate.emptied()])
    expect(set.gate.closed).toBe(1)
  })
})

/** Waits until nothing more goes up although the device has more. */
async function stalled(gate: Gate): Promise<void> {
  let last = -1
  let still = 0
  await eventually('the broker leg full', () => {
    const sent = gate.metrics.bytes[ByteCount.brokerSent]!
    still = sent === last ? still + 1 : 0
    last = sent
    return still === 10
  })
}
