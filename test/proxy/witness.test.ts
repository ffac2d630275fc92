// What is noted of a broker that is not trusted, and above all: that the count of bytes sent to it is a count.

import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { createMetrics } from '../../src/observe/metrics.ts'
import { dial } from '../../src/proxy/dial.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import { countWrites } from '../../src/proxy/writes.ts'
import type { TrustMemory } from '../../src/tls/memory.ts'
import { pinOf } from '../../src/tls/pins.ts'
import type { Sighting } from '../../src/tls/sighting.ts'
import { TestBroker } from '../help/broker.ts'
import { upstreamPlan, type PlanOptions } from '../help/gate.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

const never = new AbortController().signal

let pki: Pki
let genuine: Awaited<ReturnType<Pki['issue']>>
let other: Awaited<ReturnType<Pki['issue']>>
let pin: string
beforeAll(async () => {
  pki = await makePki()
  genuine = await pki.issue()
  other = await pki.issue()
  pin = pinOf(new X509Certificate(genuine.cert))
})

const silent = { serve: () => {} }

function watched(
  options: Omit<PlanOptions, 'ca'>,
  change: (plan: ReturnType<typeof upstreamPlan>) => object = () => ({}),
) {
  const sightings: Sighting[] = []
  const plan = upstreamPlan({ ca: pki.ca.cert, ...options })
  const upstream = new Upstream(
    { ...plan, ...change(plan) },
    {
      metrics: createMetrics({ version: 'test' }),
      limited: () => {},
      evidence: (sighting) => void sightings.push(sighting),
    },
  )
  return { upstream, sightings }
}

describe('the count of bytes written', () => {
  test('is what the other side gets, whichever way they were written', async () => {
    await using rogue = await TestBroker.start({ cert: genuine.chain, key: genuine.key, ...silent })
    const { context, timeouts } = upstreamPlan({ ca: pki.ca.cert, ports: [rogue.port] })
    const { socket, course } = await dial({
      host: '127.0.0.1',
      port: rogue.port,
      name: '127.0.0.1',
      context,
      session: undefined,
      timeouts,
      onTicket: () => {},
      signal: never,
    })
    const visit = await rogue.visit(0)
    expect(course.writes.count()).toBe(0)
    socket.write(Buffer.from('12345'))
    socket.write('é')
    socket.write('ff00', 'hex')
    socket.cork()
    socket.write(new Uint8Array(3))
    socket.uncork()
    socket.end('end')
    await eventually('the bytes', () => visit.received.length === 15)
    expect(course.writes.count()).toBe(15)
    await visit.untilClosed()
    expect(rogue.applicationBytes).toBe(15)
    course.hangUp()
    expect(course.writes.count()).toBe(15)
  })

  test('is no less than what Node counts, should somebody write past it', async () => {
    await using rogue = await TestBroker.start({ cert: genuine.chain, key: genuine.key, ...silent })
    const socket = connect({ host: '127.0.0.1', port: rogue.port, ca: pki.ca.cert })
    const write = Reflect.get(socket, 'write') as (text: string) => void
    const writes = countWrites(socket)
    await once(socket, 'secureConnect')
    expect(writes.count()).toBe(0)
    Reflect.apply(write, socket, ['past'])
    const visit = await rogue.visit(0)
    await eventually('the bytes', () => visit.received.length === 4)
    expect(writes.count()).toBe(4)
    socket.destroy()
  })

  test('includes what was asked for before the handshake was done', async () => {
    await using rogue = await TestBroker.start({ cert: genuine.chain, key: genuine.key, ...silent })
    const socket = connect({ host: '127.0.0.1', port: rogue.port, ca: pki.ca.cert })
    const writes = countWrites(socket)
    socket.write('early')
    expect(writes.count()).toBe(5)
    socket.on('error', () => {})
    socket.destroy()
  })

  test('ends when the broker is trusted, and nothing is changed by it', async () => {
    await using broker = await TestBroker.start({ cert: genuine.chain, key: genuine.key, ...silent })
    const { upstream, sightings } = watched({ ports: [broker.port], pins: [pin] })
    const { socket } = await upstream.connect(never)
    const plain = Object.getPrototypeOf(socket) as object
    for (const name of ['write', 'end']) expect(Reflect.get(socket, name)).toBe(Reflect.get(plain, name))
    socket.end('hello')
    const visit = await broker.visit(0)
    await visit.untilClosed()
    expect(visit.received.toString()).toBe('hello')
    expect(sightings).toEqual([])
  })
})

