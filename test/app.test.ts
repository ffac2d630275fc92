// The whole of it, wired: it starts or leaves nothing, reloads all or nothing, and stops within its time.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { rm } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { ConfigError } from '../src/config/diagnostics.ts'
import { pinOf } from '../src/tls/pins.ts'
import { Device } from './help/device.ts'
import { deadPort, Mute } from './help/mute.ts'
import { connectPacket, publishPacket } from './help/packets.ts'
import { Peer } from './help/peer.ts'
import { makePki, type Pki } from './help/pki.ts'
import { listens, Premises } from './help/premises.ts'
import { eventually } from './help/wait.ts'

const kept = 'configuration not reloaded; the one before stays in force'
const alarm = publishPacket({ version: 4, topic: 'ward/1/alarm', payload: 'asystole' })

let pki: Pki

beforeAll(async () => {
  pki = await makePki()
})

const bindTo = (port: number): string => `127.0.0.1:${port}`

/** A listener as `ward` makes it, under another name and at a port. */
function listener(name: string, port: number, more: object = {}): object {
  return { name, bind: bindTo(port), accept: ['mqtt'], upstream: 'hospital', ...more }
}

describe('starting', () => {
  test('listens, asks after its brokers, relays, and says where it is', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    expect(app.listening).toEqual([
      { name: 'ward', address: expect.stringMatching(/^127\.0\.0\.1:\d+$/), port: site.port() },
    ])
    await eventually('readiness', async () => (await site.readiness()) === 200)
    await using device = await Device.join(site.port())
    await device.send(alarm)
    await (await site.broker.visitOf('pump-7')).holds(alarm)
    expect(app.snapshot.version).toBe(1)
    expect(await site.metric('connections_total', { listener: 'ward', result: 'accepted' })).toBe(1)
    expect(await site.metric('config_reloads_total')).toBe(0)
  })

  test('fails as a whole where one port cannot be had', async () => {
    await using site = await Premises.prepare(pki)
    await using other = await Mute.start()
    const free = await deadPort()
    await site.write({ more: { listeners: [listener('one', free), listener('two', other.port)] } })
    await expect(site.start()).rejects.toMatchObject({ code: 'listen-failed', blame: 'config' })
    expect(await listens(free)).toBe(false)
  })

  test('fails as a whole where the metrics cannot be had', async () => {
    await using site = await Premises.prepare(pki)
    await using other = await Mute.start()
    const free = await deadPort()
    const more = { listeners: [listener('one', free)], metrics: { bind: bindTo(other.port) } }
    await site.write({ more })
    await expect(site.start()).rejects.toMatchObject({ code: 'admin-bind' })
    expect(await listens(free)).toBe(false)
  })

  test('fails with every mistake of the file', async () => {
    await using site = await Premises.prepare(pki)
    await site.folder.write('proxy.yaml', 'listeners: []\nupsteams: {}\n')
    const failure: unknown = await site.start().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ConfigError)
    expect((failure as ConfigError).diagnostics).toHaveLength(2)
  })

  test('notices a change that is made while it starts', async () => {
    await using site = await Premises.prepare(pki)
    // Minting the RSA key of a certificate takes its time.
    await site.write({ listener: { accept: ['mqtts'] }, more: { reload: { watch: true } } })
    const starting = site.start()
    await site.write({ more: { reload: { watch: true }, log: { level: 'debug' } } })
    const app = await starting
    await eventually('the reload', () => app.snapshot.version === 2)
    expect(app.snapshot.config.log.level).toBe('debug')
  })
})

