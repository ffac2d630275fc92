// What a peer said just before it reset the connection is read, although a write to it has failed by then.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { platform } from 'node:os'
import { Duplex } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { keepLastWords } from '../../src/net/last-words.ts'
import { Child } from '../help/child.ts'
import { makePki } from '../help/pki.ts'
import { soon } from '../help/wait.ts'

let cert: string
let key: string
let ca: string

beforeAll(async () => {
  const pki = await makePki()
  ca = pki.ca.cert
  ;({ chain: cert, key } = await pki.issue())
})

/**
 * A peer in a process of its own: it greets, waits for one byte, says its last words, and resets. It goes on while the
 * event loop here stands still.
 */
const peer = `
  const { connect: plain } = require('node:net')
  const { connect: tls } = require('node:tls')
  const { duplexPair } = require('node:stream')
  const [port, ca] = process.argv.slice(1)
  const raw = plain({ host: '127.0.0.1', port: Number(port), noDelay: true })
  raw.on('error', () => {})
  const begin = (socket) => {
    socket.write('hello')
    socket.once('data', () => {
      const before = raw.bytesWritten
      // Reset as soon as the words are in the kernel.
      const reset = () => {
        if (raw.bytesWritten > before && raw.writableLength === 0) raw.resetAndDestroy()
        else setImmediate(reset)
      }
      socket.write('last words', reset)
    })
  }
  if (ca === undefined) raw.once('connect', () => begin(raw))
  else {
    // A TLS socket that has taken over a descriptor cannot be reset: this one has not.
    const [inner, outer] = duplexPair()
    raw.pipe(outer).pipe(raw)
    const socket = tls({ socket: inner, ca, servername: 'localhost' }, () => begin(socket))
    socket.on('error', () => {})
  }
`

describe.skipIf(platform() !== 'linux').each(['plain', 'tls'] as const)('%s', (transport) => {
  test('last words arrive, and the break is told once', async () => {
    const tls = transport === 'tls'
    await using server = tls
      ? createTlsServer({ allowHalfOpen: true, cert, key })
      : createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const connected = once(server, tls ? 'secureConnection' : 'connection')
    await using child = new Child(process.execPath, ['-e', peer, String(port), ...(tls ? [ca] : [])])
    const [socket] = (await soon('the peer', connected)) as [Socket]
    const broken: Error[] = []
    keepLastWords(socket, (error) => broken.push(error))
    let heard = ''
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString()
      if (heard !== 'hello') return
      socket.write('?')
      waitForReset(port, socket.remotePort ?? 0)
      // The peer is gone, and its words are in the kernel: these writes fail.
      for (let i = 0; i < 3; i++) socket.write(Buffer.alloc(100_000))
    })
    const errors: Error[] = []
    socket.on('error', (error) => errors.push(error))
    socket.on('end', () => socket.end())
    await soon('the close', new Promise((resolve) => socket.once('close', resolve)))
    expect(heard).toBe('hellolast words')
    expect(broken).toHaveLength(1)
    expect(errors.length).toBeLessThanOrEqual(1)
    expect((await child.ended).code).toBe(0)
  })
})

test('writes go through while nothing is broken, one by one and many at once', async () => {
  await using pair = await socketPair()
  const { near, far } = pair
  const broken: Error[] = []
  keepLastWords(near, (error) => broken.push(error))
  const heard: Buffer[] = []
  far.on('data', (chunk: Buffer) => heard.push(chunk))
  near.write('one ')
  near.cork()
  near.write('two ')
  near.write('three')
  near.uncork()
  near.end()
  await soon('the end', once(far, 'end'))
  expect(Buffer.concat(heard).toString()).toBe('one two three')
  expect(broken).toEqual([])
})

test('after a failed write, later ones are dropped and count as done', async () => {
  const written: string[] = []
  const socket = brittle((chunk) => {
    if (chunk === 'bad') return new Error('EPIPE')
    written.push(chunk)
    return undefined
  })
  const broken: Error[] = []
  keepLastWords(socket, (error) => broken.push(error))
  const outcomes = await Promise.all(
    ['good', 'bad', 'later', 'bad'].map(
      (chunk) =>
        new Promise<string>((resolve) => {
          socket.write(chunk, (error) => resolve(error?.message ?? 'done'))
        }),
    ),
  )
  expect(outcomes).toEqual(['done', 'done', 'done', 'done'])
  expect(written).toEqual(['good'])
  expect(broken.map(({ message }) => message)).toEqual(['EPIPE'])
  expect(socket.destroyed).toBe(false)
  expect(socket.writableLength).toBe(0)
})

test('a stream that cannot write many at once is a mistake of the caller', () => {
  const socket = new Duplex({ read() {}, write() {} }) as unknown as Socket
  expect(() => keepLastWords(socket, () => {})).toThrow(TypeError)
})

/** Stands still, the event loop with it, until the kernel has no open connection from the peer any more. */
function waitForReset(port: number, remotePort: number): void {
  const hex = (number: number): string => `:${number.toString(16).toUpperCase().padStart(4, '0')}`
  const established = '01'
  const isOpen = (): boolean =>
    readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .some(
        ([, local = '', remote = '', state]) =>
          local.endsWith(hex(port)) && remote.endsWith(hex(remotePort)) && state === established,
      )
  const until = performance.now() + 20_000
  while (isOpen()) if (performance.now() > until) throw new Error('the peer never reset')
}

/** A stream in the place of a socket, whose writes fail when `take` says so. */
function brittle(take: (chunk: string) => Error | undefined): Socket {
  const one = (chunk: Buffer): Error | undefined => take(chunk.toString())
  return new Duplex({
    read() {},
    write: (chunk: Buffer, _encoding, done) => setImmediate(() => done(one(chunk))),
    writev: (chunks: readonly { chunk: Buffer }[], done) =>
      setImmediate(() => {
        let failure: Error | undefined
        for (const { chunk } of chunks) failure ??= one(chunk)
        done(failure)
      }),
  }) as unknown as Socket
}

async function socketPair() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy()
      far.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
