// Whoever answers in the broker's place learns nothing: not one byte of MQTT, in any of the ways it may be tried.

import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

type Served = Awaited<ReturnType<Pki['issue']>>

interface Fraud {
  readonly what: string
  readonly verdict: string
  readonly cause: string
  readonly tls: () => BrokerOptions | Promise<BrokerOptions>
  /** Fields of upstreams.hospital.tls. */
  readonly asked?: Readonly<Record<string, unknown>>
  /** The handshake itself fails, so that no certificate is seen. */
  readonly unseen?: boolean
}

let pki: Pki
let genuine: Served
beforeAll(async () => {
  pki = await makePki()
  genuine = await pki.issue()
})

const shown = ({ chain, key }: Served): BrokerOptions => ({ cert: chain, key })
const pin = (pem: string): string => pinOf(new X509Certificate(pem))

const frauds: readonly Fraud[] = [
  {
    what: 'of the right CA and name with another key',
    verdict: 'likely-rotation',
    cause: 'pin-mismatch',
    tls: async () => shown(await pki.issue()),
  },
  {
    what: 'of another CA with the same name, name and all',
    verdict: 'likely-mitm',
    cause: 'untrusted-chain',
    tls: async () => shown(await pki.issue({ ca: await pki.rogue() })),
  },
  {
    what: 'with an expired certificate on the pinned key',
    verdict: 'expired',
    cause: 'expired',
    tls: async () => shown(await pki.issue({ expired: true, key: { keep: genuine.key } })),
  },
  {
    what: 'with the pinned key under another name',
    verdict: 'likely-mitm',
    cause: 'name-mismatch',
    tls: async () => shown(await pki.issue({ names: ['elsewhere.example'], key: { keep: genuine.key } })),
  },
  {
    what: 'with a self-signed certificate',
    verdict: 'likely-mitm',
    cause: 'self-signed',
    tls: async () => shown(await pki.issue({ selfSigned: true })),
  },
  {
    what: 'that appends the genuine certificate to its own',
    verdict: 'likely-mitm',
    cause: 'copied-certificate',
    tls: async () => {
      const stolen = await pki.issue()
      return { cert: stolen.chain + genuine.chain, key: stolen.key }
    },
  },
  {
    what: 'that speaks TLS 1.2 only',
    verdict: 'downgraded',
    cause: 'downgraded',
    tls: () => ({ ...shown(genuine), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }),
    unseen: true,
  },
  {
    what: 'without the post-quantum key exchange that is required',
    verdict: 'downgraded',
    cause: 'group-refused',
    tls: () => ({ ...shown(genuine), ecdhCurve: 'X25519' }),
    asked: { postQuantum: 'require' },
    unseen: true,
  },
]

describe.each(frauds.map((fraud) => [fraud.what, fraud] as const))('a broker %s', (_, fraud) => {
  const { verdict, cause, tls, asked, unseen = false } = fraud
  const stack = new AsyncDisposableStack()
  let rogue: TestBroker
  let proxy: Proxy
  beforeAll(async () => {
    rogue = stack.use(await TestBroker.start(await tls()))
    // Not left alone at all, so that every device brings it another chance.
    const timeouts = { distrust: '0s' }
    const pins = [pin(genuine.cert)]
    const config = ward({ brokers: [rogue.port], tls: { pins, ...asked }, timeouts })
    proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } }))
  })
  afterAll(async () => await stack.disposeAsync())

  test('gets no byte, and every device is told in its own version', async () => {
    const labels = { upstream: 'hospital', verdict, cause }
    await proxy.waitForMetric('pulseward_upstream_verify_failures_total', labels, (value) => value > 0)
    const answers = { 3: '20020003', 4: '20020003', 5: '2003008800' }
    for (const version of [3, 4, 5] as const) {
      const knocks = rogue.knocks
      await using device = await Device.connect(proxy.port)
      await device.send(connectPacket({ version, clientId: 'pump-7' }))
      expect((await device.everything()).toString('hex')).toBe(answers[version])
      expect(rogue.knocks).toBeGreaterThan(knocks)
    }
    // Some saw the handshake end, some a connection that was gone before its last flight.
    await eventually('the handshakes', () => rogue.visits.length + rogue.failures.length >= rogue.knocks)
    for (const visit of rogue.visits) await visit.untilClosed()
    expect(rogue.applicationBytes).toBe(0)
  })

  test('is counted, logged with its pins, and not ready', async () => {
    const metrics = await proxy.metrics()
    const failures = metrics.series('pulseward_upstream_verify_failures_total')
    expect(failures.map(({ labels }) => labels)).toEqual([{ upstream: 'hospital', verdict, cause }])
    expect(metrics.value('pulseward_upstream_trusted')).toBe(0)
    expect((await proxy.readiness()).status).toBe(503)
    const line = await proxy.line('broker not trusted; nothing was sent to it', { verdict })
    expect(line['causes']).toContain(cause)
    expect(line['hint']).toBeTypeOf('string')
    if (unseen) return
    expect(line['served']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ position: 0, pin: expect.stringMatching(/^sha256\//) }),
      ]),
    )
  })
})

