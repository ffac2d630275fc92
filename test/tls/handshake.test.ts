import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { connect, createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import fc from 'fast-check'
import { beforeAll, describe as suite, expect, test } from 'vitest'
import { brokerContext, brokerOptions } from '../../src/tls/contexts.ts'
import type { BrokerContext, BrokerTls } from '../../src/tls/contexts.ts'
import { explainFailure, FAILURES } from '../../src/tls/failure.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { impostorKey } from '../help/impostor.ts'
import { withoutMlKem } from '../help/hello-edit.ts'
import { makePki } from '../help/pki.ts'
import type { Pki } from '../help/pki.ts'
import { Wire } from '../help/wire.ts'
import { listen, shakeHands, startTls } from './broker.ts'

let pki: Pki
let leaf: Identity

beforeAll(async () => {
  pki = await makePki()
  leaf = await pki.issue()
})

function context(options: Partial<BrokerTls> = {}): BrokerContext {
  return brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.3', postQuantum: 'prefer', ...options })
}

/** The first error of a connection, before or after its handshake. */
async function failure(port: number, using: BrokerContext, session?: Buffer): Promise<unknown> {
  const options = { port, host: '127.0.0.1', ...brokerOptions(using, 'localhost') }
  const socket = connect({ ...options, ...(session && { session }) })
  socket.resume()
  const [error] = await once(socket, 'close').then(
    () => [new Error('closed without an error')],
    (thrown: unknown) => [thrown],
  )
  socket.destroy()
  return error
}

function tlsServer(options: TlsOptions): Server {
  const server = createTlsServer({ cert: leaf.cert, key: leaf.key, ...options }, (socket) => {
    socket.on('error', () => {})
    socket.resume()
  })
  server.on('tlsClientError', () => {})
  return server
}

function onFirstBytes(answer: (socket: Socket) => void): Server {
  return createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
  })
}

suite('facts of a handshake', () => {
  test('reads version, cipher, group and the chain as served, junk included', async () => {
    const middle = await pki.intermediate()
    const own = await pki.issue({ ca: middle })
    const junk = (await makePki('Junk')).ca
    await using broker = await startTls({ cert: own.chain + junk.cert, key: own.key })
    const { facts } = await shakeHands(broker.port, context())
    expect(facts).toMatchObject({
      name: 'localhost',
      authorized: true,
      errorCode: undefined,
      protocol: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      group: 'X25519MLKEM768',
      resumed: false,
    })
    expect(facts.served.map(({ subject }) => subject.replace(/^.*CN=/s, ''))).toEqual([
      'localhost',
      'Test Intermediate CA',
      'Junk',
    ])
    expect(facts.served.map(pinOf)).toHaveLength(3)
    expect(broker.received).toEqual([])
  })

  test('reads at most sixteen served certificates', async () => {
    const junk = (await makePki('Junk')).ca.cert.repeat(30)
    await using broker = await startTls({ cert: leaf.cert + junk, key: leaf.key })
    const { facts } = await shakeHands(broker.port, context())
    expect(facts.served).toHaveLength(16)
  })

  test('carries OpenSSL’s code where it refuses the chain', async () => {
    await using broker = await startTls({ cert: leaf.cert, key: leaf.key })
    const other = (await makePki('Other')).ca.cert
    const { facts } = await shakeHands(broker.port, context({ ca: [other] }))
    expect(facts.authorized).toBe(false)
    expect(facts.errorCode).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  })

  test('names groups alike in TLS 1.2 and 1.3', async () => {
    for (const [ecdhCurve, name] of [
      ['X25519', 'X25519'],
      ['P-256', 'P-256'],
      ['P-384', 'P-384'],
    ] as const) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        await using broker = await startTls({ cert: leaf.cert, key: leaf.key, ecdhCurve, maxVersion })
        const { facts } = await shakeHands(broker.port, context({ minVersion: 'TLSv1.2' }))
        expect([facts.protocol, facts.group]).toEqual([maxVersion, name])
      }
    }
  })
})

