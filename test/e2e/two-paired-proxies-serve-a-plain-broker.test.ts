// A near end among the devices, a far end beside a broker that knows no TLS: what works, what is told, how keys change.

import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nameOfPeer } from '../../src/pair/keys.ts'
import { Child } from '../help/child.ts'
import { Device } from '../help/device.ts'
import { Mosquitto, mosquittoTools, publish, subscribe } from '../help/mosquitto.ts'
import { connectPacket, pingreqPacket } from '../help/packets.ts'
import {
  farConfig,
  nearConfig,
  newIdentity,
  newSharedKey,
  startFarEnd,
  startNearEnd,
  type Served,
} from '../help/pair.ts'
import { makePki, type Pki } from '../help/pki.ts'
import type { Proxy } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

describeWith(mosquittoTools, 'a pair before mosquitto', () => {
  const stack = new AsyncDisposableStack()
  let pki: Pki
  let served: Served
  let broker: Mosquitto
  let plain: string
  beforeAll(async () => {
    pki = await makePki()
    served = await pki.issue()
    broker = stack.use(await Mosquitto.start({ pki }))
    plain = `mqtt://127.0.0.1:${broker.plainPort}`
  })
  afterAll(async () => await stack.disposeAsync())

  const [near, far] = [newIdentity(), newIdentity()]

  test('messages arrive byte for byte, and both ends say with whom they are paired', async () => {
    await using farEnd = await startFarEnd({
      served,
      pair: { peers: [near.line] },
      identity: far,
      broker: plain,
    })
    const ca = pki.ca.cert
    const port = farEnd.portOf('wan')
    await using nearEnd = await startNearEnd({ port, ca, pair: { peers: [far.line] }, identity: near })
    await nearEnd.waitForReady(200)
    await farEnd.waitForReady(200)
    // The canary has proven the pair before any device came.
    const proven = { leg: 'device', result: 'proven' }
    await farEnd.waitForMetric('pulseward_pairings_total', proven, (value) => value > 0)
    expect(await farEnd.metric('pulseward_device_sessions', {})).toBe(0)

    const join = async (index: number) => await Device.join(nearEnd.port, { clientId: `pump-${index}` })
    const many = await Promise.all(Array.from({ length: 50 }, async (_, index) => await join(index)))
    await Promise.all(many.map(alive))
    for (const device of many) await device[Symbol.asyncDispose]()

    const message = randomBytes(100_000)
    const kept = publish({ port: nearEnd.port, topic: 'ward/1', qos: 2, message, more: ['-r'] })
    await kept.succeeds()
    const heard = subscribe({ port: nearEnd.port, topic: 'ward/1', qos: 2, count: 1, version: '5' })
    expect((await heard.succeeds()).equals(message)).toBe(true)

    const opened = await nearEnd.line('session opened')
    expect(opened).toMatchObject({
      tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', pairedWith: nameOfPeer(far.line) },
    })
    const beyond = await farEnd.line('session opened', { pairedWith: nameOfPeer(near.line) })
    expect(beyond).toMatchObject({ transport: 'tls', server: `127.0.0.1:${broker.plainPort}` })
    expect(beyond).not.toHaveProperty('tls')
    // Later sessions resume, and prove themselves all the same.
    expect(
      await nearEnd.metric('pulseward_tls_handshakes_total', { leg: 'broker', result: 'resumed' }),
    ).toBeGreaterThan(0)
    const handshakes = await nearEnd.metric('pulseward_tls_handshakes_total', { leg: 'broker' })
    expect(await nearEnd.metric('pulseward_pairings_total', { leg: 'broker', result: 'proven' })).toBe(
      handshakes,
    )
    expect(await farEnd.metric('pulseward_tls_handshakes_total', { leg: 'broker' })).toBe(0)
    expect(await farEnd.metric('pulseward_upstream_trusted')).toBe(1)
    expect(JSON.stringify((await farEnd.readiness()).body)).toContain('reached in plaintext')
  })

  test('shared keys change at one end after the other, and no session ends', async () => {
    const [old, next] = [newSharedKey(), newSharedKey()]
    const keys = (...sharedKeys: readonly string[]) => ({ pair: { sharedKeys } })
    await using farEnd = await startFarEnd({ served, ...keys(old), broker: plain })
    const port = farEnd.portOf('wan')
    await using nearEnd = await startNearEnd({ port, ca: pki.ca.cert, ...keys(old) })
    await using device = await Device.join(nearEnd.port, { clientId: 'pump-1' })
    const steps = [
      { of: farEnd, config: farConfig({ ...keys(old, next), broker: plain }) },
      { of: nearEnd, config: nearConfig({ port, ...keys(next, old) }) },
      { of: farEnd, config: farConfig({ ...keys(next), broker: plain }) },
      { of: nearEnd, config: nearConfig({ port, ...keys(next) }) },
    ]
    for (const [index, { of, config }] of steps.entries()) {
      await of.rewrite(config)
      expect((await of.reload()).msg).toBe('configuration reloaded')
      await using welcome = await Device.join(nearEnd.port, { clientId: `new-${index}` })
      expect(welcome.ended).toBe(false)
    }
    await alive(device)
    for (const end of [nearEnd, farEnd]) {
      expect(end.output).not.toContain(old)
      expect(end.output).not.toContain(next)
    }
  })

  test('the far end changes its identity, and no session ends', async () => {
    const options = { served, pair: { peers: [near.line] }, identity: far, broker: plain }
    await using farEnd = await startFarEnd(options)
    const port = farEnd.portOf('wan')
    const config = (...peers: readonly string[]) => ({ port, pair: { peers } })
    await using nearEnd = await startNearEnd({ ...config(far.line), ca: pki.ca.cert, identity: near })
    await using device = await Device.join(nearEnd.port, { clientId: 'pump-1' })

    const next = (await pairCommand(farEnd, 'keygen', '--next')).trim()
    await nearEnd.rewrite(nearConfig(config(far.line, next)))
    await nearEnd.reload()
    expect((await pairCommand(farEnd, 'switch')).trim()).toBe(next)
    await farEnd.reload()
    await using welcome = await Device.join(nearEnd.port, { clientId: 'pump-2' })
    expect(welcome.ended).toBe(false)
    const opened = await nearEnd.line('session opened', { clientId: 'pump-2' })
    expect(opened).toMatchObject({ tls: { pairedWith: nameOfPeer(next) } })
    await alive(device)
    await nearEnd.rewrite(nearConfig(config(next)))
    expect((await nearEnd.reload()).msg).toBe('configuration reloaded')
    await using last = await Device.join(nearEnd.port, { clientId: 'pump-3' })
    expect(last.ended).toBe(false)
  })

  test('a near end with another key is refused by name, and reads the reason in its own log', async () => {
    const stranger = newIdentity()
    const options = { served, pair: { peers: [near.line] }, identity: far, broker: plain }
    await using farEnd = await startFarEnd(options)
    const pair = { peers: [far.line] }
    const port = farEnd.portOf('wan')
    await using nearEnd = await startNearEnd({ port, ca: pki.ca.cert, pair, identity: stranger })
    expect(await refusal(nearEnd, 5)).toBe('2003008800')
    const line = await farEnd.line('connection refused', { reason: 'pair-unproven' })
    expect(line['detail']).toContain(nameOfPeer(stranger.line))
    const told = await nearEnd.line('broker not reached; nothing was sent to it', { reason: 'pair-closed' })
    expect(told['hint']).toContain('not know our key')
  })

  test('a near end without a pair is told to get one', async () => {
    const options = { served, pair: { peers: [near.line] }, identity: far, broker: plain }
    await using farEnd = await startFarEnd(options)
    await using nearEnd = await startNearEnd({ port: farEnd.portOf('wan'), ca: pki.ca.cert })
    expect(await refusal(nearEnd, 4)).toBe('20020003')
    const told = await nearEnd.line('broker not reached; nothing was sent to it', { reason: 'no-protocol' })
    expect(told['hint']).toContain('pair')
    await farEnd.line('connection refused', { reason: 'pair-missing' })
    // What its certificates are can be seen all the same, to pin them.
    await using pin = new Child(process.execPath, [
      main,
      'pin',
      `127.0.0.1:${farEnd.portOf('wan')}`,
      '--ca',
      nearEnd.folder.at('ca.pem'),
    ])
    expect((await pin.succeeds()).toString()).toContain('sha256/')
  })

  test('a far end without a pair, and a broker in its place, are not trusted', async () => {
    const upstream = { tls: { ca: 'ca.pem', singlePin: 'accept' } }
    const files = { 'ca.pem': pki.ca.cert }
    await using farEnd = await startFarEnd({
      served,
      broker: `mqtts://127.0.0.1:${broker.port}`,
      upstream,
      files,
    })
    for (const port of [farEnd.portOf('wan'), broker.port]) {
      const pair = { sharedKeys: [newSharedKey()] }
      await using nearEnd = await startNearEnd({ port, ca: pki.ca.cert, pair })
      expect(await refusal(nearEnd, 3)).toBe('20020003')
      const line = await nearEnd.line('broker not trusted; nothing was sent to it', { verdict: 'downgraded' })
      expect(line).toMatchObject({ causes: ['pair-missing'] })
    }
    expect(await farEnd.metric('pulseward_device_sessions', {})).toBe(0)
  })

  test('check --live proves the pair as well', async () => {
    const key = newSharedKey()
    await using farEnd = await startFarEnd({ served, pair: { sharedKeys: [key] }, broker: plain })
    const port = farEnd.portOf('wan')
    await using right = await startNearEnd({ port, ca: pki.ca.cert, pair: { sharedKeys: [key] } })
    await using wrong = await startNearEnd({ port, ca: pki.ca.cert, pair: { sharedKeys: [newSharedKey()] } })
    const live = async ({ folder }: Proxy) => {
      await using child = new Child(process.execPath, [
        main,
        'check',
        '--live',
        '-c',
        folder.at('proxy.yaml'),
      ])
      const { code } = await child.ended
      return [code, child.stdout.toString()]
    }
    expect(await live(right)).toEqual([
      0,
      expect.stringMatching(/  trusted {2}TLSv1\.3 \S+, paired with [0-9a-f]{16}\n/),
    ])
    expect(await live(wrong)).toEqual([1, expect.stringContaining('pair-closed')])
    expect(await live(farEnd)).toEqual([0, expect.stringContaining('  trusted  plaintext\n')])
  })
})

async function alive(device: Device): Promise<void> {
  const before = device.received.length
  await device.send(pingreqPacket)
  await device.bytes(before + 2)
  expect(device.received.subarray(before).toString('hex')).toBe('d000')
}

/** What a device of this version is told. */
async function refusal({ port }: Proxy, version: 3 | 4 | 5): Promise<string> {
  await using device = await Device.connect(port)
  await device.send(connectPacket({ version, clientId: 'pump-7' }))
  return (await device.everything()).toString('hex')
}

async function pairCommand({ folder }: Proxy, ...args: readonly string[]): Promise<string> {
  await using child = new Child(process.execPath, [main, 'pair', ...args, '-c', folder.at('proxy.yaml')])
  return (await child.succeeds()).toString()
}
