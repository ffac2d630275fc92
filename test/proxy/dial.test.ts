// One handshake: how far it got when it fails, and what is left when it does not.

import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { dial, DialError, type DialOptions } from '../../src/proxy/dial.ts'
import { brokerContext, type BrokerContext } from '../../src/tls/contexts.ts'
import { TestBroker } from '../help/broker.ts'
import { deadPort, Mute } from '../help/mute.ts'
import { makePki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

let context: BrokerContext
let identity: { cert: string; key: string }

beforeAll(async () => {
  const pki = await makePki()
  const { chain: cert, key } = await pki.issue()
  identity = { cert, key }
  context = brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.3', postQuantum: 'prefer' })
})

function options(port: number, more: Partial<DialOptions> = {}): DialOptions {
  return {
    host: '127.0.0.1',
    port,
    name: 'localhost',
    context,
    session: undefined,
    timeouts: { dial: 20_000, handshake: 20_000 },
    onTicket: () => {},
    signal: new AbortController().signal,
    ...more,
  }
}

async function failureOf(promise: Promise<unknown>): Promise<DialError> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (failure instanceof DialError) return failure
  throw new Error('it did not fail as a dial fails', { cause: failure })
}

test('hands over a socket to which nothing was written, with its tickets to come', async () => {
  await using broker = await TestBroker.start({ ...identity, serve: async (visit) => await visit.send('21') })
  const tickets: Buffer[] = []
  const { socket, seconds } = await dial(
    options(broker.port, { onTicket: (session) => tickets.push(session) }),
  )
  expect(seconds).toBeGreaterThan(0)
  expect(socket.allowHalfOpen).toBe(true)
  const [greeting] = (await once(socket, 'data')) as [Buffer]
  expect(greeting).toEqual(Buffer.from('!'))
  expect(tickets.length).toBeGreaterThan(0)
  expect(broker.applicationBytes).toBe(0)
  // Only what the owner asks for is left on it.
  expect(socket.listenerCount('error')).toBe(0)
  socket.destroy()
})

test('nobody there is a failure of the dial', async () => {
  const failure = await failureOf(dial(options(await deadPort())))
  expect(failure).toMatchObject({ phase: 'dial', cause: { code: 'ECONNREFUSED' } })
})

test('a name that does not resolve is a failure of the dial', async () => {
  const failure = await failureOf(dial({ ...options(1), host: 'broker.invalid' }))
  expect(failure.phase).toBe('dial')
  expect(failure.cause).toMatchObject({ code: expect.stringMatching(/^(ENOTFOUND|EAI_)/) })
})

test('one that takes the connection and says nothing is given up', async () => {
  await using server = await Mute.start()
  const failure = await failureOf(dial(options(server.port, { timeouts: { dial: 20_000, handshake: 50 } })))
  expect(failure).toMatchObject({ phase: 'handshake', cause: { code: 'ETIMEDOUT' } })
  await eventually('the connection closed', () => server.seen[0]?.destroyed)
})

test('one that hangs up in the middle is a failure of the handshake', async () => {
  await using server = await Mute.start((socket) => socket.end())
  const failure = await failureOf(dial(options(server.port)))
  expect(failure).toMatchObject({ phase: 'handshake', cause: { code: 'ECONNRESET' } })
})

test('one that does not speak TLS is a failure of the handshake', async () => {
  await using server = await Mute.start((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const failure = await failureOf(dial(options(server.port)))
  expect(failure.phase).toBe('handshake')
  expect(failure.cause).toMatchObject({ code: expect.stringMatching(/^ERR_SSL_/) })
})

test('is given up when nobody waits any more', async () => {
  await using server = await Mute.start()
  const waiting = new AbortController()
  const dialled = failureOf(dial(options(server.port, { signal: waiting.signal })))
  await eventually('a connection', () => server.seen[0])
  waiting.abort()
  expect(await dialled).toMatchObject({ cause: { code: 'ABORT_ERR' } })
  await eventually('the connection closed', () => server.seen[0]?.destroyed)
})

test('what is done is not taken back by a late cancellation', async () => {
  await using broker = await TestBroker.start(identity)
  const waiting = new AbortController()
  const { socket } = await dial(options(broker.port, { signal: waiting.signal }))
  waiting.abort()
  expect(socket.destroyed).toBe(false)
  socket.destroy()
})
