// From accept to a session: what is refused, under which name, by when, and that nothing of it stays.

import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import type { SecureContext } from 'node:tls'
import { connect as connectTls } from 'node:tls'
import { duplexPair } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { deviceContext } from '../../src/tls/contexts.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Gate, type GateOptions } from '../help/gate.ts'
import { deadPort } from '../help/mute.ts'
import { bytes, connackPacket, connectPacket, pingreqPacket, uint16 } from '../help/packets.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually, soon } from '../help/wait.ts'

let pki: Pki
let cert: string
let key: string
let context: SecureContext
let dead: number

beforeAll(async () => {
  pki = await makePki()
  const leaf = await pki.issue()
  cert = leaf.chain
  key = leaf.key
  context = deviceContext({ cert: [cert], key: [key], minVersion: 'TLSv1.2' }).context
  dead = await deadPort()
})

/** A gate for plaintext and TLS, in front of no broker: nothing here may dial one. */
async function open(options: Partial<GateOptions> = {}): Promise<Gate> {
  return await Gate.open({ upstream: { ports: [dead], ca: pki.ca.cert }, deviceContext: context, ...options })
}

describe('a stranger', () => {
  test.each([
    ['http', 'GET / HTTP/1.1\r\n\r\n'],
    ['ssh', 'SSH-2.0-probe\r\n'],
    ['proxy-header-untrusted', 'PROXY TCP4 10.0.0.1 10.0.0.2 4711 1883\r\n'],
    ['mqtt-without-connect', pingreqPacket],
    ['unknown', Buffer.from([0, 0, 0, 0])],
  ])('is refused by the name of %s', async (reason, hello) => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    await device.send(Buffer.from(hello))
    expect(await device.everything()).toEqual(Buffer.alloc(0))
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('rejections_total', { listener: 'ward', reason })).toBe(1)
    const told = gate.diary.lines('connection refused')
    expect(told).toHaveLength(1)
    expect(told[0]).toMatchObject({ level: 'warn', listener: 'ward', address: '127.0.0.1', reason })
    expect(gate.upstream.servers[0]?.verdict).toBe('unchecked')
  })

  test('is refused by its name although it types slowly', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    for (const byte of 'POST ') {
      if (!device.closed) device.socket.write(byte)
      await setImmediate()
    }
    await device.everything()
    expect(await gate.metric('rejections_total', { reason: 'http' })).toBe(1)
  })

  test.each([
    ['client-hello-not-client-hello', bytes(0x16, 3, 1, uint16(4), 2, 0, 0, 0)],
    ['client-hello-too-large', bytes(0x16, 3, 1, uint16(4), 1, 0, 0xff, 0xff)],
    ['client-hello-bad-record', bytes(0x16, 3, 1, uint16(0))],
    ['client-hello-malformed', bytes(0x16, 3, 1, uint16(4), 1, 0, 0, 0)],
  ])('whose TLS is none is refused: %s', async (reason, hello) => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    await device.send(hello)
    await device.everything()
    await gate.emptied()
    expect(await gate.metric('rejections_total', { reason })).toBe(1)
  })

  test('that only knocks is counted and costs no line', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    device.end()
    await device.untilClosed()
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('rejections_total')).toBe(0)
    expect(gate.diary.all.map(({ level }) => level)).toEqual(['debug'])
  })

  test('that resets is no refusal', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    await eventually('the arrival', () => gate.connections.size === 1)
    device.socket.resetAndDestroy()
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(gate.diary.all).toMatchObject([{ level: 'debug', msg: 'device reset before CONNECT' }])
  })
})

describe('what a listener does not accept', () => {
  test('plaintext', async () => {
    await using gate = await open({ accept: { plain: false } })
    await using device = await Device.connect(gate.port)
    await device.send(connectPacket({ version: 4 }))
    await device.everything()
    expect(await gate.metric('rejections_total', { reason: 'plaintext-not-accepted' })).toBe(1)
  })

  test('TLS', async () => {
    await using gate = await open({ accept: { tls: false } })
    const raw = connectPlain(gate.port, '127.0.0.1')
    raw.on('error', () => {})
    const socket = connectTls({ socket: raw })
    socket.on('error', () => {})
    await soon('the close', new Promise((resolve) => socket.once('close', resolve)))
    await gate.emptied()
    expect(await gate.metric('rejections_total', { reason: 'tls-not-accepted' })).toBe(1)
  })
})

describe('the one deadline', () => {
  test.each([
    ['nothing at all', Buffer.alloc(0)],
    ['half a word', Buffer.from('PRI * HT')],
    ['the first byte of TLS', Buffer.from([0x16])],
    ['the beginning of a ClientHello', bytes(0x16, 3, 1, uint16(300), 1, 0)],
  ])('ends who said %s', async (_, hello) => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    if (hello.length > 0) await device.send(hello)
    await eventually('the arrival', () => gate.connections.size === 1)
    gate.advance(9999)
    expect(gate.connections.size).toBe(1)
    gate.advance(1)
    await device.everything()
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('rejections_total', { reason: 'connect-timeout' })).toBe(1)
    expect(await gate.metric('tls_handshakes_total')).toBe(0)
  })

  test('goes on in the middle of a handshake', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    // The whole ClientHello, and no answer to what comes back.
    await device.send(await clientHello())
    await device.bytes(1)
    gate.advance(10_000)
    await device.everything()
    await gate.emptied()
    expect(await gate.metric('rejections_total', { reason: 'connect-timeout' })).toBe(1)
    expect(await gate.metric('tls_handshakes_total', { leg: 'device', result: 'timeout' })).toBe(1)
  })

  test('goes on into the session', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    gate.advance(6000)
    await device.send(connectPacket({ version: 4 }).subarray(0, 5))
    await eventually('the session', () => gate.metrics.bytes[0] === 5)
    gate.advance(3000)
    expect(gate.connections.size).toBe(1)
    gate.advance(1251)
    await device.everything()
    expect(await gate.metric('rejections_total', { reason: 'connect-timeout' })).toBe(1)
  })
})

