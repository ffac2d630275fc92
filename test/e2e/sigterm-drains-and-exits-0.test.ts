// Asked to stop, Pulseward takes nobody new, tells who is there, lets last readings through, and goes in bounded time.

import { expect, test } from 'vitest'
import { connectVersion } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connackPacket, connectPacket, packet, publishPacket } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'

test('readiness goes, newcomers are refused, devices are told and heard out', async () => {
  await using stage = await setStage({ more: { drain: { timeout: '1h' } } })
  const { proxy, broker } = stage
  await using old = await Device.join(proxy.port, { version: 4, clientId: 'old' })
  await using young = await Device.join(proxy.port, { version: 5, clientId: 'young' })
  await using undecided = await Device.connect(proxy.port)
  await undecided.send(connectPacket({ version: 5 }).subarray(0, 5))
  await proxy.waitForMetric('pulseward_connections', {}, 3)

  proxy.signal('SIGTERM')
  expect((await young.everything()).toString('hex')).toBe('2003000000e0028b00')
  expect((await old.everything()).toString('hex')).toBe('20020000')
  await undecided.everything()
  const { status, body } = await proxy.readiness()
  expect([status, (body as { draining: boolean }).draining]).toEqual([503, true])
  await expect(Device.connect(proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })

  for (const [device, version, clientId] of [
    [old, 4, 'old'],
    [young, 5, 'young'],
  ] as const) {
    const last = publishPacket({ version, topic: 'pulse', payload: `last of ${clientId}` })
    device.end(last, packet(0xe0))
    const visit = await broker.visitOf(clientId)
    const hello = connectPacket({ version, clientId })
    expect((await visit.everything()).equals(Buffer.concat([hello, last, packet(0xe0)]))).toBe(true)
  }
  await undecided[Symbol.asyncDispose]()
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect(proxy.lines('stopped').length).toBe(1)
})

test('a packet that is half delivered is not cut by ours', async () => {
  const reply = publishPacket({ version: 5, topic: 'command', payload: Buffer.alloc(1000, 9) })
  await using stage = await setStage({
    broker: {
      serve: async (visit) => {
        const version = await connectVersion(visit)
        await visit.send(connackPacket(version), reply.subarray(0, 500))
      },
    },
  })
  const { proxy } = stage
  await using device = await Device.join(proxy.port, { version: 5 })
  await device.bytes(5 + 500)
  proxy.signal('SIGTERM')
  const heard = await device.everything()
  expect(heard.equals(Buffer.concat([connackPacket(5), reply.subarray(0, 500)]))).toBe(true)
  await device[Symbol.asyncDispose]()
  expect((await proxy.ended).code).toBe(0)
})

test('who does not go is closed when the time is up', async () => {
  await using stage = await setStage({ more: { drain: { timeout: '500ms' } } })
  const { proxy } = stage
  await using device = await Device.join(proxy.port)
  expect(await proxy.stop()).toBe(0)
  expect((await device.everything()).toString('hex')).toBe('20020000')
  expect(proxy.lines('closed before they had ended')).toMatchObject([{ connections: 1 }])
})

test.each([
  ['SIGTERM', 'SIGINT'],
  ['SIGINT', 'SIGTERM'],
] as const)('%s and then %s end it at once', async (first, second) => {
  await using stage = await setStage({ more: { drain: { timeout: '1h' } } })
  const { proxy } = stage
  await using device = await Device.join(proxy.port)
  proxy.signal(first)
  await device.everything()
  await proxy.line('draining')
  expect(await proxy.stop(second)).toBe(0)
  expect(proxy.lines('stopping at once').length).toBe(1)
})

test('one signal told twice, as a group and its launcher tell it, is one wish', async () => {
  await using stage = await setStage({ more: { drain: { timeout: '500ms' } } })
  const { proxy } = stage
  await using device = await Device.join(proxy.port)
  proxy.signal('SIGTERM')
  expect(await proxy.stop('SIGTERM')).toBe(0)
  expect(device.ended).toBe(true)
  expect(proxy.lines('stopping at once')).toEqual([])
})
