// Reloads of every kind, good and bad, while devices publish: sessions go on, and every message arrives once.

import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { pinOf } from '../../src/tls/pins.ts'
import { Device } from '../help/device.ts'
import { Mosquitto, mosquittoTools, listen } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward, type WardOptions } from '../help/proxy.ts'
import { publishUntil } from '../help/publish-until.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const publishers = 6

describeWith(mosquittoTools, 'under load', () => {
  test('SIGHUP, new options, a broken file, other pins and rotated certificates cost no message', async () => {
    const pki = await makePki()
    const [genuine, shownFirst, shownLater] = [await pki.issue(), await pki.issue(), await pki.issue()]
    await using broker = await Mosquitto.start({ pki, identity: genuine })
    const pin = pinOf(new X509Certificate(genuine.cert))
    const otherPin = pinOf(new X509Certificate(shownFirst.cert))
    const configured = (options: Partial<WardOptions> = {}): object =>
      ward({
        brokers: [broker.port],
        tls: { pins: [pin] },
        listener: {
          accept: ['mqtt', 'mqtts'],
          tls: { certificate: { cert: 'device.pem', key: 'device.key' } },
        },
        more: { reload: { watch: true }, drain: { timeout: '3s' } },
        ...options,
      })
    const files = { 'ca.pem': pki.ca.cert, 'device.pem': shownFirst.chain, 'device.key': shownFirst.key }
    await using proxy = await Proxy.start({ config: configured(), files })
    const reloads = (result: string): Promise<number> =>
      proxy.metric('pulseward_config_reloads_total', { result })
    const reloaded = async (result: 'success' | 'failure', change: () => Promise<unknown>): Promise<void> => {
      const before = await reloads(result)
      await change()
      await proxy.waitForMetric('pulseward_config_reloads_total', { result }, (value) => value > before)
    }

    await using subscriber = listen({ port: proxy.port, topic: 'load/#', qos: 1 })
    const acknowledged = { direction: 'down', type: 'suback' }
    await proxy.waitForMetric('pulseward_mqtt_packets_total', acknowledged, 1)
    await using stack = new AsyncDisposableStack()
    const devices = await Promise.all(
      Array.from({ length: publishers }, async (_, index) => {
        const overTls = index % 2 === 1
        const device = stack.use(
          overTls
            ? await Device.connectTls(proxy.port, { ca: pki.ca.cert })
            : await Device.connect(proxy.port),
        )
        await device.hello({ clientId: `pump-${index}` })
        return device
      }),
    )
    let stopping = false
    const loads = devices.map(async (device, index) => await publishUntil(device, index, () => stopping))
    // Where one fails, the step that waits for it says so.
    for (const load of loads) load.catch(() => {})
    const busy = (device: Device): Promise<unknown> => {
      const before = device.received.length
      return device.until('more acknowledgements', (received) => received.length > before + 40)
    }
    await Promise.all(devices.map(busy))

    for (let round = 0; round < 3; round++) {
      await reloaded('success', async () => proxy.signal('SIGHUP'))
      await Promise.all(devices.map(busy))
    }

    await reloaded('success', () => proxy.rewrite(configured({ limits: { connections: 99 } })))
    expect(await proxy.metric('pulseward_connections_limit', { listener: 'ward' })).toBe(99)
    await proxy.line('configuration reloaded', { why: 'file changed' })
    await Promise.all(devices.map(busy))

    const broken = JSON.stringify(configured(), undefined, 2).replace('"127.0.0.1:0"', '"nowhere"')
    await reloaded('failure', () => proxy.rewrite(broken))
    const complaint = await proxy.line('configuration not reloaded; the one before stays in force')
    expect(String(complaint['diagnostics'])).toMatch(/proxy\.yaml:\d+:\d+ listeners\[0\]\.bind: /)
    expect(await proxy.metric('pulseward_config_last_reload_success')).toBe(0)
    expect(await proxy.metric('pulseward_connections_limit', { listener: 'ward' })).toBe(99)
    await (await Device.join(proxy.port, { clientId: 'meanwhile' }))[Symbol.asyncDispose]()
    await Promise.all(devices.map(busy))

    await reloaded('success', () => proxy.rewrite(configured({ tls: { pins: [otherPin] } })))
    {
      await using refused = await Device.connect(proxy.port)
      await refused.send(connectPacket({ version: 4 }))
      expect((await refused.everything()).toString('hex')).toBe('20020003')
    }
    await Promise.all(devices.map(busy))

    await reloaded('success', () => proxy.rewrite(configured()))
    expect(await proxy.metric('pulseward_config_last_reload_success')).toBe(1)
    await (await Device.join(proxy.port, { clientId: 'after' }))[Symbol.asyncDispose]()

    const shown = async (): Promise<string | undefined> => {
      await using device = await Device.connectTls(proxy.port, { ca: pki.ca.cert })
      return device.socket.getPeerX509Certificate()?.fingerprint256
    }
    expect(await shown()).toBe(new X509Certificate(shownFirst.cert).fingerprint256)
    // Key and certificate never fit each other between the two writes; the old pair stays until they do.
    await proxy.folder.write('device.key', shownLater.key)
    await proxy.folder.write('device.pem', shownLater.chain)
    const later = new X509Certificate(shownLater.cert).fingerprint256
    await eventually('the new certificate', async () => (await shown()) === later)
    await Promise.all(devices.map(busy))

    stopping = true
    const published = (await Promise.all(loads)).flat()
    expect(devices.map(({ ended }) => ended)).not.toContain(true)
    await eventually(
      () => `${published.length} messages`,
      () => subscriber.stdout.toString().split('\n').length > published.length,
    )
    const heard = subscriber.stdout.toString().trimEnd().split('\n')
    expect(heard.toSorted()).toEqual(published.toSorted())
    expect(await proxy.metric('pulseward_device_sessions')).toBe(publishers + 1)
  }, 60_000)
})
