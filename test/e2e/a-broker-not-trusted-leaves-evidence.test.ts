// Fifty knocks of a man in the middle are one incident, with his own certificate in it and no byte that reached him.

import { X509Certificate } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker } from '../help/broker.ts'
import { Child, type Ended } from '../help/child.ts'
import { Device } from '../help/device.ts'
import { Folder } from '../help/folder.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

let pki: Pki
let genuine: Awaited<ReturnType<Pki['issue']>>
beforeAll(async () => {
  pki = await makePki()
  genuine = await pki.issue()
})

async function command(proxy: Proxy, ...args: readonly string[]): Promise<Ended & { readonly out: string }> {
  await using child = new Child(process.execPath, [
    main,
    'evidence',
    ...args,
    '-c',
    proxy.folder.at('proxy.yaml'),
  ])
  const ended = await child.ended
  return { ...ended, out: child.stdout.toString() }
}

async function knock(proxy: Proxy): Promise<void> {
  await using device = await Device.connect(proxy.port)
  await device.send(connectPacket({ version: 4, clientId: 'pump-7' }))
  expect((await device.everything()).toString('hex')).toBe('20020003')
}

test('a man in the middle is on record, once, with his own certificate and 0 bytes on both sides', async () => {
  const rogue = await pki.issue({ ca: await pki.rogue() })
  await using broker = await TestBroker.start({ cert: rogue.chain, key: rogue.key })
  const tls = { pins: [pinOf(new X509Certificate(genuine.cert))] }
  const config = ward({ brokers: [broker.port], tls, timeouts: { distrust: '0s' } })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  for (let count = 0; count < 50; count += 1) await knock(proxy)
  expect(broker.knocks).toBeGreaterThanOrEqual(50)
  await eventually('the handshakes', () => broker.visits.length + broker.failures.length >= broker.knocks)
  for (const visit of broker.visits) await visit.untilClosed()
  expect(broker.applicationBytes).toBe(0)

  expect(await proxy.waitForMetric('pulseward_evidence_incidents_total', { verdict: 'likely-mitm' }, 1)).toBe(
    1,
  )
  expect(await proxy.metric('pulseward_evidence_bytes')).toBeGreaterThan(1000)
  expect(await proxy.metric('pulseward_evidence_failures_total')).toBe(0)
  const line = await proxy.line('evidence recorded', { upstream: 'hospital' })
  const id = String(line['incident'])
  const folder = proxy.folder.at(`state/evidence/${id}`)
  const pem = await readFile(`${folder}/chain.pem`, 'utf8')
  expect(new X509Certificate(pem).fingerprint256).toBe(new X509Certificate(rogue.cert).fingerprint256)
  const record = JSON.parse(await readFile(`${folder}/incident.json`, 'utf8')) as object
  const place = `127.0.0.1:${broker.port}`
  expect(record).toMatchObject({
    id,
    upstream: 'hospital',
    server: place,
    address: place,
    verdict: 'likely-mitm',
    applicationBytesSent: 0,
    configuredPins: tls.pins,
    served: { pins: [{ position: 0, pin: pinOf(new X509Certificate(rogue.cert)) }, { position: 1 }] },
    config: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/), version: 1 },
  })
  // While the proxy runs, and after it has stopped.
  expect((await command(proxy, 'verify', '--head', String(line['head']))).code).toBe(0)
  expect(await proxy.stop()).toBe(0)
  const listed = await command(proxy, 'list', '--json')
  const { incidents } = JSON.parse(listed.out) as { incidents: { count: number }[] }
  expect(incidents).toMatchObject([{ id, verdict: 'likely-mitm', applicationBytesSent: 0 }])
  expect(incidents[0]?.count).toBeGreaterThanOrEqual(50)
  expect((await command(proxy, 'verify')).code).toBe(0)
  await writeFile(`${folder}/chain.pem`, genuine.cert)
  const verified = await command(proxy, 'verify')
  expect(verified.code).toBe(1)
  expect(verified.out).toContain(`${id}/chain.pem is not what was recorded`)
})

test('a broker that strips TLS is on record without a chain', async () => {
  await using broker = await TestBroker.startPlain(Buffer.from('20020000d000d000', 'hex'))
  const config = ward({ brokers: [broker.port] })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  const line = await proxy.line('evidence recorded', { verdict: 'downgraded' })
  const shown = await command(proxy, 'show', String(line['incident']), '--json')
  expect(JSON.parse(shown.out)).toMatchObject({
    incident: { causes: ['not-tls'], handshake: null, served: { certificates: 0 }, applicationBytesSent: 0 },
  })
})

test('where evidence cannot be kept, devices are served all the same, and it is counted', async () => {
  const rogue = await pki.issue()
  await using wrong = await TestBroker.start({ cert: rogue.chain, key: rogue.key })
  await using right = await TestBroker.start({ cert: genuine.chain, key: genuine.key })
  const tls = { pins: [pinOf(new X509Certificate(genuine.cert))] }
  const config = ward({ brokers: [wrong.port, right.port], tls, more: { state: 'ca.pem' } })
  await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
  await using device = await Device.join(proxy.port, { clientId: 'pump-7' })
  expect(device.ended).toBe(false)
  await proxy.waitForMetric('pulseward_evidence_failures_total', { reason: 'write' }, (value) => value > 0)
  expect((await readdir(proxy.folder.path)).toSorted()).toEqual(['ca.pem', 'proxy.yaml'])
})

test('after a kill it goes on; a store that was changed meanwhile is moved aside, told of, and begun anew', async () => {
  const rogue = await pki.issue()
  await using broker = await TestBroker.start({ cert: rogue.chain, key: rogue.key })
  await using state = await Folder.make()
  const tls = { pins: [pinOf(new X509Certificate(genuine.cert))] }
  const timeouts = { distrust: '0s' }
  const config = ward({ brokers: [broker.port], tls, timeouts, more: { state: state.path } })
  const options = { config, files: { 'ca.pem': pki.ca.cert } }
  let id: string
  {
    await using proxy = (await Proxy.start(options)).mayFail()
    id = String((await proxy.line('evidence recorded'))['incident'])
    await proxy.stop('SIGKILL')
    expect((await command(proxy, 'verify')).code).toBe(0)
  }
  {
    await using proxy = await Proxy.start(options)
    await knock(proxy)
    await proxy.stop()
    expect((await command(proxy, 'verify')).code).toBe(0)
    const { incidents } = JSON.parse((await command(proxy, 'list', '--json')).out) as { incidents: object[] }
    expect(incidents).toMatchObject([{ id }])
    expect(proxy.lines('evidence recorded')).toEqual([])
  }
  await rm(state.at(`evidence/${id}`), { recursive: true })
  await using proxy = await Proxy.start(options)
  const told = await proxy.line(
    'the evidence was changed or damaged; it is moved aside and a new chain begins',
  )
  expect(told).toMatchObject({ level: 'error', where: [`${id}/incident.json is gone`] })
  expect(await readdir(String(told['movedTo']))).toEqual(['chain.jsonl', 'head.json'])
  await proxy.line('evidence recorded')
  expect((await command(proxy, 'verify')).code).toBe(0)
})
