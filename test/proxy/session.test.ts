// One device and its broker: every way a session ends, in both orders, and what is told, counted and left behind.

import { constants } from 'node:crypto'
import { connect as connectPlain } from 'node:net'
import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Detector } from '../../src/detect/detector.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import { ByteCount } from '../../src/observe/samples.ts'
import { Upstream, type Connected } from '../../src/proxy/upstream.ts'
import { deviceContext } from '../../src/tls/contexts.ts'
import { acceptAll, connectVersion, TestBroker, type Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Gate, upstreamPlan, type GateOptions } from '../help/gate.ts'
import { makePki, type Pki } from '../help/pki.ts'
import {
  bytes,
  connackPacket,
  connectPacket,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  uint16,
  varint,
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
  class Gated extends Upstream {
    override async connect(signal: AbortSignal): Promise<Connected> {
      asked.resolve()
      await released.promise
      return await super.connect(signal)
    }
  }
  return {
    asked: asked.promise,
    release: () => released.resolve(),
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

void [constants, eventually, subscribePacket, varint, connectVersion]
export type { Detector }