suite('reasons of a failure', () => {
  test('a broker with TLS 1.2 only is a downgrade', async () => {
    await using broker = await listen(tlsServer({ maxVersion: 'TLSv1.2' }))
    expect(explainFailure(await failure(broker.port, context())).reason).toBe('downgraded')
  })

  test('a broker without post-quantum groups is refused where they are required', async () => {
    await using broker = await listen(tlsServer({ ecdhCurve: 'X25519:P-256' }))
    const error = await failure(broker.port, context({ postQuantum: 'require' }))
    expect(explainFailure(error, { postQuantum: 'require' }).reason).toBe('group-refused')
    expect(explainFailure(error).reason).toBe('tls-alert')
  })

  test.each([
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'not-tls'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'not-tls'],
  ])('a plaintext answer is not TLS: %j', async (text, reason) => {
    await using broker = await listen(onFirstBytes((socket) => socket.end(text)))
    expect(explainFailure(await failure(broker.port, context())).reason).toBe(reason)
  })

  test('a broker that wants a client certificate, or another one, says so', async () => {
    const wants = { requestCert: true, rejectUnauthorized: true, ca: pki.ca.cert }
    await using broker = await listen(tlsServer(wants))
    expect(explainFailure(await failure(broker.port, context())).reason).toBe('client-certificate')

    const mine = await pki.issue({ purpose: 'client', names: [] })
    await using accepting = await startTls({ cert: leaf.cert, key: leaf.key, ...wants })
    const trusted = context({ clientCertificate: { cert: mine.cert, key: mine.key } })
    expect((await shakeHands(accepting.port, trusted)).facts.authorized).toBe(true)
  })

  test('a port nobody listens on refuses', async () => {
    const server = createServer()
    const { port } = await listen(server)
    server.close()
    await once(server, 'close')
    expect(explainFailure(await failure(port, context())).reason).toBe('refused')
  })

  test('a reset and a hang-up in mid-handshake differ', async () => {
    await using resetting = await listen(onFirstBytes((socket) => socket.resetAndDestroy()))
    expect(explainFailure(await failure(resetting.port, context())).reason).toBe('reset')
    await using closing = await listen(onFirstBytes((socket) => socket.end()))
    expect(explainFailure(await failure(closing.port, context())).reason).toBe('closed')
  })

  test('a broken handshake is a TLS error', async () => {
    const serverHello = Buffer.from('16030300040200000000', 'hex')
    await using broker = await listen(onFirstBytes((socket) => socket.end(serverHello)))
    expect(explainFailure(await failure(broker.port, context())).reason).toBe('tls-error')
  })

  test.each(['ec', 'rsa'] as const)('a certificate without its key (%s) gives itself away', async (key) => {
    const { cert } = await pki.issue({ key })
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const stolen = { cert, key: impostorKey(cert), minVersion: version, maxVersion: version }
      await using broker = await listen(tlsServer(stolen))
      const lenient = context({ minVersion: 'TLSv1.2' })
      // RSA fails in another way nearly every time.
      for (let i = 0; i < 8; i++) {
        expect(explainFailure(await failure(broker.port, lenient))).toMatchObject({
          reason: 'copied-certificate',
          suspicion: { verdict: 'likely-mitm', says: expect.stringContaining('could not sign') },
        })
      }
    }
  })

  test.each([
    ['prefer', false],
    ['prefer', true],
    ['require', true],
  ] as const)(
    'a ClientHello that was changed on its way is found out (%s, with a ticket: %s)',
    async (postQuantum, resumes) => {
      await using broker = await startTls({ cert: leaf.cert, key: leaf.key })
      await using wire = await Wire.lay({ to: broker.port, rewrite: withoutMlKem })
      const using = context({ postQuantum })
      const { session } = resumes ? await shakeHands(broker.port, using) : {}
      expect(explainFailure(await failure(wire.port, using, session))).toMatchObject({
        reason: 'tampered',
        suspicion: { verdict: 'likely-mitm' },
      })
    },
  )

  test.each([
    ['ENOTFOUND', 'dns'],
    ['EAI_AGAIN', 'dns'],
    ['ETIMEDOUT', 'timeout'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ENETUNREACH', 'unreachable'],
    ['EACCES', 'blocked'],
    ['EMFILE', 'emfile'],
    ['ENFILE', 'emfile'],
    ['EPIPE', 'reset'],
    ['ABORT_ERR', 'cancelled'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'downgraded'],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'client-certificate'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'client-certificate'],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 'tls-alert'],
    ['ERR_SSL_SOMETHING_NEW', 'tls-error'],
    ['SOMETHING_ELSE', 'other'],
  ])('%s is %s', (code, reason) => {
    const error = Object.assign(new Error('x'), { code })
    expect(explainFailure(error).reason).toBe(reason)
    expect(explainFailure(new AggregateError([new Error('no code'), error])).reason).toBe(reason)
  })

  test('anything thrown gets a reason of the bounded set and a hint', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        const { reason, hint } = explainFailure(thrown)
        expect(FAILURES).toContain(reason)
        expect(hint.length).toBeGreaterThan(10)
      }),
    )
  })
})
