// One listening port: its limits, its books, and what it says when it cannot be had.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { PulsewardError } from '../../src/errors.ts'
import { Listener, type ListenerLimits, type TurnedAway } from '../../src/net/listener.ts'
import { Peer } from '../help/peer.ts'
import { eventually } from '../help/wait.ts'

interface Accepted {
  readonly socket: Socket
  readonly address: string
}

const roomy: ListenerLimits = { connections: 100, perAddress: 100 }
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)

async function open(limits: ListenerLimits = roomy, host = '127.0.0.1') {
  const accepted: Accepted[] = []
  const turnedAway: { readonly reason: TurnedAway; readonly address: string }[] = []
  const listener = await Listener.open('ward', { host, port: 0 }, limits, {
    accepted: (socket, address) => {
      socket.on('error', () => {})
      accepted.push({ socket, address })
    },
    turnedAway: (reason, address) => turnedAway.push({ reason, address }),
  })
  return {
    listener,
    accepted,
    turnedAway,
    /** Waits for the connection at `index`. */
    at: (index: number) => eventually(`connection ${index}`, () => accepted[index]),
    async [Symbol.asyncDispose]() {
      for (const { socket } of accepted) socket.destroy()
      await listener.close()
    },
  }
}

test('hands over sockets that are paused, half-open and without delay', async () => {
  await using ward = await open()
  await using device = knock(ward.listener.address.port)
  await device.send(Buffer.from('early'))
  const { socket, address } = await ward.at(0)
  expect(address).toBe('127.0.0.1')
  expect(socket.isPaused()).toBe(true)
  expect(socket.allowHalfOpen).toBe(true)
  const [chunk] = (await once(socket.resume(), 'data')) as [Buffer]
  expect(chunk.toString()).toBe('early')
  expect(ward.listener.open).toBe(1)
  expect(ward.turnedAway).toEqual([])
})

test('resets what is over its limit, and takes the next when a place is free', async () => {
  await using ward = await open({ connections: 2, perAddress: 100 })
  const { port } = ward.listener.address
  await using first = knock(port)
  await using second = knock(port)
  await ward.at(1)
  await using third = knock(port)
  await third.untilClosed()
  expect(third.error?.code).toBe('ECONNRESET')
  expect(ward.turnedAway).toEqual([{ reason: 'over-limit', address: '127.0.0.1' }])
  expect(ward.listener.open).toBe(2)
  ward.listener.release('127.0.0.1')
  await using fourth = knock(port)
  await ward.at(2)
  expect([first, second, fourth].map(({ closed }) => closed)).toEqual([false, false, false])
})

test('limits what one address may have open, and takes new limits at once', async () => {
  await using ward = await open({ connections: 100, perAddress: 1 })
  const { port } = ward.listener.address
  await using first = knock(port)
  await ward.at(0)
  await using second = knock(port)
  await second.untilClosed()
  expect(ward.turnedAway).toEqual([{ reason: 'over-address-limit', address: '127.0.0.1' }])
  ward.listener.limits = { connections: 100, perAddress: 2 }
  await using third = knock(port)
  await ward.at(1)
  expect([first.closed, third.closed]).toEqual([false, false])
})

test('another address has a place of its own', async () => {
  await using ward = await open({ connections: 100, perAddress: 1 })
  const { port } = ward.listener.address
  await using first = knock(port)
  await ward.at(0)
  await using second = knock(port, { localAddress: '127.0.0.2' })
  expect((await ward.at(1)).address).toBe('127.0.0.2')
  expect([first.closed, second.closed]).toEqual([false, false])
})

test('the books are at zero when all that came has gone', async () => {
  await using ward = await open({ connections: 3, perAddress: 2 })
  const { port } = ward.listener.address
  for (let round = 0; round < 20; round++) {
    await using device = knock(port)
    const { address } = await ward.at(round)
    expect(ward.listener.open).toBe(1)
    device.socket.destroy()
    ward.listener.release(address)
  }
  expect(ward.listener.open).toBe(0)
  // Two places for the address again, and no third: nothing drifted either way.
  await using first = knock(port)
  await using second = knock(port)
  await ward.at(21)
  await using third = knock(port)
  await third.untilClosed()
  expect(ward.turnedAway).toHaveLength(1)
  expect([first.closed, second.closed]).toEqual([false, false])
})

test.skipIf(!hasIpv6)('takes IPv4 on an IPv6 port, and knows the device by its IPv4 address', async () => {
  await using ward = await open({ connections: 100, perAddress: 1 }, '::')
  const { port } = ward.listener.address
  await using four = knock(port, { host: '127.0.0.1' })
  expect((await ward.at(0)).address).toBe('127.0.0.1')
  await using six = knock(port, { host: '::1' })
  expect((await ward.at(1)).address).toBe('::1')
  expect([four.closed, six.closed]).toEqual([false, false])
})

test('closing frees the port at once and leaves open connections alone', async () => {
  await using ward = await open()
  const { port } = ward.listener.address
  await using device = knock(port)
  const { socket } = await ward.at(0)
  await ward.listener.close()
  await using again = createServer()
  again.listen(port, '127.0.0.1')
  await once(again, 'listening')
  socket.write('still here')
  expect((await device.bytes(10)).toString()).toBe('still here')
  // Closing what is closed is no mistake; asking where it listens is.
  await ward.listener.close()
  expect(() => ward.listener.address).toThrow('listener "ward" is closed')
})

test('a port that another program holds is the fault of the configuration', async () => {
  await using other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const failure = await refusal({ host: '127.0.0.1', port })
  expect(failure).toMatchObject({
    code: 'listen-failed',
    blame: 'config',
    message: `cannot listen on "127.0.0.1:${port}": EADDRINUSE`,
    hint: expect.stringContaining('ss -ltnp'),
  })
})

test('an address that is not of this machine is told as such', async () => {
  const failure = await refusal({ host: '192.0.2.1', port: 0 })
  expect(failure).toMatchObject({ code: 'listen-failed', message: expect.stringContaining('EADDRNOTAVAIL') })
  expect(failure.hint).toContain('ip address')
})

async function refusal(bind: { host: string; port: number }): Promise<PulsewardError> {
  try {
    await Listener.open('ward', bind, roomy, { accepted: () => {}, turnedAway: () => {} })
  } catch (error) {
    if (error instanceof PulsewardError) return error
    throw error
  }
  throw new Error('it listens')
}

/** Connects without waiting: one that is turned away may be reset before it is even told of its connection. */
function knock(port: number, from: { readonly host?: string; readonly localAddress?: string } = {}): Peer {
  return new Peer(connect({ port, host: '127.0.0.1', ...from }))
}

test('a connection that another address answers for counts for that address, up to its limit', async () => {
  const limits = { connections: 10, perAddress: 1, exempt: (address: string) => address === '127.0.0.1' }
  await using ward = await open(limits)
  const { port } = ward.listener.address
  await using one = knock(port)
  await using two = knock(port)
  await ward.at(1)
  expect(one.socket.destroyed || two.socket.destroyed).toBe(false)
  expect(ward.listener.rename('127.0.0.1', '192.0.2.7')).toBe(true)
  expect(ward.listener.rename('127.0.0.1', '192.0.2.7')).toBe(false)
  expect(ward.listener.open).toBe(2)
  ward.listener.release('192.0.2.7')
  expect(ward.listener.rename('127.0.0.1', '192.0.2.7')).toBe(true)
  ward.listener.release('192.0.2.7')
  expect(ward.listener.open).toBe(0)
})
