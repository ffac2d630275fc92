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