describe('TLS', () => {
  test('in pieces of one byte becomes a session', async () => {
    await using broker = await TestBroker.start({ cert, key })
    await using gate = await open({ upstream: { ports: [broker.port], ca: pki.ca.cert } })
    const raw = connectPlain(gate.port, '127.0.0.1')
    raw.setNoDelay(true)
    await once(raw, 'connect')
    const [inner, outer] = duplexPair()
    raw.on('data', (chunk) => outer.write(chunk))
    void (async () => {
      for await (const chunk of outer) {
        for (const byte of chunk as Buffer) {
          raw.write(Buffer.from([byte]))
          await setImmediate()
        }
      }
    })()
    const socket = connectTls({ socket: inner, ca: pki.ca.cert, servername: 'localhost' })
    socket.on('error', () => {})
    await soon('the handshake', once(socket, 'secureConnect'))
    socket.write(connectPacket({ version: 4 }))
    const [answer] = (await soon('CONNACK', once(socket, 'data'))) as [Buffer]
    expect(answer).toEqual(connackPacket(4))
    const labels = { leg: 'device', version: 'TLSv1.3', result: 'full' }
    expect(await gate.metric('tls_handshakes_total', labels)).toBe(1)
    expect(await gate.metric('device_sessions', { transport: 'tls' })).toBe(1)
    const opened = gate.diary.lines('session opened')[0]
    expect(opened?.['ja4']).toMatch(/^t13d/)
    raw.destroy()
    await gate.emptied()
    expect(gate.closed).toBe(1)
  })

  test('that is resumed is counted as such', async () => {
    await using broker = await TestBroker.start({ cert, key })
    await using gate = await open({ upstream: { ports: [broker.port], ca: pki.ca.cert } })
    const options = { ca: pki.ca.cert, servername: 'localhost' }
    let session: Buffer | undefined
    {
      await using device = await Device.connectTls(gate.port, options)
      device.socket.on('session', (ticket: Buffer) => (session = ticket))
      await device.hello()
      await eventually('a ticket', () => session)
    }
    await using device = await Device.connectTls(gate.port, { ...options, session: session! })
    await device.hello()
    expect(await gate.metric('tls_handshakes_total', { leg: 'device', result: 'resumed' })).toBe(1)
  })

  test('that fails is refused, counted once, and answered with an alert', async () => {
    await using gate = await open()
    await expect(
      Device.connectTls(gate.port, { ca: pki.ca.cert, servername: 'localhost', maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }), // prettier-ignore
    ).rejects.toThrow(/alert/)
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('tls_handshakes_total', { leg: 'device', result: 'failed' })).toBe(1)
    expect(await gate.metric('rejections_total', { reason: 'tls-handshake-failed' })).toBe(1)
    expect(gate.diary.lines('connection refused')).toHaveLength(1)
  })

  test('that breaks off in the middle is refused, and leaves nothing', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    await device.send(await clientHello())
    await device.bytes(1)
    device.end()
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('rejections_total', { reason: 'tls-handshake-failed' })).toBe(1)
  })

  test('that resets in the middle is refused, and leaves nothing', async () => {
    await using gate = await open()
    await using device = await Device.connect(gate.port)
    await device.send(await clientHello())
    await device.bytes(1)
    device.socket.resetAndDestroy()
    await gate.emptied()
    expect(gate.closed).toBe(1)
    expect(await gate.metric('rejections_total', { reason: 'tls-handshake-failed' })).toBe(1)
  })
})

test.each(['nothing', 'half a hello', 'a handshake'])('draining ends who has said %s', async (said) => {
  await using gate = await open()
  await using device = await Device.connect(gate.port)
  if (said === 'half a hello') await device.send(bytes(0x16, 3, 1))
  if (said === 'a handshake') {
    await device.send(await clientHello())
    await device.bytes(1)
  }
  await eventually('the arrival', () => gate.connections.size === 1)
  gate.connection.drain()
  await device.everything()
  await gate.emptied()
  expect(gate.closed).toBe(1)
  expect(await gate.metric('rejections_total')).toBe(0)
})

/** The first flight of a TLS client, as it would be sent. */
async function clientHello(): Promise<Buffer> {
  const [inner, outer] = duplexPair()
  const socket = connectTls({ socket: inner, servername: 'localhost' })
  socket.on('error', () => {})
  const [hello] = (await once(outer, 'data')) as [Buffer]
  socket.destroy()
  return hello
}