describe('reloading', () => {
  test('keeps everything where one port cannot be had', async () => {
    await using site = await Premises.prepare(pki)
    await using other = await Mute.start()
    await site.write()
    const app = await site.start()
    await using device = await Device.join(site.port())
    const [before, free] = [app.snapshot, await deadPort()]
    const more = { listeners: [listener('one', free), listener('two', other.port)], log: { level: 'error' } }
    await site.write({ more })
    await app.reload('a test')
    expect(app.snapshot).toBe(before)
    expect(app.listening.map(({ name }) => name)).toEqual(['ward'])
    expect(await listens(free)).toBe(false)
    expect(site.diary.lines(kept)).toMatchObject([
      { level: 'error', why: 'a test', hint: expect.stringContaining('ss -ltnp') },
    ])
    expect(await site.metric('config_reloads_total', { result: 'failure' })).toBe(1)
    expect(await site.metric('config_last_reload_success')).toBe(0)
    await device.send(alarm)
    await (await site.broker.visitOf('pump-7')).holds(alarm)
    await using another = await Device.join(site.port(), { clientId: 'another' })
    expect(another.ended).toBe(false)
    // The next one makes up for it.
    await site.write()
    await app.reload('a test')
    expect(app.snapshot.version).toBe(2)
    expect(await site.metric('config_last_reload_success')).toBe(1)
  })

  test('says that it holds the port itself where only the address changes', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    await site.write({ listener: { bind: `0.0.0.0:${site.port()}` } })
    await site.write({
      more: { listeners: [listener('ward', site.port(), { bind: `0.0.0.0:${site.port()}` })] },
    })
    await app.reload('a test')
    expect(site.diary.lines(kept)).toMatchObject([
      { hint: expect.stringContaining('this proxy holds the port') },
    ])
    await using device = await Device.join(site.port())
    expect(device.ended).toBe(false)
  })

  test('keeps everything where the file is wrong, and says where', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    await site.folder.write('proxy.yaml', 'listeners:\n  - name: ward\n    bind: nowhere\n')
    await app.reload('a test')
    expect(app.snapshot.version).toBe(1)
    const [told] = site.diary.lines(kept)
    expect(told?.['diagnostics']).toContainEqual(
      expect.stringMatching(/^proxy\.yaml:3:11 listeners\[0\]\.bind: /),
    )
    await using device = await Device.join(site.port())
    expect(device.ended).toBe(false)
  })

  test('adds and removes listeners; sessions of one that goes live on', async () => {
    await using site = await Premises.prepare(pki)
    const [one, two] = [await deadPort(), await deadPort()]
    await site.write({ more: { listeners: [listener('one', one)] } })
    const app = await site.start()
    await using device = await Device.join(one)
    await site.write({ more: { listeners: [listener('two', two)] } })
    await app.reload('a test')
    expect(app.listening.map(({ name, port }) => [name, port])).toEqual([['two', two]])
    expect(await listens(one)).toBe(false)
    await device.send(alarm)
    await (await site.broker.visitOf('pump-7')).holds(alarm)
    expect(await site.metric('connections', { listener: 'one' })).toBe(1)
    await using fresh = await Device.join(two, { clientId: 'fresh' })
    expect(fresh.ended).toBe(false)
    device.end()
    await device.untilClosed()
    await eventually(
      'the last of it gone',
      async () => (await site.metric('connections', { listener: 'one' })) === 0,
    )
  })

  test('renames a listener and gives it new limits without closing its port', async () => {
    await using site = await Premises.prepare(pki)
    const port = await deadPort()
    await site.write({ more: { listeners: [listener('ward', port)] } })
    const app = await site.start()
    await using device = await Device.join(port)
    await site.write({ more: { listeners: [listener('icu', port, { limits: { perAddress: 2 } })] } })
    await app.reload('a test')
    expect(app.listening).toMatchObject([{ name: 'icu', port }])
    await using second = await Device.join(port, { clientId: 'second' })
    const count = async (name: string): Promise<number> =>
      await site.metric('connections', { listener: name })
    expect([await count('ward'), await count('icu')]).toEqual([1, 1])
    // Both count for the address: it is one port.
    await using third = new Peer(connect(port, '127.0.0.1'))
    await third.untilClosed()
    expect(await site.metric('connections_total', { listener: 'icu', result: 'over-address-limit' })).toBe(1)
    for (const one of [device, second]) {
      one.end()
      await one.untilClosed()
    }
    await eventually('all gone', async () => (await count('ward')) + (await count('icu')) === 0)
    await using fourth = await Device.join(port, { clientId: 'fourth' })
    expect(fourth.ended).toBe(false)
  })

  test('keeps what it knows of an upstream that stays, and nothing of one whose trust changed', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    const resumed = async (clientId: string): Promise<unknown> => {
      await using device = await Device.join(site.port(), { clientId })
      expect(device.ended).toBe(false)
      const { tls } = await site.diary.line('session opened', { clientId })
      return (tls as { resumed: unknown }).resumed
    }
    await resumed('one')
    expect(await resumed('two')).toBe(true)
    await site.write({ limits: { maxPacket: '1MiB' } })
    await app.reload('a test')
    expect(await resumed('three')).toBe(true)
    await using session = await Device.join(site.port(), { clientId: 'survivor' })
    const wrong = pinOf(new X509Certificate((await pki.issue()).cert))
    await site.write({ tls: { pins: [wrong] } })
    await app.reload('a test')
    // Were the ticket still used, nobody would look at a pin.
    await using refused = await Device.connect(site.port())
    await refused.send(connectPacket({ version: 4, clientId: 'refused' }))
    expect((await refused.everything()).toString('hex')).toBe('20020003')
    await session.send(alarm)
    await (await site.broker.visitOf('survivor')).holds(alarm)
    await site.write({ tls: { pins: [pinOf(new X509Certificate(pki.ca.cert))] } })
    await app.reload('a test')
    expect(await resumed('four')).toBe(false)
    expect(app.snapshot.version).toBe(4)
  })

  test('breaks off the probe of an upstream whose trust changed, and takes a new interval without another', async () => {
    await using site = await Premises.prepare(pki)
    await using mute = await Mute.start()
    const canary = (interval: string, tls = {}): Record<string, unknown> => ({
      upstreams: {
        hospital: {
          servers: [bindTo(site.broker.port), bindTo(mute.port)].map((at) => `mqtts://${at}`),
          tls: { ca: 'ca.pem', ...tls },
          canary: { interval },
        },
      },
    })
    await site.write({ more: canary('off') })
    const app = await site.start()
    const first = await eventually('a probe', () => mute.seen[0])
    await site.write({ more: canary('off', { postQuantum: 'require' }) })
    await app.reload('a test')
    await eventually('its end', () => first.destroyed)
    await eventually('the next', () => mute.seen.length > 1)
    await eventually('trust', async () => (await site.metric('upstream_address_trusted')) === 1)
    expect(site.diary.lines('broker not reached; nothing was sent to it')).toEqual([])
    const before = site.broker.knocks
    await site.write({ more: canary('1s', { postQuantum: 'require' }) })
    await app.reload('a test')
    mute.seen[1]?.destroy()
    await eventually('another round', () => site.broker.knocks > before)
  })

  test('moves the metrics', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    const left = Number(app.adminAddress.split(':').at(-1))
    const port = await deadPort()
    await site.write({ more: { metrics: { bind: bindTo(port) } } })
    await app.reload('a test')
    expect(app.adminAddress).toBe(bindTo(port))
    expect(await listens(left)).toBe(false)
    expect(await site.readiness()).toBeGreaterThanOrEqual(200)
  })

  test('does one after the other, however many are asked for', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    const port = site.port()
    await Promise.all(Array.from({ length: 6 }, () => app.reload('a test')))
    expect(app.snapshot.version).toBe(7)
    expect(site.port()).toBe(port)
    expect(await site.metric('config_reloads_total', { result: 'success' })).toBe(6)
    await using device = await Device.join(port)
    expect(device.ended).toBe(false)
  })

  test('tries a state directory again that could not be used', async () => {
    await using site = await Premises.prepare(pki, { state: 'a file in the way' })
    await site.write()
    const app = await site.start()
    await site.write({ listener: { accept: ['mqtts'] } })
    await app.reload('a test')
    expect(app.snapshot.version).toBe(1)
    expect(site.diary.lines(kept)).toHaveLength(1)
    await rm(site.folder.at('state'))
    await app.reload('a test')
    expect(app.snapshot.version).toBe(2)
    // Another directory is another authority.
    const before = app.snapshot.listeners[0]?.deviceContext
    await site.write({ listener: { accept: ['mqtts'] }, more: { state: 'elsewhere' } })
    await app.reload('a test')
    expect(app.snapshot.version).toBe(3)
    expect(app.snapshot.listeners[0]?.deviceContext).not.toBe(before)
    expect(await listens(site.port())).toBe(true)
  })

  test('begins and stops to watch its files as the file says', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    await site.write({ more: { reload: { watch: true } } })
    await app.reload('a test')
    expect(app.snapshot.version).toBe(2)
    await site.write({ more: { reload: { watch: true }, log: { level: 'debug' } } })
    await eventually('the reload', () => app.snapshot.version === 3)
    expect(site.diary.lines('configuration reloaded', { why: 'file changed' })).toHaveLength(1)
    await site.write({ more: { reload: { watch: false }, log: { level: 'debug' } } })
    await eventually('the last reload', () => app.snapshot.version === 4)
    expect(app.snapshot.config.reload.watch).toBe(false)
  })
})

