// One and a half times the keep alive and five seconds: who is silent for longer is told and closed, who pings stays.

import { expect, test } from 'vitest'
import { connectVersion } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connackPacket, pingreqPacket, pingrespPacket } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'

test('the device asks for one second, or the broker imposes it', async () => {
  const serverKeepAlive = Buffer.from([0x13, 0, 1])
  await using stage = await setStage({
    broker: {
      serve: async (visit) => {
        const version = await connectVersion(visit)
        const imposed = visit.received.includes('imposed')
        await visit.send(connackPacket(version, 0, imposed ? { properties: serverKeepAlive } : {}))
        for (let pings = 1; ; pings++) {
          await visit.until(
            'a ping',
            (received) => received.toString('latin1').split('\xc0\0').length > pings + 1,
          )
          await visit.send(pingrespPacket)
        }
      },
    },
  })
  const { proxy } = stage
  await using old = await Device.join(proxy.port, { version: 4, clientId: 'old', keepAlive: 1 })
  await using young = await Device.join(proxy.port, { version: 5, clientId: 'young', keepAlive: 1 })
  await using imposed = await Device.join(proxy.port, { version: 5, clientId: 'imposed', keepAlive: 600 })
  await using patient = await Device.join(proxy.port, { version: 5, clientId: 'patient', keepAlive: 600 })
  await using lively = await Device.join(proxy.port, { version: 4, clientId: 'lively', keepAlive: 1 })
  const pings = setInterval(() => void lively.send(pingreqPacket).catch(() => {}), 1000)
  try {
    const began = performance.now()
    expect((await old.everything()).toString('hex')).toBe('20020000')
    expect(performance.now() - began).toBeGreaterThan(5000)
    expect((await young.everything()).toString('hex')).toBe('2003000000e0028d00')
    expect((await imposed.everything()).toString('hex')).toBe('2006000003130001e0028d00')
  } finally {
    clearInterval(pings)
  }
  expect([patient.ended, lively.ended]).toEqual([false, false])
  expect(await proxy.metric('pulseward_keepalive_expired_total')).toBe(3)
  const labels = { listener: 'ward', reason: 'keep-alive-expired' }
  expect(await proxy.metric('pulseward_rejections_total', labels)).toBe(3)
  await proxy.line('session closed', { clientId: 'old', reason: 'keep-alive-expired' })
})
