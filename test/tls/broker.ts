// A TLS server on loopback for tests of the broker leg, and handshakes with it as the proxy makes them.
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { brokerOptions } from '../../src/tls/contexts.ts'
import type { BrokerContext } from '../../src/tls/contexts.ts'
import { describe, keepStaple } from '../../src/tls/handshake.ts'
import type { HandshakeFacts, Verdict } from '../../src/tls/verdict.ts'
import { answerWith } from '../help/broker.ts'

export interface Listening extends AsyncDisposable {
  readonly port: number
}

/** Listens on a free port of loopback; the end of the scope closes it and every connection. */
export async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A TLS server that greets with one byte after the handshake, so that tickets arrive before it. */
export async function startTls({
  staple,
  ...options
}: TlsOptions & { readonly staple?: Buffer | undefined }): Promise<
  Listening & { readonly received: Buffer[] }
> {
  const received: Buffer[] = []
  const server = createServer(options, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => received.push(bytes))
    socket.write('!')
  })
  server.on('tlsClientError', () => {})
  if (staple !== undefined) server.on('OCSPRequest', answerWith(staple))
  return { ...(await listen(server)), received }
}

export interface Handshake {
  readonly facts: HandshakeFacts
  /** The newest ticket that came before the greeting. */
  readonly session: Buffer | undefined
}

/** One whole handshake, described; rejects with node's error where there is none. */
export async function shakeHands(
  port: number,
  context: BrokerContext,
  options: { readonly name?: string; readonly session?: Buffer; readonly earlier?: Verdict } = {},
): Promise<Handshake> {
  const { name = 'localhost', session: offered, earlier } = options
  const { promise, resolve, reject } = Promise.withResolvers<Handshake>()
  const socket = connect({
    port,
    host: '127.0.0.1',
    ...brokerOptions(context, name),
    ...(offered === undefined ? {} : { session: offered }),
  })
  keepStaple(socket)
  let session: Buffer | undefined
  let facts: HandshakeFacts | undefined
  socket.on('session', (ticket: Buffer) => {
    session = ticket
  })
  socket.once('secureConnect', () => {
    facts = describe(socket, { name, at: Date.now(), earlier })
  })
  socket.once('data', () => {
    if (facts !== undefined) resolve({ facts, session })
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('closed')))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}
