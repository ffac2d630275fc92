// What is no MQTT, comes too slowly or is too many is refused for a reason with a name, and costs the broker nothing.

import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { connectPacket, pingreqPacket } from '../help/packets.ts'
import { readyMade, setStage, type Stage } from '../help/stage.ts'
import { eventually } from '../help/wait.ts'

const clientHello = Buffer.from('16030100050100000100', 'hex')

describe('a stranger', () => {
  let stage: Stage
  beforeAll(async () => {
    const tlsOnly = { name: 'sealed', bind: '127.0.0.1:0', accept: ['mqtts'], upstream: 'hospital' }
    const plain = { name: 'ward', bind: '127.0.0.1:0', accept: ['mqtt'], upstream: 'hospital' }
    stage = await setStage({ more: { listeners: [plain, tlsOnly] } })
  })
  afterAll(async () => await stage[Symbol.asyncDispose]())

  test.each([
    ['http', 'ward', Buffer.from('GET / HTTP/1.1\r\nHost: ward\r\n\r\n')],
    ['ssh', 'ward', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
    ['rdp', 'ward', Buffer.from('0300002f2ae00000000000', 'hex')],
    ['amqp', 'ward', Buffer.from('AMQP\0\0\x09\x01')],
    ['proxy-header-untrusted', 'ward', Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')],
    ['mqtt-without-connect', 'ward', pingreqPacket],
    ['unknown', 'ward', Buffer.from([0xff, 0xfe, 0xfd, 0xfc])],
    ['tls-not-accepted', 'ward', clientHello],
    ['plaintext-not-accepted', 'sealed', connectPacket({ version: 4 })],
    ['http', 'sealed', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('that is %s on "%s" is told apart', async (reason, listener, bytes) => {
    const { proxy, broker } = stage
    const knocks = broker.knocks
    await using device = await Device.connect(proxy.portOf(listener))
    await device.send(bytes)
    expect(await device.everything()).toEqual(Buffer.alloc(0))
    await proxy.waitForMetric('pulseward_rejections_total', { listener, reason }, 1)
    await proxy.line('connection refused', { listener, reason, address: '127.0.0.1' })
    expect(broker.knocks).toBe(knocks)
  })
})

test('a CONNECT that takes too long is not waited for, however it trickles', async () => {
  await using stage = await setStage({
    listener: readyMade,
    limits: { connectTimeout: '1s', perAddress: 100 },
  })
  const { proxy, broker } = stage
  const knocks = broker.knocks
  const hello = connectPacket({ version: 5, clientId: 'a-very-long-client-identifier'.repeat(20) })
  const slow = async (bytes: Buffer): Promise<Buffer> => {
    await using device = await Device.connect(proxy.port)
    let sent = 0
    const timer = setInterval(() => {
      device.socket.write(bytes.subarray(sent, ++sent))
    }, 200)
    try {
      return await device.everything()
    } finally {
      clearInterval(timer)
      expect(sent).toBeLessThan(bytes.length)
    }
  }
  const tlsHello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500, 1)])
  const answers = await Promise.all([slow(hello), slow(hello), slow(tlsHello)])
  // Nothing is known of their versions yet, so nothing is said.
  expect(answers.map((answer) => answer.length)).toEqual([0, 0, 0])
  await using silent = await Device.connect(proxy.port)
  await silent.everything()
  await proxy.waitForMetric('pulseward_rejections_total', { reason: 'connect-timeout' }, 4)
  await proxy.waitForMetric('pulseward_connections', {}, 0)
  expect(broker.knocks).toBe(knocks)
})

test('caps on connections, in all and from one address, hold and give way', async () => {
  await using stage = await setStage({ limits: { connections: 5, perAddress: 3 } })
  const { proxy } = stage
  await using stack = new AsyncDisposableStack()
  const from = async (localAddress: string): Promise<Device> => {
    const socket = connect({ host: '127.0.0.1', port: proxy.port, localAddress })
    const device = stack.use(new Device(socket))
    // One that is turned away may be reset before it has noticed that it was connected.
    await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), device.untilClosed()])
    return device
  }
  const joined = async (localAddress: string, clientId: string): Promise<Device> => {
    const device = await from(localAddress)
    await device.hello({ clientId })
    return device
  }
  const count = (result: string): Promise<number> => proxy.metric('pulseward_connections_total', { result })
  const first = await joined('127.0.0.1', 'a')
  await joined('127.0.0.1', 'b')
  await joined('127.0.0.1', 'c')
  const fourth = await from('127.0.0.1')
  await fourth.untilClosed()
  expect(fourth.received.length).toBe(0)
  expect(await count('over-address-limit')).toBe(1)
  await joined('127.0.0.2', 'd')
  await joined('127.0.0.2', 'e')
  const sixth = await from('127.0.0.3')
  await sixth.untilClosed()
  expect(await count('over-limit')).toBe(1)
  expect(await proxy.metric('pulseward_connections', { listener: 'ward' })).toBe(5)

  await first[Symbol.asyncDispose]()
  await proxy.waitForMetric('pulseward_connections', { listener: 'ward' }, 4)
  const again = await eventually('a place', async () => joined('127.0.0.1', 'f').catch(() => undefined))
  expect(again.ended).toBe(false)
  expect(await count('accepted')).toBe(6)
})