test.each([
  ['MQTT', Buffer.from('20020000d000d000', 'hex')],
  ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
])('a broker that answers in plain %s hears a ClientHello and nothing of the device', async (_, answer) => {
  await using rogue = await TestBroker.startPlain(answer)
  const config = ward({ brokers: [rogue.port], timeouts: { distrust: '0s' } })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await using device = await Device.connect(proxy.port)
  await device.send(connectPacket({ version: 5, clientId: 'pump-7' }))
  expect((await device.everything()).toString('hex')).toBe('2003008800')
  const heard = Buffer.concat(rogue.heard)
  expect(heard.subarray(0, 2)).toEqual(Buffer.from([0x16, 0x03]))
  expect(heard.includes('pump-7')).toBe(false)
  expect(heard.includes('MQTT')).toBe(false)
  const labels = { verdict: 'downgraded', cause: 'not-tls' }
  expect(await proxy.metric('pulseward_upstream_verify_failures_total', labels)).toBeGreaterThan(0)
})

test('a broker that comes back with a new key of the same CA and name is refused until its pin is known', async () => {
  const files = { 'ca.pem': pki.ca.cert }
  const rotated = await pki.issue()
  const before = await TestBroker.start(shown(genuine))
  const configured = (...certificates: readonly string[]): object =>
    ward({ brokers: [before.port], tls: { pins: certificates.map(pin) } })
  await using proxy = await Proxy.start({ config: configured(genuine.cert), files })
  {
    await using device = await Device.join(proxy.port)
    expect(device.ended).toBe(false)
  }
  await before[Symbol.asyncDispose]()
  await using after = await TestBroker.start({ ...shown(rotated), port: before.port })
  // The ticket of the broker that went must not open the door to the one that came.
  await using refused = await Device.connect(proxy.port)
  await refused.send(connectPacket({ version: 4 }))
  expect((await refused.everything()).toString('hex')).toBe('20020003')
  const line = await proxy.line('broker not trusted; nothing was sent to it', { verdict: 'likely-rotation' })
  expect(line['served']).toEqual([expect.objectContaining({ pin: pin(rotated.cert), position: 0 })])
  expect(after.applicationBytes).toBe(0)

  await proxy.rewrite(configured(genuine.cert, rotated.cert))
  expect((await proxy.reload()).msg).toBe('configuration reloaded')
  await using welcome = await Device.join(proxy.port, { clientId: 'welcome' })
  expect(welcome.ended).toBe(false)
  expect((await after.visitOf('welcome')).received.length).toBeGreaterThan(0)
})

test('a server that failed is left alone for a while, and the next of the list serves', async () => {
  await using rogue = await TestBroker.start(shown(await pki.issue()))
  await using second = await TestBroker.start(shown(genuine))
  const config = ward({
    brokers: [rogue.port, second.port],
    tls: { pins: [pin(genuine.cert)] },
    timeouts: { distrust: '1h' },
  })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await proxy.waitForReady(200)
  const knocks = rogue.knocks
  expect(knocks).toBe(1)
  for (const clientId of ['one', 'two', 'three']) {
    await using device = await Device.join(proxy.port, { clientId })
    expect(device.ended).toBe(false)
    await second.visitOf(clientId)
  }
  expect(rogue.knocks).toBe(knocks)
  expect(rogue.applicationBytes).toBe(0)
  const trusted = (port: number): Promise<number> =>
    proxy.metric('pulseward_upstream_trusted', { server: `127.0.0.1:${port}` })
  expect([await trusted(rogue.port), await trusted(second.port)]).toEqual([0, 1])
})

test('only distrusted servers: devices are told at once, nobody is asked again', async () => {
  await using rogue = await TestBroker.start(shown(await pki.issue()))
  const config = ward({
    brokers: [rogue.port],
    tls: { pins: [pin(genuine.cert)] },
    timeouts: { distrust: '1h' },
  })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await proxy.waitForMetric('pulseward_upstream_verify_failures_total', {}, 1)
  for (const version of [4, 5] as const) {
    await using device = await Device.connect(proxy.port)
    await device.send(connectPacket({ version }))
    expect((await device.everything()).length).toBeGreaterThan(0)
  }
  expect(rogue.knocks).toBe(1)
  expect(await proxy.metric('pulseward_rejections_total', { reason: 'upstream-untrusted' })).toBe(2)
})

test('a broker that asks for a certificate is shown the one of proxy.yaml', async () => {
  const client = await pki.issue({ names: ['pulseward.ward.example'] })
  await using broker = await TestBroker.start({
    ...shown(genuine),
    ca: pki.ca.cert,
    requestCert: true,
    rejectUnauthorized: false,
  })
  const clientCertificate = { cert: 'client.pem', key: 'client.key' }
  const config = ward({ brokers: [broker.port], tls: { clientCertificate } })
  const files = { 'ca.pem': pki.ca.cert, 'client.pem': client.cert, 'client.key': client.key }
  await using proxy = await Proxy.start({ config, files })
  await using device = await Device.join(proxy.port, { clientId: 'pump-7' })
  expect(device.ended).toBe(false)
  const { socket } = await broker.visitOf('pump-7')
  const seen = socket.getPeerX509Certificate()
  expect(seen?.fingerprint256).toBe(new X509Certificate(client.cert).fingerprint256)
})
