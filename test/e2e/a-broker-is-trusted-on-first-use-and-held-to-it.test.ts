// An appliance with a certificate of its own making: its first key is stored loudly, and no other one passes unasked.

import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Folder } from '../help/folder.ts'
import { Mosquitto, mosquittoTools } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const met = 'a broker is trusted on first use: nothing proves who it is'
const notTrusted = 'broker not trusted; nothing was sent to it'
const accepted = '20020000'
const refusal = '20020003'

function config(ports: readonly number[], state: Folder, tls: object): object {
  return ward({
    brokers: ports,
    tls: { firstUse: 'accept', ...tls },
    // What repairs it is the accepted pin, not time.
    timeouts: { distrust: '1h' },
    more: { reload: { watch: true }, state: state.path },
  })
}

async function command(
  proxy: Proxy,
  ...args: readonly string[]
): Promise<{ stdout: string; stderr: string }> {
  const file = ['-c', proxy.folder.at('proxy.yaml')]
  return await promisify(execFile)(process.execPath, [main, ...args, ...file])
}

async function answerTo(proxy: Proxy): Promise<string> {
  await using device = await Device.connect(proxy.port)
  await device.send(connectPacket({ version: 4, clientId: 'pump-7' }))
  return (await device.bytes(4)).toString('hex')
}

function keyOf({ cert }: { readonly cert: string }): string {
  return pinOf(new X509Certificate(cert))
}

describeWith(mosquittoTools, 'trust on first use', () => {
  test('stores the first key, keeps to it over a restart, and changes it only when told to', async () => {
    const pki = await makePki()
    const [first, second] = [await pki.issue({ selfSigned: true }), await pki.issue({ selfSigned: true })]
    await using state = await Folder.make({})
    let broker = await Mosquitto.start({ pki, identity: first })
    const { port } = broker
    const settings = { config: config([port], state, { ca: 'system' }) }
    {
      await using proxy = await Proxy.start(settings)
      const line = await proxy.line(met)
      expect(line).toMatchObject({
        upstream: 'hospital',
        server: `127.0.0.1:${port}`,
        address: '127.0.0.1',
        pin: keyOf(first),
      })
      await proxy.waitForReady(200)
      expect(await answerTo(proxy)).toBe(accepted)
      expect(await proxy.metric('pulseward_upstream_first_use_pins', { upstream: 'hospital' })).toBe(1)
      expect(await proxy.metric('pulseward_findings_total', { detector: 'first-use' })).toBe(1)
      expect((await proxy.readiness()).body).toMatchObject({
        upstreams: { hospital: { firstUse: [expect.stringContaining(keyOf(first))] } },
      })
      expect((await command(proxy, 'check')).stderr).toContain('nothing proves whose it is')
      const listed = JSON.parse((await command(proxy, 'trust', 'list', '--json')).stdout) as object
      expect(listed).toMatchObject({ firstUse: [{ pin: keyOf(first), address: '127.0.0.1' }] })
    }
    await using proxy = await Proxy.start(settings)
    await proxy.waitForReady(200)
    expect(await answerTo(proxy)).toBe(accepted)
    expect(proxy.lines(met)).toEqual([])

    await broker[Symbol.asyncDispose]()
    broker = await Mosquitto.start({ pki, identity: second, port })
    await eventually('a refusal', async () => (await answerTo(proxy)) === refusal)
    const line = await proxy.line(notTrusted)
    expect(line).toMatchObject({ verdict: 'likely-mitm', causes: ['self-signed', 'pin-mismatch'] })
    const stored = JSON.parse(await readFile(state.at('trust/first-use.json'), 'utf8')) as object
    expect(stored).toMatchObject({ pins: [{ pin: keyOf(first) }] })
    expect(proxy.lines(met)).toEqual([])
    const incidents = JSON.parse((await command(proxy, 'evidence', 'list', '--json')).stdout) as object
    expect(incidents).toMatchObject({ incidents: [{ verdict: 'likely-mitm' }] })

    await command(proxy, 'trust', 'accept', '--upstream', 'hospital', '--pin', keyOf(second))
    await proxy.waitForReady(200)
    expect(await answerTo(proxy)).toBe(accepted)
    await proxy.waitForMetric('pulseward_upstream_first_use_pins', { upstream: 'hospital' }, 0)
    // The key that was replaced is as good as any other.
    await broker[Symbol.asyncDispose]()
    broker = await Mosquitto.start({ pki, identity: first, port })
    await eventually('a refusal', async () => (await answerTo(proxy)) === refusal)
    await broker[Symbol.asyncDispose]()
  }, 60_000)
})

test('where the store is damaged nobody is met for the first time; an accepted pin repairs it', async () => {
  const pki = await makePki()
  const identity = await pki.issue()
  await using state = await Folder.make({})
  await mkdir(state.at('trust'))
  await state.write('trust/first-use.json', '{ damaged')
  await using broker = await TestBroker.start({ cert: identity.chain, key: identity.key })
  const settings = { config: config([broker.port], state, {}), files: { 'ca.pem': pki.ca.cert } }
  await using proxy = await Proxy.start(settings)
  expect((await proxy.line('pins of first use'))['warning']).toContain('is damaged')
  expect((await proxy.line(notTrusted))['reasons']).toEqual([
    expect.stringContaining('no key of it is known'),
  ])
  expect(await answerTo(proxy)).toBe(refusal)
  expect(broker.applicationBytes).toBe(0)
  expect(await readFile(state.at('trust/first-use.json'), 'utf8')).toBe('{ damaged')
  await command(proxy, 'trust', 'accept', '--upstream', 'hospital', '--pin', keyOf(identity))
  await proxy.waitForReady(200)
  expect(await answerTo(proxy)).toBe(accepted)
  expect(proxy.lines(met)).toEqual([])
}, 40_000)

test('each server has a first key of its own, and accepting a pin says whose it replaces', async () => {
  const pki = await makePki()
  const [one, other, third] = [await pki.issue(), await pki.issue(), await pki.issue()]
  await using state = await Folder.make({})
  await using first = await TestBroker.start({ cert: one.chain, key: one.key })
  const second = await TestBroker.start({ cert: other.chain, key: other.key })
  const settings = { config: config([first.port, second.port], state, {}), files: { 'ca.pem': pki.ca.cert } }
  await using proxy = await Proxy.start(settings)
  const servers = [first, second].map(({ port }) => `127.0.0.1:${port}`)
  for (const [index, identity] of [one, other].entries())
    await proxy.line(met, { server: servers[index], pin: keyOf(identity) })
  for (const server of servers)
    await proxy.waitForMetric('pulseward_upstream_trusted', { upstream: 'hospital', server }, 1)
  const accept = ['trust', 'accept', '--upstream', 'hospital', '--pin', keyOf(third)]
  await expect(command(proxy, ...accept)).rejects.toMatchObject({
    stderr: expect.stringContaining(`say with --server which one changed: ${servers.join(', ')}`),
  })
  const { port } = second
  await second[Symbol.asyncDispose]()
  await using changed = await TestBroker.start({ cert: third.chain, key: third.key, port })
  await command(proxy, ...accept, '--server', servers[1] ?? '')
  await proxy.waitForMetric('pulseward_upstream_first_use_pins', { upstream: 'hospital' }, 1)
  await eventually('trust in both', async () => {
    const { body } = await proxy.readiness()
    return JSON.stringify(body).split('"verdict":"trusted","reasons":[],"lastCheck":"').length === 5
  })
  expect(changed.knocks).toBeGreaterThan(0)
}, 40_000)
