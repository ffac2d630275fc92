// A broker that dies takes its sessions with it; Pulseward says so, turns devices away properly, and finds it again.

import { expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { Mosquitto, mosquittoTools, publish, subscribe } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'

describeWith(mosquittoTools, 'a broker', () => {
  test('killed: devices are let go, newcomers told, readiness lost; back: everything works again', async () => {
    const pki = await makePki()
    const identity = await pki.issue()
    await using broker = await Mosquitto.start({ pki, identity })
    const config = ward({ brokers: [broker.port] })
    await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
    await proxy.waitForReady(200)
    await using old = await Device.join(proxy.port, { version: 4, clientId: 'old' })
    await using young = await Device.join(proxy.port, { version: 5, clientId: 'young' })

    await broker.kill('SIGKILL')
    await old.everything()
    await young.everything()
    await old[Symbol.asyncDispose]()
    await young[Symbol.asyncDispose]()
    await proxy.waitForMetric('pulseward_device_sessions', {}, 0)
    // No device has come since: Pulseward looked for itself.
    await proxy.waitForReady(503)

    for (const [version, answer] of [
      [4, '20020003'],
      [5, '2003008800'],
    ] as const) {
      await using turned = await Device.connect(proxy.port)
      await turned.send(connectPacket({ version }))
      expect((await turned.everything()).toString('hex')).toBe(answer)
    }
    const metrics = await proxy.metrics()
    const refused = { upstream: 'hospital', reason: 'refused' }
    expect(metrics.value('pulseward_upstream_dial_failures_total', refused)).toBeGreaterThan(0)
    expect(metrics.value('pulseward_upstream_trusted')).toBe(0)

    await using back = await Mosquitto.start({ pki, identity, port: broker.port })
    await proxy.waitForReady(200)
    await using subscriber = subscribe({ port: proxy.port, topic: 'back', qos: 1, count: 1 })
    await publish({ port: proxy.port, topic: 'back', qos: 1, message: 'alive', more: ['-r'] }).succeeds()
    expect((await subscriber.succeeds()).toString()).toBe('alive')
    expect(back.log).toContain('running')
  }, 60_000)
})