describe('while a reload is under way', () => {
  /** A request that is never finished keeps the old metrics address open for a second. */
  async function dawdle(site: Premises): Promise<Socket> {
    const [host = '', port] = site.app.adminAddress.split(':')
    const socket = connect(Number(port), host)
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n')
    await eventually('the request there', () => socket.bytesWritten > 20)
    return socket
  }

  /** A configuration with a new listener and the metrics on the same port at another address. */
  async function move(site: Premises, port: number): Promise<void> {
    const metrics = { bind: `0.0.0.0:${site.app.adminAddress.split(':').at(-1)}` }
    await site.write({ more: { listeners: [listener('fresh', port)], metrics } })
  }

  test('who came to a new port that is kept is served', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    const port = await deadPort()
    const slow = await dawdle(site)
    await move(site, port)
    const reloading = app.reload('a test')
    await eventually('the new port', async () => await listens(port))
    await using device = await Device.join(port)
    await reloading
    expect(app.listening).toMatchObject([{ name: 'fresh' }])
    expect(device.ended).toBe(false)
    slow.destroy()
  })

  test('stopping leaves nothing of it', async () => {
    await using site = await Premises.prepare(pki)
    await site.write()
    const app = await site.start()
    const [port, old] = [await deadPort(), site.port()]
    const slow = await dawdle(site)
    await move(site, port)
    const reloading = app.reload('a test')
    await eventually('the new port', async () => await listens(port))
    const admin = Number(app.adminAddress.split(':').at(-1))
    await using early = await Device.connect(port)
    await early.send(connectPacket({ version: 4 }))
    await app.drain()
    await app[Symbol.asyncDispose]()
    await reloading
    expect(await Promise.all([port, old, admin].map((one) => listens(one)))).toEqual([false, false, false])
    expect(app.snapshot.version).toBe(1)
    await early.everything()
    expect(site.broker.applicationBytes).toBe(0)
    slow.destroy()
  })
})