describe('a sighting', () => {
  test('has what was served, who waited, when, and no byte sent', async () => {
    await using rogue = await TestBroker.start({ cert: other.chain, key: other.key, ...silent })
    const { upstream, sightings } = watched({ ports: [rogue.port], pins: [pin], timeouts: { distrust: 0 } })
    const before = Date.now()
    await Promise.allSettled([upstream.connect(never), upstream.connect(never)])
    const after = Date.now()
    expect(sightings).toHaveLength(2)
    const [first, second] = sightings
    expect(first).toMatchObject({
      upstream: 'hospital',
      server: `127.0.0.1:${rogue.port}`,
      address: `127.0.0.1:${rogue.port}`,
      verdict: 'likely-rotation',
      causes: ['pin-mismatch'],
      configuredPins: [pin],
      applicationBytesSent: 0,
      facts: { protocol: 'TLSv1.3', group: 'X25519MLKEM768', resumed: false },
    })
    expect([first?.sessionsHeldBack, second?.sessionsHeldBack]).toContain(2)
    expect(first?.facts?.served[0]?.fingerprint256).toBe(new X509Certificate(other.cert).fingerprint256)
    const { dialBegan, connected, handshakeEnded, verdictGiven, socketDestroyed } = first!.passage
    const times = [
      before,
      dialBegan,
      connected ?? 0,
      handshakeEnded ?? 0,
      verdictGiven,
      socketDestroyed,
      after,
    ]
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    await eventually('the end', () => rogue.visits.length + rogue.failures.length === 2)
    expect(rogue.applicationBytes).toBe(0)
  })

  test('comes of the canary too, and holds nobody back', async () => {
    await using rogue = await TestBroker.start({ cert: other.chain, key: other.key, ...silent })
    const { upstream, sightings } = watched({ ports: [rogue.port], pins: [pin] })
    await upstream.probe(never)
    expect(sightings).toMatchObject([
      { causes: ['pin-mismatch'], sessionsHeldBack: 0, applicationBytesSent: 0 },
    ])
    expect(sightings[0]?.passage.socketDestroyed).toBeGreaterThan(0)
  })

  test('comes of a handshake that fails because less is offered, without a chain', async () => {
    const plain = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    const port = await listen(plain)
    const { upstream, sightings } = watched({ ports: [port] })
    await upstream.connect(never).catch(() => {})
    await using weak = await TestBroker.start({
      cert: genuine.chain,
      key: genuine.key,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    })
    const old = watched({ ports: [weak.port] })
    await old.upstream.probe(never)
    plain.close()
    expect(sightings).toMatchObject([{ verdict: 'downgraded', causes: ['not-tls'], facts: undefined }])
    expect(old.sightings).toMatchObject([{ verdict: 'downgraded', causes: ['downgraded'], facts: undefined }])
    for (const { passage, applicationBytesSent } of [...sightings, ...old.sightings]) {
      expect(passage.connected).toBeTypeOf('number')
      expect([passage.handshakeEnded, applicationBytesSent]).toEqual([undefined, 0])
    }
  })

  test('comes of a defect in judging', async () => {
    await using broker = await TestBroker.start({ cert: genuine.chain, key: genuine.key, ...silent })
    const memory = { recall: () => { throw new Error('a defect') } } as unknown as TrustMemory // prettier-ignore
    const { upstream, sightings } = watched({ ports: [broker.port] }, ({ trust }) => ({
      trust: { ...trust, memory },
    }))
    await upstream.connect(never).catch(() => {})
    expect(sightings).toMatchObject([{ verdict: 'unjudged', reasons: ['a defect'], applicationBytesSent: 0 }])
  })

  test('does not come of a server that is only away', async () => {
    const gone = createServer()
    const port = await listen(gone)
    gone.close()
    const { upstream, sightings } = watched({ ports: [port] })
    await upstream.connect(never).catch(() => {})
    await upstream.probe(never)
    expect(sightings).toEqual([])
  })
})

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
