// A broker that was revoked, by a list that comes into force under a running proxy or by its own staple, gets no session.

import { describe, expect, test } from 'vitest'
import { TestBroker } from '../help/broker.ts'
import { makeCa, makeLeaf } from '../help/certificates.ts'
import { Device } from '../help/device.ts'
import { ListServer } from '../help/list-server.ts'
import { listen, Mosquitto, mosquittoTools, publish } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { makeList, makeResponse, mustStaple, pemList } from '../help/revocation.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const accepted = '20020000'
const refused = '20020003'
const untrusted = 'broker not trusted; nothing was sent to it'

const ca = makeCa('Hospital CA')
const leaf = makeLeaf(ca, { names: ['127.0.0.1'] })
const list = (number: number, isRevoked: boolean): Buffer =>
  makeList({ issuer: ca, number, revoked: isRevoked ? [leaf] : [] })

async function answerTo(proxy: Proxy): Promise<string> {
  await using device = await Device.connect(proxy.port)
  await device.send(connectPacket({ version: 4, clientId: 'pump' }))
  return (await device.bytes(4)).toString('hex')
}

describeWith(mosquittoTools, 'a broker that was revoked', () => {
  test('is refused as soon as the file says so, resumed sessions too, and served again after', async () => {
    const identity = { chain: leaf.cert, key: leaf.key }
    await using broker = await Mosquitto.start({ pki: await makePki(), identity })
    const config = ward({
      brokers: [broker.port],
      tls: { revocation: { crl: 'list.pem' } },
      timeouts: { distrust: '1s' },
      more: { reload: { watch: true } },
    })
    const files = { 'ca.pem': ca.cert, 'list.pem': pemList(list(1, false)) }
    await using proxy = await Proxy.start({ config, files })
    await proxy.waitForReady(200)
    await using subscriber = listen({ port: proxy.port, topic: 'ward/#', qos: 1 })
    await proxy.waitForMetric('pulseward_mqtt_packets_total', { direction: 'down', type: 'suback' }, 1)
    // From here on the proxy has a ticket of the broker's.
    const resumed = { leg: 'broker', result: 'resumed' }
    await eventually(
      'a resumed session',
      async () =>
        (await answerTo(proxy)) === accepted &&
        (await proxy.metric('pulseward_tls_handshakes_total', resumed)) > 0,
    )

    await proxy.folder.write('list.pem', pemList(list(2, true)))
    await proxy.line('revocation list in force', { number: '2', revoked: 1 })
    expect(await answerTo(proxy)).toBe(refused)
    const line = await proxy.line(untrusted, { upstream: 'hospital', verdict: 'revoked' })
    expect(line).toMatchObject({
      causes: ['revoked'],
      reasons: [
        expect.stringMatching(/^"CN=broker\.ward\.example" was revoked on .* says a list of its issuer$/),
      ],
      hint: expect.stringContaining('new key'),
    })
    const counted = { verdict: 'revoked', cause: 'revoked' }
    expect(await proxy.metric('pulseward_upstream_verify_failures_total', counted)).toBeGreaterThan(0)
    await proxy.waitForReady(503)
    await proxy.waitForMetric(
      'pulseward_evidence_incidents_total',
      { verdict: 'revoked' },
      (seen) => seen > 0,
    )
    const [ends] = (await proxy.metrics()).series('pulseward_upstream_crl_next_update_timestamp_seconds')
    expect(ends?.labels).toEqual({ upstream: 'hospital', crl: proxy.folder.at('list.pem') })
    expect(ends?.value).toBeGreaterThan(Date.now() / 1000)
    // What is open was trusted when it began.
    await publish({ port: broker.plainPort, topic: 'ward/1', qos: 1, message: 'still there' }).succeeds()
    await eventually('the message', () => subscriber.stdout.toString().includes('ward/1 still there'))

    await proxy.folder.write('list.pem', pemList(list(3, false)))
    await proxy.line('revocation list in force', { number: '3' })
    await eventually('trust again', async () => (await answerTo(proxy)) === accepted)
  }, 60_000)

  test('is known from a URL before the first device comes', async () => {
    const identity = { chain: leaf.cert, key: leaf.key }
    await using broker = await Mosquitto.start({ pki: await makePki(), identity })
    await using server = await ListServer.start(list(1, false))
    const config = ward({
      brokers: [broker.port],
      tls: { revocation: { crl: server.url, unknown: 'refuse' } },
      timeouts: { distrust: '1h' },
    })
    const start = async (): Promise<Proxy> => await Proxy.start({ config, files: { 'ca.pem': ca.cert } })
    {
      await using proxy = await start()
      await proxy.waitForReady(200)
      expect(await answerTo(proxy)).toBe(accepted)
      expect(await proxy.metric('pulseward_crl_fetches_total', { result: 'success' })).toBe(1)
    }
    server.answer = list(2, true)
    await using proxy = await start()
    await proxy.line(untrusted, { verdict: 'revoked' })
    expect(await answerTo(proxy)).toBe(refused)
    expect(server.asked).toBe(2)
  }, 60_000)
})

describe('a broker that has to staple', () => {
  const stapled = makeLeaf(ca, { names: ['127.0.0.1'], more: [mustStaple] })

  test.each([
    {
      what: 'serves devices with a good response',
      staple: makeResponse({ leaf: stapled, issuer: ca }),
      causes: [],
    },
    { what: 'is refused without one', staple: undefined, causes: ['staple-missing'] },
    {
      what: 'is refused with one that says it was revoked',
      staple: makeResponse({ leaf: stapled, issuer: ca, status: 'revoked', reason: 1 }),
      causes: ['revoked'],
    },
  ])('$what', async ({ staple, causes }) => {
    const shown = { cert: stapled.cert, key: stapled.key, ...(staple && { staple }) }
    await using broker = await TestBroker.start(shown)
    const config = ward({ brokers: [broker.port], timeouts: { distrust: '1h' } })
    await using proxy = await Proxy.start({ config, files: { 'ca.pem': ca.cert } })
    if (causes.length === 0) {
      await proxy.waitForReady(200)
      expect([await answerTo(proxy), await answerTo(proxy)]).toEqual([accepted, accepted])
      return
    }
    const line = await proxy.line(untrusted)
    expect(line['causes']).toEqual(causes)
    expect(await answerTo(proxy)).toBe(refused)
    expect(broker.applicationBytes).toBe(0)
  })
})
