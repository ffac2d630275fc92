import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { OwnEnds } from '../../src/net/own-ends.ts'

test('a connection of our own is known by its other end, for as long as it is open', async () => {
  // Most machines are dual-stack: there our IPv4 address comes in IPv6 clothes.
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const own = new OwnEnds()
  const ends = async (): Promise<readonly [Socket, Socket]> => {
    const client = connect(port, '127.0.0.1')
    const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
      [Socket],
      [],
    ]
    return [client, accepted]
  }
  const [ours, fromUs] = await ends()
  expect(own.has(fromUs)).toBe(false)
  own.add(ours)
  const [theirs, fromThem] = await ends()
  expect([own.has(fromUs), own.has(fromThem)]).toEqual([true, false])
  ours.destroy()
  await once(ours, 'close')
  expect(own.has(fromUs)).toBe(false)
  for (const socket of [theirs, fromUs, fromThem]) socket.destroy()
  server.close()
})

test('a device on this machine whose port we have too, towards somewhere else, is not us', () => {
  const own = new OwnEnds()
  const here = { localAddress: '127.0.0.1', localPort: 1883 }
  const there = { remoteAddress: '127.0.0.1', remotePort: 8883 }
  own.add({ localAddress: '127.0.0.1', localPort: 40_000, ...there, once: () => own as never })
  const accepted = { ...here, remoteAddress: '::ffff:127.0.0.1', remotePort: 40_000 }
  expect(own.has(accepted)).toBe(false)
  expect(own.has({ ...accepted, remoteAddress: '127.0.0.2' }, { address: '127.0.0.1', port: 8883 })).toBe(
    false,
  )
  // Redirected, it wanted to go where we did: nobody else can have both ends.
  expect(own.has(accepted, { address: '127.0.0.1', port: 8883 })).toBe(true)
})
