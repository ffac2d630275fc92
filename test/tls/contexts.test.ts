import { once } from 'node:events'
import { createServer } from 'node:net'
import { connect, createServer as createTlsServer, TLSSocket } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { brokerContext, deviceContext } from '../../src/tls/contexts.ts'
import type { DeviceTls } from '../../src/tls/contexts.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { parseClientHello } from '../../src/tls/client-hello.ts'
import { makePki } from '../help/pki.ts'
import type { Pki } from '../help/pki.ts'
import { listen, startTls } from './broker.ts'

let pki: Pki
let rsa: Identity
let ec: Identity

beforeAll(async () => {
  pki = await makePki()
  ;[rsa, ec] = await Promise.all([pki.issue({ key: 'rsa' }), pki.issue({ key: 'ec' })])
})

interface Seen {
  readonly protocol: string | null
  readonly cipher: string
  readonly key: string | undefined
  readonly resumed: boolean
  readonly session: Buffer | undefined
}

/** A device that connects to a listener as the proxy makes one: a plain socket, then TLS upon it. */
async function device(options: ConnectionOptions, minVersion: DeviceTls['minVersion']): Promise<Seen> {
  const { context } = deviceContext({ cert: [rsa.cert, ec.cert], key: [rsa.key, ec.key], minVersion })
  return await meet(context, options)
}

async function meet(
  context: ReturnType<typeof deviceContext>['context'],
  options: ConnectionOptions,
): Promise<Seen> {
  const server = createServer((plain) => {
    const socket = new TLSSocket(plain, { isServer: true, secureContext: context })
    socket.on('error', () => {})
    socket.on('secure', () => socket.write('!'))
  })
  await using listening = await listen(server)
  const client = connect({
    port: listening.port,
    host: '127.0.0.1',
    ca: pki.ca.cert,
    servername: 'localhost',
    ...options,
  })
  let session: Buffer | undefined
  client.on('session', (ticket: Buffer) => {
    session = ticket
  })
  try {
    await once(client, 'data')
    const key = client.getPeerX509Certificate()?.publicKey.asymmetricKeyType
    const { name } = client.getCipher()
    return { protocol: client.getProtocol(), cipher: name, key, resumed: client.isSessionReused(), session }
  } finally {
    client.destroy()
  }
}

const OLD = { ciphers: 'DEFAULT:@SECLEVEL=0', minVersion: 'TLSv1' } as const

describe('the device leg', () => {
  test('a modern device gets TLS 1.3 and the ECDSA leaf', async () => {
    expect(await device({}, 'TLSv1.2')).toMatchObject({ protocol: 'TLSv1.3', key: 'ec' })
  })

  test('a device that knows only RSA gets the RSA leaf', async () => {
    const options = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } as const
    expect(await device(options, 'TLSv1.2')).toMatchObject({ protocol: 'TLSv1.2', key: 'rsa' })
  })

  test.each([
    ['TLSv1', 'TLSv1', 'TLSv1'],
    ['TLSv1', 'TLSv1.1', 'TLSv1.1'],
    ['TLSv1.1', 'TLSv1.1', 'TLSv1.1'],
    ['TLSv1.1', 'TLSv1', undefined],
    ['TLSv1.2', 'TLSv1.1', undefined],
    ['TLSv1.3', 'TLSv1.2', undefined],
  ] as const)('least %s, device at most %s: %s', async (minVersion, maxVersion, expected) => {
    const attempt = device({ ...OLD, maxVersion }, minVersion)
    if (expected === undefined) await expect(attempt).rejects.toThrow(/alert protocol version/)
    else expect((await attempt).protocol).toBe(expected)
  })

  test('RSA key exchange exists only where old TLS was asked for', async () => {
    const options = { ...OLD, maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:@SECLEVEL=0' } as const
    expect(await device(options, 'TLSv1')).toMatchObject({ protocol: 'TLSv1.2', cipher: 'AES128-SHA' })
    await expect(device(options, 'TLSv1.2')).rejects.toThrow(/handshake failure/)
  })

  test('devices resume with tickets', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { context } = deviceContext({ cert: [rsa.cert], key: [rsa.key], minVersion: 'TLSv1.2' })
      const { session } = await meet(context, { maxVersion })
      if (session === undefined) throw new Error('no ticket came')
      expect((await meet(context, { maxVersion, session })).resumed).toBe(true)
    }
  })

  test('a device cannot renegotiate', async () => {
    const { context } = deviceContext({ cert: [rsa.cert], key: [rsa.key], minVersion: 'TLSv1.2' })
    const server = createServer((plain) => {
      const socket = new TLSSocket(plain, { isServer: true, secureContext: context })
      socket.on('error', () => {})
      socket.resume()
    })
    await using listening = await listen(server)
    const options = { ca: pki.ca.cert, servername: 'localhost', maxVersion: 'TLSv1.2' } as const
    const client = connect({ port: listening.port, host: '127.0.0.1', ...options })
    await once(client, 'secureConnect')
    const { promise, resolve, reject } = Promise.withResolvers<never>()
    client.on('error', reject)
    client.renegotiate({}, (error) => (error === null ? resolve(undefined as never) : reject(error)))
    await expect(promise).rejects.toThrow(/renegotiation/)
    client.destroy()
  })

  test('the leaves shown are told, for their dates', () => {
    const { leaves } = deviceContext({
      cert: [rsa.cert, ec.cert],
      key: [rsa.key, ec.key],
      minVersion: 'TLSv1.2',
    })
    expect(leaves.map(({ fingerprint256 }) => fingerprint256)).toEqual(
      [rsa, ec].map(({ cert }) => new X509Certificate(cert).fingerprint256),
    )
  })

  test('a key of another certificate, an encrypted one and a broken one are refused without quoting them', () => {
    const make = (key: string) => () => deviceContext({ cert: [rsa.cert], key: [key], minVersion: 'TLSv1.2' })
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    })
    expect(make(ec.key)).toThrow(/does not belong/)
    expect(make(privateKey)).toThrow(/it is encrypted/)
    expect(make('secret text')).toThrow(
      expect.objectContaining({ code: 'certificate-invalid', blame: 'config' }),
    )
    expect(make('secret text')).not.toThrow(/secret/)
  })
})

