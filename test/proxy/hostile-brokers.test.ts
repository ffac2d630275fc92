// Brokers that never end a handshake, or fill it with more than it may hold: given up in time, named and counted.

import { connect, type Socket } from 'node:net'
import { createServer } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { listen, startTls } from '../tls/broker.ts'
import { der, extension, makeCa, makeLeaf } from '../help/certificates.ts'
import { Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Premises } from '../help/premises.ts'
import { eventually } from '../help/wait.ts'

let pki: Pki

beforeAll(async () => {
  pki = await makePki()
})

/** What the proxy says at its start of the server at `port`, which must not be trusted nor hold it up. */
async function reasonFor(port: number): Promise<string> {
  await using premises = await Premises.prepare(pki)
  await premises.write({
    brokers: [port],
    timeouts: { handshake: '300ms' },
    tls: { minVersion: 'TLSv1.2' },
  })
  await premises.start()
  const line = await eventually('a line about the broker', () =>
    premises.diary.all.find(({ msg }) => msg === 'broker not reached; nothing was sent to it'),
  )
  const reason = String(line['reason'])
  const labels = { upstream: 'hospital', reason }
  expect(await premises.metric('upstream_dial_failures_total', labels)).toBeGreaterThan(0)
  expect(await premises.readiness()).toBe(503)
  return reason
}

/** A handshake record of TLS 1.2. */
function record(...messages: Buffer[]): Buffer {
  const content = Buffer.concat(messages)
  return Buffer.from([22, 3, 3, content.length >> 8, content.length & 0xff, ...content])
}

function message(type: number, length: number, content = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([type, length >> 16, (length >> 8) & 0xff, length & 0xff]), content])
}

const serverHello = (): Buffer => {
  // TLS 1.2, no session, ECDHE-RSA-AES256-GCM-SHA384, no compression, secure renegotiation.
  const content = Buffer.from([3, 3, ...Buffer.alloc(32, 7), 0, 0xc0, 0x30, 0, 0, 5, 0xff, 1, 0, 1, 0])
  return message(2, content.length, content)
}

/** Sends `next()` again and again, until the socket is gone; how much was sent is in `sent`. */
function pour(socket: Socket, next: () => Buffer, sent: { bytes: number }, every = 1): void {
  const timer = setInterval(() => {
    const bytes = next()
    sent.bytes += bytes.length
    if (!socket.destroyed && socket.writableLength < 1 << 20) socket.write(bytes)
  }, every)
  socket.once('close', () => clearInterval(timer))
}

describe('a handshake that does not end', () => {
  test('accepts and never speaks', async () => {
    await using broker = await Mute.start()
    expect(await reasonFor(broker.port)).toBe('timeout')
    await eventually('the connection closed', () => broker.seen[0]?.destroyed)
  })

  test.each([1, 5, 60, 200, 900])('stops after %i bytes of a genuine one', async (length) => {
    const { chain: cert, key } = await pki.issue()
    await using genuine = await startTls({ cert, key })
    await using broker = await Mute.start((socket) => {
      const behind = connect(genuine.port, '127.0.0.1')
      let left = length
      behind.on('error', () => {})
      socket.pipe(behind)
      behind.on('data', (bytes: Buffer) => {
        socket.write(bytes.subarray(0, left))
        left = Math.max(0, left - bytes.length)
      })
      socket.once('close', () => behind.destroy())
    })
    expect(await reasonFor(broker.port)).toBe('timeout')
    await eventually('the connection closed', () => broker.seen[0]?.destroyed)
  })

  test('asks for a new handshake without end', async () => {
    const sent = { bytes: 0 }
    const hellos = Buffer.concat(Array.from({ length: 1000 }, () => record(message(0, 0))))
    await using broker = await Mute.start((socket) => pour(socket, () => hellos, sent))
    expect(await reasonFor(broker.port)).toBe('timeout')
    expect(sent.bytes).toBeGreaterThan(hellos.length)
    await eventually('the connection closed', () => broker.seen[0]?.destroyed)
  })

  test('sends its certificate in fragments of one byte', async () => {
    const sent = { bytes: 0 }
    await using broker = await Mute.start((socket) => {
      socket.write(record(serverHello(), message(11, 90_000)))
      pour(socket, () => record(Buffer.from([0])), sent)
    })
    expect(await reasonFor(broker.port)).toBe('timeout')
    await eventually('the connection closed', () => broker.seen[0]?.destroyed)
  })
})

describe('more than a handshake may hold', () => {
  test('announces a certificate message of 16 MiB', async () => {
    await using broker = await Mute.start((socket) => {
      socket.write(record(serverHello(), message(11, 0xff_ff_ff)))
    })
    expect(await reasonFor(broker.port)).toBe('oversized')
  })

  test('sends nothing but empty records', async () => {
    const sent = { bytes: 0 }
    await using broker = await Mute.start((socket) => {
      socket.write(record(serverHello()))
      pour(socket, () => record(), sent)
    })
    expect(await reasonFor(broker.port)).toBe('tls-error')
    expect(sent.bytes).toBeLessThan(10_000)
  })

  test('serves a chain of ten thousand certificates', async () => {
    const root = makeCa('Crowd')
    const leaf = makeLeaf(root)
    await using broker = await startTls({ cert: leaf.cert + root.cert.repeat(9999), key: leaf.key })
    expect(await reasonFor(broker.port)).toBe('oversized')
  }, 30_000)

  test('serves a certificate of ten megabytes', async () => {
    const giant = makeLeaf(makeCa('Giant'), {
      more: [extension('1.3.6.1.4.1.99999.2', der(0x04, Buffer.alloc(10 << 20)))],
    })
    await using broker = await startTls({ cert: giant.cert, key: giant.key })
    expect(await reasonFor(broker.port)).toBe('oversized')
  }, 30_000)

  test('speaks without end after a handshake that is refused', async () => {
    const own = makeLeaf(undefined)
    const server = createServer({ cert: own.cert, key: own.key }, (socket) => {
      socket.on('error', () => {})
      pour(socket, () => Buffer.alloc(65_536), { bytes: 0 })
    })
    server.on('tlsClientError', () => {})
    await using broker = await listen(server)
    await using premises = await Premises.prepare(pki)
    await premises.write({ brokers: [broker.port] })
    await premises.start()
    await eventually('a verdict', () =>
      premises.diary.all.find(({ msg }) => msg === 'broker not trusted; nothing was sent to it'),
    )
    expect(await premises.readiness()).toBe(503)
  })
})
