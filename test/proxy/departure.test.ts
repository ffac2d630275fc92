// How a connection to a broker sets out: its bounds, and what it rejects with.

import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Native } from '../../src/net/native.ts'
import { depart, type Caller } from '../../src/proxy/departure.ts'
import { deadPort } from '../help/mute.ts'

const server = createServer()
let port = 0

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

const caller = {
  source: { address: '192.0.2.7', port: 49_152 },
  destination: { address: '192.0.2.1', port: 1883 },
}

/** Sockets that never get anywhere, as where a firewall swallows them. */
function swallowed(): { readonly native: Native; readonly made: Socket[] } {
  const made: Socket[] = []
  const native = {
    outgoing: () => {
      const socket = new Socket()
      socket.connect = () => socket
      made.push(socket)
      return socket
    },
  }
  return { native: native as unknown as Native, made }
}

const journey = (more: {
  caller?: Caller
  host?: string
  to?: number
  timeout?: number
  signal?: AbortSignal
}) => ({
  to: { host: more.host ?? '127.0.0.1', port: more.to ?? port },
  caller: more.caller,
  announce: 'v1' as const,
  timeout: more.timeout ?? 5000,
  signal: more.signal ?? new AbortController().signal,
})

test('a connection that stands has the header written to it, and its time', async () => {
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const { socket, connectTime } = await depart(journey({ caller: { ...caller, disguise: undefined } }))
  const [peer] = await accepted
  const [header] = (await once(peer, 'data')) as [Buffer]
  expect(header.toString()).toBe('PROXY TCP4 192.0.2.7 192.0.2.1 49152 1883\r\n')
  expect(connectTime).toBeGreaterThan(0)
  for (const one of [socket, peer]) one.destroy()
})

test('nobody there: the system’s own code, and no socket is left', async () => {
  await expect(depart(journey({ to: await deadPort() }))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('no answer: a timeout of ours, and the socket is destroyed', async () => {
  const { native, made } = swallowed()
  const going = depart(journey({ caller: { ...caller, disguise: native }, timeout: 30 }))
  await expect(going).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  expect(made.map(({ destroyed }) => destroyed)).toEqual([true])
})

test('given up on the way, or before it began', async () => {
  const { native, made } = swallowed()
  const control = new AbortController()
  const going = depart(journey({ caller: { ...caller, disguise: native }, signal: control.signal }))
  control.abort()
  await expect(going).rejects.toMatchObject({ name: 'AbortError' })
  await expect(
    depart(journey({ caller: { ...caller, disguise: native }, signal: AbortSignal.abort() })),
  ).rejects.toMatchObject({ code: 'ABORT_ERR' })
  expect(made.every(({ destroyed }) => destroyed)).toBe(true)
})

test('a broker without an address of the device’s IP version is told apart from one that is away', async () => {
  const { native, made } = swallowed()
  const going = depart(journey({ host: '::1', caller: { ...caller, disguise: native } }))
  await expect(going).rejects.toMatchObject({ code: 'ERR_NO_COMMON_ADDRESS' })
  expect(made).toEqual([])
})