describe('the broker leg', () => {
  /** What a context offers, read by our own parser. */
  async function offer(postQuantum: 'prefer' | 'require' | 'off') {
    const { context } = brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.3', postQuantum })
    const hello = Promise.withResolvers<Buffer>()
    const server = createServer((socket) => {
      let bytes = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk])
        if (parseClientHello(bytes, 0, bytes.length) !== 'more') hello.resolve(bytes)
      })
    })
    await using listening = await listen(server)
    const client = connect({ port: listening.port, host: '127.0.0.1', secureContext: context })
    client.on('error', () => {})
    const bytes = await hello.promise
    client.destroy()
    const result = parseClientHello(bytes, 0, bytes.length)
    if (typeof result === 'string' || 'error' in result) throw new Error('no hello')
    return result.hello
  }

  test('prefer offers the hybrid first and a share for brokers that lack it', async () => {
    const { groups, keyShares, versions } = await offer('prefer')
    expect(groups).toEqual([0x11ec, 0x001d, 0x0017, 0x0018])
    expect(keyShares).toEqual([0x11ec, 0x001d])
    expect(versions).toEqual([0x0304])
  })

  test('require offers hybrids only', async () => {
    const { groups, keyShares } = await offer('require')
    expect(groups).toEqual([0x11ec, 0x11eb, 0x11ed])
    expect(keyShares).toEqual([0x11ec])
  })

  test('off offers none', async () => {
    const { groups, keyShares } = await offer('off')
    expect(groups).toEqual([0x001d, 0x0017, 0x0018])
    expect(keyShares).toEqual([0x001d])
  })

  test('each hybrid of require is really spoken', async () => {
    const { context } = brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.3', postQuantum: 'require' })
    for (const group of ['X25519MLKEM768', 'SecP256r1MLKEM768', 'SecP384r1MLKEM1024']) {
      await using broker = await startTls({ cert: ec.cert, key: ec.key, ecdhCurve: group })
      const client = connect({
        port: broker.port,
        host: '127.0.0.1',
        secureContext: context,
        servername: 'localhost',
      })
      await once(client, 'secureConnect')
      expect(client.getEphemeralKeyInfo()).toMatchObject({ name: group })
      client.destroy()
    }
  })

  test('a broker cannot renegotiate, and so cannot change its certificate after the verdict', async () => {
    const { context } = brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.2', postQuantum: 'prefer' })
    const answer = Promise.withResolvers<Error | null>()
    const server = createTlsServer({ cert: ec.cert, key: ec.key, maxVersion: 'TLSv1.2' }, (socket) => {
      socket.on('error', (error) => answer.resolve(error))
      socket.resume()
      socket.renegotiate({}, (error) => answer.resolve(error))
    })
    await using listening = await listen(server)
    const client = connect({
      port: listening.port,
      host: '127.0.0.1',
      secureContext: context,
      servername: 'localhost',
    })
    client.on('error', () => {})
    client.resume()
    expect((await answer.promise)?.message).toMatch(/renegotiation/)
    client.destroy()
  })

  test('what cannot be used as CA or client certificate is refused at once', () => {
    const base = { minVersion: 'TLSv1.3', postQuantum: 'prefer' } as const
    expect(() => brokerContext({ ...base, ca: ['nothing'] })).toThrow(
      expect.objectContaining({ code: 'ca-invalid' }),
    )
    const clientCertificate = { cert: ec.cert, key: rsa.key }
    expect(() => brokerContext({ ...base, ca: [pki.ca.cert], clientCertificate })).toThrow(
      expect.objectContaining({ code: 'certificate-invalid' }),
    )
  })
})
