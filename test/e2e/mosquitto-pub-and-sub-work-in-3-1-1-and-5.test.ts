// What stock clients and a stock broker do with each other they do through Pulseward as well, byte for byte.

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Child } from '../help/child.ts'
import { Device } from '../help/device.ts'
import {
  Mosquitto,
  mosquittoTools,
  publish,
  subscribe,
  type ClientOptions,
  type Version,
} from '../help/mosquitto.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'

const versions: readonly Version[] = ['31', '311', '5']

describeWith(mosquittoTools, 'through Pulseward', () => {
  const stack = new AsyncDisposableStack()
  let proxy: Proxy
  let broker: Mosquitto
  let topics = 0

  beforeAll(async () => {
    const pki = await makePki()
    broker = stack.use(await Mosquitto.start({ pki }))
    const legacy = { name: 'legacy', bind: '127.0.0.1:0', upstream: 'hospital', tls: { minVersion: 'TLSv1' } }
    const config = ward({ brokers: [broker.port], listener: { accept: ['mqtt', 'mqtts'] } }) as {
      listeners: object[]
    }
    config.listeners.push(legacy)
    proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } }))
  })
  afterAll(async () => await stack.disposeAsync())

  const fresh = (): string => `ward/${topics++}`

  /** A subscriber whose subscription the broker has acknowledged. */
  async function subscribed(
    options: Omit<ClientOptions, 'port'> & { count?: number; port?: number },
  ): Promise<Child> {
    const labels = { direction: 'down', type: 'suback' }
    const before = await proxy.metric('pulseward_mqtt_packets_total', labels)
    const child = subscribe({ count: 1, port: proxy.port, ...options })
    await proxy.waitForMetric('pulseward_mqtt_packets_total', labels, (value) => value > before)
    return child
  }

  describe.each(versions)('MQTT %s', (version) => {
    test.each([0, 1, 2] as const)('delivers a message at QoS %d', async (qos) => {
      const topic = fresh()
      await using subscriber = await subscribed({ version, topic, qos })
      await publish({ port: proxy.port, version, topic, qos, message: `72 bpm at ${qos}` }).succeeds()
      expect((await subscriber.succeeds()).toString()).toBe(`72 bpm at ${qos}`)
    })

    test('delivers a retained message to who comes later', async () => {
      const topic = fresh()
      await publish({ port: proxy.port, version, topic, qos: 1, message: 'kept', more: ['-r'] }).succeeds()
      await using subscriber = subscribe({ port: proxy.port, version, topic, count: 1 })
      expect((await subscriber.succeeds()).toString()).toBe('kept')
    })

    test('delivers the will of a client that dies', async () => {
      const [topic, will] = [fresh(), fresh()]
      await using heir = await subscribed({ version, topic: will, qos: 1 })
      const more = ['--will-topic', will, '--will-payload', 'asystole', '--will-qos', '1']
      await using dying = await subscribed({ version, topic, more })
      await dying.kill('SIGKILL')
      expect((await heir.succeeds()).toString()).toBe('asystole')
    })

    test('carries 1 MiB up and down without changing a byte', async () => {
      const topic = fresh()
      const message = randomBytes(1 << 20)
      await using subscriber = await subscribed({ version, topic, qos: 1 })
      await publish({ port: proxy.port, version, topic, qos: 1, message }).succeeds()
      expect((await subscriber.succeeds()).equals(message)).toBe(true)
    })

    test('keeps a session for a client that comes back', async () => {
      const topic = fresh()
      const same = { port: proxy.port, version, topic, qos: 1 } as const
      const more = ['-i', `pump-${version}`, '-c']
      await subscribe({ ...same, count: 1, more: [...more, '-E'] }).succeeds()
      await publish({ ...same, message: 'while you were out' }).succeeds()
      await using back = subscribe({ ...same, count: 1, more })
      expect((await back.succeeds()).toString()).toBe('while you were out')
    })
  })

  describe.each(['TLSv1.2', 'TLSv1.3'])('%s on the side of the device', (tls) => {
    test.each(['311', '5'] as const)('carries MQTT %s', async (version) => {
      const topic = fresh()
      const more = ['--cafile', proxy.deviceCa]
      // The clients have an option for the oldest version only; OpenSSL's configuration has one for the newest.
      const env = { OPENSSL_CONF: await proxy.folder.write(`${tls}.cnf`, newest(tls)) }
      const counted = { leg: 'device', version: tls }
      const before = await proxy.metric('pulseward_tls_handshakes_total', counted)
      await using subscriber = await subscribed({ version, topic, qos: 2, more, env })
      await publish({ port: proxy.port, version, topic, qos: 2, message: 'sealed', more, env }).succeeds()
      expect((await subscriber.succeeds()).toString()).toBe('sealed')
      expect(await proxy.metric('pulseward_tls_handshakes_total', counted)).toBe(before + 2)
    })
  })

  test.each([
    ['RSA', 'rsa'],
    ['ECDSA', 'ec'],
  ])('a device that knows only %s gets a certificate of that kind', async (name, type) => {
    const ca = await readFile(proxy.deviceCa, 'utf8')
    const ciphers = `ECDHE-${name}-AES128-GCM-SHA256`
    await using device = await Device.connectTls(proxy.port, { ca, ciphers, maxVersion: 'TLSv1.2' })
    expect(device.socket.authorized).toBe(true)
    expect(device.socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType).toBe(type)
    await device.hello({ clientId: `only-${type}` })
  })

  describe.each(['TLSv1', 'TLSv1.1'] as const)('%s', (version) => {
    const old = { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' } as const

    test('is refused unless the listener admits it', async () => {
      const failed = { leg: 'device', result: 'failed' }
      const before = await proxy.metric('pulseward_tls_handshakes_total', failed)
      await expect(
        Device.connectTls(proxy.port, { ...old, rejectUnauthorized: false }),
      ).rejects.toMatchObject({
        code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
      })
      await proxy.waitForMetric('pulseward_tls_handshakes_total', failed, before + 1)
      const line = await proxy.line('connection refused', { reason: 'tls-handshake-failed' })
      expect(line['ja4']).toMatch(/^t1[01]/)
    })

    test('is admitted where the listener says so, and counted', async () => {
      const ca = await readFile(proxy.deviceCa, 'utf8')
      await using device = await Device.connectTls(proxy.portOf('legacy'), { ...old, ca })
      expect(device.socket.getProtocol()).toBe(version)
      await device.hello({ version: 3, clientId: `old-${version}` })
      const counted = { leg: 'device', version, result: 'full' }
      expect(await proxy.metric('pulseward_tls_handshakes_total', counted)).toBe(1)
    })
  })

  test('200 clients are served at once', async () => {
    const topic = fresh()
    const before = await proxy.metric('pulseward_mqtt_packets_total', { direction: 'down', type: 'suback' })
    await using clients = new AsyncDisposableStack()
    const all = Array.from({ length: 200 }, (_, index) => {
      const version = versions[index % 3] ?? '311'
      return clients.use(subscribe({ port: proxy.port, version, topic, qos: 1, count: 1 }))
    })
    const acknowledged = { direction: 'down', type: 'suback' }
    await proxy.waitForMetric('pulseward_mqtt_packets_total', acknowledged, before + 200)
    expect(await proxy.metric('pulseward_device_sessions', { listener: 'ward', transport: 'plain' })).toBe(
      200,
    )
    await publish({ port: proxy.port, topic, qos: 1, message: 'everybody' }).succeeds()
    const heard = await Promise.all(all.map(async (client) => (await client.succeeds()).toString()))
    expect(new Set(heard)).toEqual(new Set(['everybody']))
    await proxy.waitForMetric('pulseward_device_sessions', {}, 0)
  })

  test('every leg to the broker was TLS 1.3, resumed where it could be', async () => {
    const metrics = await proxy.metrics()
    const legs = metrics.series('pulseward_tls_handshakes_total', { leg: 'broker' })
    expect(new Set(legs.map(({ labels }) => labels['version']))).toEqual(new Set(['TLSv1.3']))
    const resumed = { leg: 'broker', result: 'resumed' }
    expect(metrics.value('pulseward_tls_handshakes_total', resumed)).toBeGreaterThan(0)
  })
})

function newest(tls: string): string {
  return `openssl_conf = all\n[all]\nssl_conf = tls\n[tls]\nsystem_default = both\n[both]\nMaxProtocol = ${tls}\n`
}
