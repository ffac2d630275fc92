// A load balancer before Pulseward says who the device is, and a broker behind it is told; nobody else is believed.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acceptAll, TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { HeaderGate } from '../help/header-gate.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'

/** Linux has all of 127.0.0.0/8 on loopback; elsewhere one address has to be both. */
const balancer = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'
const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883\r\n'
const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

describe('the PROXY protocol', () => {
  const stack = new AsyncDisposableStack()
  let pki: Pki
  let broker: TestBroker
  let gates: Record<'v1' | 'v2', HeaderGate>
  let proxy: Proxy

  beforeAll(async () => {
    pki = await makePki()
    broker = stack.use(await TestBroker.start({ ...(await pki.issue()), serve: acceptAll }))
    gates = {
      v1: stack.use(await HeaderGate.open(broker.port)),
      v2: stack.use(await HeaderGate.open(broker.port)),
    }
    const common = { limits: { perAddress: 2 }, trustedProxies: [`${balancer}/32`] }
    const listener = (name: string, more: object) => ({ name, bind: '127.0.0.1:0', ...common, ...more })
    const upstream = (version: 'v1' | 'v2') => ({
      servers: [`mqtts://127.0.0.1:${gates[version].port}`],
      tls: { ca: 'ca.pem', singlePin: 'accept' },
      proxyProtocol: version,
    })
    const config = {
      ...ward({ brokers: [broker.port] }),
      listeners: [
        listener('ward', { accept: ['mqtt'], upstream: 'one' }),
        listener('theatre', { accept: ['mqtt', 'mqtts'], upstream: 'two' }),
        listener('direct', { accept: ['mqtt'], upstream: 'two', trustedProxies: [] }),
      ],
      upstreams: { one: upstream('v1'), two: upstream('v2') },
    }
    proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } }))
  })
  afterAll(async () => await stack.disposeAsync())

  const fromBalancer = (listener: string): Promise<Device> =>
    Device.connect(proxy.portOf(listener), { localAddress: balancer })
  const rejected = async (listener: string, reason: string, least = 1): Promise<number> =>
    await proxy.waitForMetric('pulseward_rejections_total', { listener, reason }, (count) => count >= least)

  test('the device a trusted proxy speaks for is the one in the log, and the broker is told of it', async () => {
    await using device = await fromBalancer('ward')
    await device.send(Buffer.from(header), connectPacket({ version: 4, clientId: 'behind' }))
    expect(await device.bytes(4)).toEqual(Buffer.from([0x20, 2, 0, 0]))
    await proxy.line('session opened', { address: '192.0.2.7', clientId: 'behind' })
    expect(gates.v1.headers.map(String)).toContain(header)
  })

  test('also before TLS, and byte by byte; version 2 tells the broker its TLS and an id that is in the log', async () => {
    await using plain = await fromBalancer('theatre')
    for (const byte of header) await plain.send(Buffer.from(byte))
    await using device = await Device.connectTls(proxy.portOf('theatre'), {
      socket: plain.socket,
      ca: pki.ca.cert,
      rejectUnauthorized: false,
      servername: 'gw.example',
    })
    await device.send(connectPacket({ version: 4, clientId: 'secured' }))
    expect(await device.bytes(4)).toEqual(Buffer.from([0x20, 2, 0, 0]))
    const line = await proxy.line('session opened', { address: '192.0.2.7', clientId: 'secured' })
    const told = gates.v2.headers.find((one) => one.includes(String(line['proxyId'])))!
    expect(told.subarray(0, 12)).toEqual(signature)
    // PROXY, TCP over IPv4, and the very addresses that came.
    expect(told.subarray(12, 14)).toEqual(Buffer.from([0x21, 0x11]))
    expect(told.subarray(16, 28).toString('hex')).toBe('c0000207c6336401c000075b')
    expect(told.includes(device.socket.getProtocol()!)).toBe(true)
    expect(told.includes('gw.example')).toBe(true)
  })

  test('a device that comes by itself is told of with its own address', async () => {
    await using device = await Device.join(proxy.portOf('direct'), { clientId: 'alone' })
    const line = await proxy.line('session opened', { listener: 'direct', clientId: 'alone' })
    const told = gates.v2.headers.find((one) => one.includes(String(line['proxyId'])))!
    expect(told.readUInt32BE(16)).toBe(0x7f00_0001)
    expect(told.readUInt16BE(24)).toBe(device.socket.localPort)
    expect(told.readUInt16BE(26)).toBe(proxy.portOf('direct'))
  })

  test('the canary speaks for nobody', () => {
    // Version 2, LOCAL, nothing behind; version 1 has a word for it.
    expect(gates.v2.headers[0]).toEqual(Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]))
    expect(String(gates.v1.headers[0])).toBe('PROXY UNKNOWN\r\n')
  })

  test('the limit of connections is that of the device, not of the proxy before us', async () => {
    await using all = new AsyncDisposableStack()
    for (const [index, address] of ['192.0.2.21', '192.0.2.21', '192.0.2.22', '192.0.2.23'].entries()) {
      const device = all.use(await fromBalancer('ward'))
      const own = header.replace('192.0.2.7', address)
      await device.send(Buffer.from(own), connectPacket({ version: 4, clientId: `many-${index}` }))
      expect(await device.bytes(4)).toEqual(Buffer.from([0x20, 2, 0, 0]))
    }
    const third = all.use(await fromBalancer('ward'))
    await third.send(Buffer.from(header.replace('192.0.2.7', '192.0.2.21')), connectPacket({ version: 4 }))
    expect(await third.everything()).toEqual(Buffer.alloc(0))
    await rejected('ward', 'over-address-limit')
    await proxy.line('connection refused', { reason: 'over-address-limit', address: balancer })
  })

  test.each([
    ['proxy-header-missing', connectPacket({ version: 4 })],
    ['proxy-header-malformed', Buffer.from('PROXY TCP4 192.0.2.7\r\n')],
    ['proxy-header-too-large', Buffer.concat([signature, Buffer.from('2111ffff', 'hex')])],
  ])('a trusted proxy that begins otherwise is refused: %s', async (reason, begin) => {
    await using device = await fromBalancer('ward')
    await device.send(begin)
    expect(await device.everything()).toEqual(Buffer.alloc(0))
    await rejected('ward', reason)
  })

  test('a header from anywhere else is a finding, and nobody is served', async () => {
    for (const begin of [Buffer.from(header), Buffer.concat([signature, Buffer.from('20000000', 'hex')])]) {
      await using device = await Device.connect(proxy.portOf('direct'))
      await device.send(begin, connectPacket({ version: 4, clientId: 'forged' }))
      expect(await device.everything()).toEqual(Buffer.alloc(0))
    }
    await rejected('direct', 'proxy-header-untrusted', 2)
    const finding = { detector: 'proxy-header-untrusted', severity: 'warning', action: 'refuse' }
    expect(await proxy.metric('pulseward_findings_total', finding)).toBe(2)
    expect(proxy.lines('session opened', { clientId: 'forged' })).toEqual([])
  })
})
