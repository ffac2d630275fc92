// Nobody connects, and still it is known: which address of a broker is a rogue, and when a certificate runs out.

import { X509Certificate } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { mint } from '../../src/tls/mint.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Premises } from '../help/premises.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

const name = 'broker.ward.example'
const notTrusted = 'broker not trusted; nothing was sent to it'
const split = 'an address of a broker is not trusted while others are'

let pki: Pki
let genuine: BrokerOptions
let rogue: BrokerOptions
beforeAll(async () => {
  pki = await makePki()
  const served = await pki.issue({ names: [name, '127.0.0.1', '127.0.0.2'] })
  genuine = { cert: served.chain, key: served.key }
  const forged = await pki.issue({ names: [name, '127.0.0.1', '127.0.0.2'], ca: await pki.rogue() })
  rogue = { cert: forged.chain, key: forged.key }
})

/** An upstream whose servers are these, with a canary. */
function watched(servers: readonly string[], canary: object, more: object = {}): object {
  const config = ward({ brokers: [], ...more }) as { upstreams: { hospital: object } }
  return { ...config, upstreams: { hospital: { ...config.upstreams.hospital, servers, canary } } }
}

test('a rogue at one of two addresses of a name is found at start; sessions reach the broker', async () => {
  await using one = await TestBroker.start(genuine)
  await using two = await TestBroker.start({ ...rogue, host: '127.0.0.2', port: one.port })
  await using site = await Premises.prepare(pki)
  await site.folder.write(
    'proxy.yaml',
    // Sessions have the system resolve names, which knows no such broker: they go to the name of loopback.
    JSON.stringify(
      watched([`mqtts://localhost:${one.port}`], { interval: 'off' }, { tls: { serverName: name } }),
    ),
  )
  await site.start({ lookup: async () => ['127.0.0.1', '127.0.0.2'] })
  await eventually('readiness', async () => (await site.readiness()) === 200)
  await eventually('the finding', () => site.diary.lines(split).length > 0)
  const { body } = await site.readyz()
  const [server] = body.upstreams['hospital']?.servers ?? []
  expect(server).toMatchObject({
    server: `localhost:${one.port}`,
    verdict: 'mixed',
    addresses: [
      { address: '127.0.0.1', verdict: 'trusted', reasons: [], lastCheck: expect.stringContaining('T') },
      { address: '127.0.0.2', verdict: 'likely-mitm', reasons: [expect.any(String)] },
    ],
  })
  expect(site.diary.lines(notTrusted)).toMatchObject([{ level: 'error', address: '127.0.0.2' }])
  expect(await site.metric('upstream_address_trusted', { address: '127.0.0.2' })).toBe(0)
  await using device = await Device.join(site.port(), { clientId: 'pump-7' })
  expect(device.ended).toBe(false)
  await one.visitOf('pump-7')
  // What is known outlives a reload that leaves trust alone.
  const knocks = two.knocks
  await site.app.reload('a test')
  expect((await site.readyz()).body.upstreams['hospital']?.servers[0]).toMatchObject({ verdict: 'mixed' })
  expect(two.knocks).toBe(knocks)
  expect(two.applicationBytes).toBe(0)
})

test('a rogue that takes the place of the second server is found by the interval', async () => {
  await using one = await TestBroker.start(genuine)
  const two = await TestBroker.start({ ...genuine, host: '127.0.0.2', port: one.port })
  const servers = [`mqtts://127.0.0.1:${one.port}`, `mqtts://127.0.0.2:${one.port}`]
  const config = watched(servers, { interval: '1s' })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await proxy.waitForReady(200)
  const labels = { address: '127.0.0.2', server: `127.0.0.2:${one.port}` }
  expect(await proxy.waitForMetric('pulseward_upstream_address_trusted', labels, 1)).toBe(1)
  await two[Symbol.asyncDispose]()
  await using wrong = await TestBroker.start({ ...rogue, host: '127.0.0.2', port: one.port })
  expect(await proxy.line(notTrusted, { address: '127.0.0.2' })).toMatchObject({ verdict: 'likely-mitm' })
  await proxy.waitForMetric('pulseward_upstream_address_trusted', labels, 0)
  // The first server is trusted all the while, and asked again and again.
  const last = 'pulseward_upstream_address_last_check_timestamp_seconds'
  const before = await proxy.metric(last, { address: '127.0.0.1' })
  await proxy.waitForMetric(last, { address: '127.0.0.1' }, (value) => value > before)
  expect(proxy.lines(notTrusted)).toHaveLength(1)
  expect(proxy.lines('broker trusted', { address: '127.0.0.1' })).toHaveLength(1)
  expect(one.applicationBytes + wrong.applicationBytes).toBe(0)
})

test('a certificate that runs out is noticed by the interval, and readiness with it', async () => {
  const notAfter = Math.floor(Date.now() / 1000) * 1000 + 6000
  const short = await mint({
    commonName: name,
    names: ['127.0.0.1'],
    key: 'ec',
    notBefore: Date.now() - 3_600_000,
    notAfter,
    issuer: pki.ca,
  })
  await using broker = await TestBroker.start({ cert: short.cert, key: short.key })
  const tls = { pins: [pinOf(new X509Certificate(short.cert)), pinOf(new X509Certificate(pki.ca.cert))] }
  const config = watched([`mqtts://127.0.0.1:${broker.port}`], { interval: '1s' }, { tls })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await proxy.line('broker trusted')
  const line = await proxy.line(notTrusted, { verdict: 'expired' })
  expect(line).toMatchObject({ address: '127.0.0.1', causes: ['expired'] })
  expect(Date.now()).toBeGreaterThan(notAfter)
  await proxy.waitForReady(503)
  expect(broker.applicationBytes).toBe(0)
})

test('readiness waits until every server was looked at once', async () => {
  await using broker = await TestBroker.start(genuine)
  await using mute = await Mute.start()
  const servers = [`mqtts://127.0.0.1:${broker.port}`, `mqtts://127.0.0.1:${mute.port}`]
  const config = watched(servers, { interval: 'off' }, { timeouts: { handshake: '2s' } })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await proxy.line('broker trusted')
  expect(await proxy.readiness()).toMatchObject({
    status: 503,
    body: { ready: false, starting: true, upstreams: { hospital: { trusted: true } } },
  })
  await proxy.waitForReady(200)
  await proxy.line('broker not reached; nothing was sent to it', { reason: 'timeout' })
})

test('a probe under way does not hold up the end', async () => {
  await using mute = await Mute.start()
  const config = watched(
    [`mqtts://127.0.0.1:${mute.port}`],
    { interval: '1s' },
    { timeouts: { handshake: '5m' } },
  )
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await eventually('a probe', () => mute.seen[0])
  const began = performance.now()
  expect(await proxy.stop()).toBe(0)
  expect(performance.now() - began).toBeLessThan(5000)
})