describe('stopping', () => {
  test('is bounded, closes its ports first, and says what it cut off', async () => {
    await using site = await Premises.prepare(pki)
    await site.write({ more: { drain: { timeout: '300ms' } } })
    const app = await site.start()
    await using device = await Device.join(site.port(), { version: 5 })
    const port = site.port()
    const drained = app.drain()
    expect((await device.everything()).subarray(-4).toString('hex')).toBe('e0028b00')
    expect(await listens(port)).toBe(false)
    expect(await site.readiness()).toBe(503)
    // It never closes its side.
    await drained
    expect(site.diary.lines('closed before they had ended')).toMatchObject([{ connections: 1 }])
    await app[Symbol.asyncDispose]()
    await (await site.broker.visit(0)).untilClosed()
    expect(await site.metric('connections')).toBe(0)
    await app.reload('too late')
    expect(app.snapshot.version).toBe(1)
  })

  test('takes no time when there is nobody, and no more the second time', async () => {
    await using site = await Premises.prepare(pki)
    await site.write({ more: { drain: { timeout: '1h' } } })
    const app = await site.start()
    await app.drain()
    await app.drain()
    expect(site.diary.lines('draining')).toMatchObject([{ connections: 0 }])
    expect(site.diary.lines('closed before they had ended')).toEqual([])
  })

  test('takes no longer than the last device', async () => {
    await using site = await Premises.prepare(pki)
    await site.write({ more: { drain: { timeout: '1h' } } })
    const app = await site.start()
    await using device = await Device.join(site.port())
    const drained = app.drain()
    await device.everything()
    device.end(alarm)
    await drained
    expect((await site.broker.visitOf('pump-7')).received.includes(alarm)).toBe(true)
  })

  test('gives up dials and probes', async () => {
    await using site = await Premises.prepare(pki)
    await using mute = await Mute.start()
    await site.write({ brokers: [mute.port] })
    const app = await site.start()
    await using device = await Device.connect(site.port())
    await device.send(connectPacket({ version: 4 }))
    // The canary's, and the device's.
    await eventually('both dials', () => mute.seen.length === 2)
    await app[Symbol.asyncDispose]()
    await eventually('both given up', () => mute.seen.every(({ destroyed }) => destroyed))
    expect(await site.metric('connections')).toBe(0)
  })
})
