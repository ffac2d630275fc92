// What the canary keeps, counts and tells of each address of a server.

import { beforeAll, describe, expect, test } from 'vitest'
import { createMetrics } from '../../src/observe/metrics.ts'
import type { Lookup } from '../../src/net/resolve.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { Diary } from '../help/diary.ts'
import { Exposition } from '../help/exposition.ts'
import { upstreamPlan } from '../help/gate.ts'
import { Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

const never = new AbortController().signal
const host = 'broker.ward.example'
const notTrusted = 'broker not trusted; nothing was sent to it'
const split = 'an address of a broker is not trusted while others are'

let pki: Pki
let genuine: BrokerOptions
let rogue: BrokerOptions
beforeAll(async () => {
  pki = await makePki()
  const served = await pki.issue({ names: [host] })
  genuine = { cert: served.chain, key: served.key }
  const forged = await pki.issue({ names: [host], ca: await pki.rogue() })
  rogue = { cert: forged.chain, key: forged.key }
})

/** An upstream of one server with that name, which resolves to what the test says. */
function patrolled(port: number, answers: { addresses: readonly string[] | Error }, timeouts = {}) {
  let now = 1_000_000
  const diary = new Diary()
  const metrics = createMetrics({ version: 'test' })
  const plan = { ...upstreamPlan({ ports: [], ca: pki.ca.cert, timeouts }), servers: [{ host, port }] }
  const server = `${host}:${port}`
  metrics.adopted({
    listeners: [],
    upstreams: [{ name: plan.name, servers: [server], pins: 0 }],
    sha256: '0'.repeat(64),
    version: 1,
    at: 0,
  })
  const lookup: Lookup = async () => {
    if (answers.addresses instanceof Error) throw answers.addresses
    return answers.addresses
  }
  const upstream = new Upstream(plan, {
    metrics,
    limited: (level, _kind, fields, message) => diary.log[level](fields, message),
    clock: () => now,
    lookup,
  })
  return {
    upstream,
    diary,
    pass: (milliseconds: number) => (now += milliseconds),
    exposition: async () => new Exposition(await metrics.expose()),
    metric: async (name: string, labels = {}) =>
      new Exposition(await metrics.expose()).value(`pulseward_${name}`, labels),
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

/** Both on one port: the first on 127.0.0.1, the second on 127.0.0.2. */
async function pair(first: BrokerOptions, second: BrokerOptions) {
  const one = await TestBroker.start(first)
  const two = await TestBroker.start({ ...second, host: '127.0.0.2', port: one.port })
  return {
    one,
    two,
    port: one.port,
    [Symbol.asyncDispose]: async () => {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
    },
  }
}

const both = { addresses: ['127.0.0.1', '127.0.0.2'] }

describe('a server with two addresses', () => {
  test('is trusted when both are; each has its metrics, and its line once', async () => {
    await using brokers = await pair(genuine, genuine)
    using watch = patrolled(brokers.port, both)
    await watch.upstream.probe(never)
    await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([
      {
        verdict: 'trusted',
        reasons: [],
        addresses: [
          { address: '127.0.0.1', verdict: 'trusted', reasons: [], checkedAt: expect.any(Number) },
          { address: '127.0.0.2', verdict: 'trusted' },
        ],
      },
    ])
    const labels = { upstream: 'hospital', server: `${host}:${brokers.port}`, address: '127.0.0.2' }
    expect(await watch.metric('upstream_address_trusted', labels)).toBe(1)
    const checked = await watch.metric('upstream_address_last_check_timestamp_seconds', labels)
    expect(Math.abs(checked - Date.now() / 1000)).toBeLessThan(60)
    const told = watch.diary.lines('broker trusted').map(({ address }) => String(address))
    expect(new Set(told)).toEqual(new Set(both.addresses))
    expect(watch.diary.all).toHaveLength(2)
    expect(brokers.one.applicationBytes + brokers.two.applicationBytes).toBe(0)
  })

  test('one of which is a man in the middle is mixed: told once as an error, and counted as a finding', async () => {
    await using brokers = await pair(genuine, rogue)
    using watch = patrolled(brokers.port, both)
    await watch.upstream.probe(never)
    await watch.upstream.probe(never)
    const [server] = watch.upstream.servers
    expect(server).toMatchObject({
      verdict: 'mixed',
      addresses: [{ verdict: 'trusted' }, { verdict: 'likely-mitm' }],
    })
    expect(server?.reasons[0]).toMatch(/^127\.0\.0\.2 is likely-mitm: /)
    // Sessions go on, and judge for themselves.
    expect(watch.upstream.trusted).toBe(true)
    expect(watch.diary.lines(notTrusted)).toMatchObject([
      { level: 'error', address: '127.0.0.2', verdict: 'likely-mitm', causes: ['untrusted-chain'] },
    ])
    expect(watch.diary.lines(split)).toMatchObject([
      { level: 'error', address: '127.0.0.2', trusted: ['127.0.0.1'], server: `${host}:${brokers.port}` },
    ])
    expect(await watch.metric('findings_total', { detector: 'broker-address', severity: 'critical' })).toBe(1)
    expect(await watch.metric('upstream_address_trusted', { address: '127.0.0.1' })).toBe(1)
    expect(await watch.metric('upstream_address_trusted', { address: '127.0.0.2' })).toBe(0)
    expect(await watch.metric('upstream_trusted')).toBe(1)
    expect(await watch.metric('upstream_verify_failures_total', { verdict: 'likely-mitm' })).toBe(2)
    expect(brokers.two.knocks).toBe(2)
    expect(brokers.two.applicationBytes).toBe(0)
  })

  test('both of which are rogue is distrusted, and left alone as long as sessions leave it alone', async () => {
    await using brokers = await pair(rogue, rogue)
    using watch = patrolled(brokers.port, both, { distrust: 30_000 })
    await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([{ verdict: 'likely-mitm' }])
    expect(watch.upstream.trusted).toBe(false)
    watch.pass(29_999)
    await watch.upstream.probe(never)
    await expect(watch.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
    expect([brokers.one.knocks, brokers.two.knocks]).toEqual([1, 1])
    watch.pass(2)
    await watch.upstream.probe(never)
    expect([brokers.one.knocks, brokers.two.knocks]).toEqual([2, 2])
    expect(watch.diary.lines(split)).toEqual([])
  })

  test('one of which is away can be used all the same', async () => {
    await using broker = await TestBroker.start(genuine)
    using watch = patrolled(broker.port, both)
    await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([
      { verdict: 'trusted', addresses: [{ verdict: 'trusted' }, { verdict: 'refused', suspect: false }] },
    ])
    expect(watch.diary.lines('broker not reached; nothing was sent to it')).toMatchObject([
      { level: 'warn', address: '127.0.0.2', reason: 'refused' },
    ])
  })

  test('is suspect where it answers without TLS', async () => {
    await using plain = await TestBroker.startPlain(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
    using watch = patrolled(plain.port, { addresses: ['127.0.0.1'] })
    await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([
      { verdict: 'downgraded', addresses: [{ causes: ['not-tls'], suspect: true }] },
    ])
    expect(watch.upstream.trusted).toBe(false)
    expect(await watch.metric('upstream_verify_failures_total', { verdict: 'downgraded' })).toBe(1)
  })
})

describe('a change', () => {
  test('of verdict is told, both ways, and once', async () => {
    const one = await TestBroker.start(genuine)
    const { port } = one
    using watch = patrolled(port, { addresses: ['127.0.0.1'] }, { distrust: 0 })
    await watch.upstream.probe(never)
    await one[Symbol.asyncDispose]()
    {
      await using wrong = await TestBroker.start({ ...rogue, port })
      for (let i = 0; i < 3; i++) await watch.upstream.probe(never)
      expect(watch.upstream.servers).toMatchObject([{ verdict: 'likely-mitm' }])
      expect(wrong.knocks).toBe(3)
    }
    await using again = await TestBroker.start({ ...genuine, port })
    for (let i = 0; i < 3; i++) await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([{ verdict: 'trusted', reasons: [] }])
    expect(again.knocks).toBe(3)
    expect(watch.diary.all.map(({ msg }) => msg)).toEqual(['broker trusted', notTrusted, 'broker trusted'])
  })

  test('of the addresses takes away the metrics of those that are gone', async () => {
    await using brokers = await pair(genuine, genuine)
    const answers: { addresses: readonly string[] } = { addresses: both.addresses }
    using watch = patrolled(brokers.port, answers)
    await watch.upstream.probe(never)
    answers.addresses = ['127.0.0.2']
    await watch.upstream.probe(never)
    const series = (await watch.exposition()).series('pulseward_upstream_address_trusted')
    expect(series.map(({ labels }) => labels['address'])).toEqual(['127.0.0.2'])
  })

  test('a name that does not resolve any more is told once; what was known of its addresses stays', async () => {
    await using broker = await TestBroker.start(genuine)
    const answers: { addresses: readonly string[] | Error } = { addresses: ['127.0.0.1'] }
    using watch = patrolled(broker.port, answers)
    await watch.upstream.probe(never)
    answers.addresses = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    for (let i = 0; i < 3; i++) await watch.upstream.probe(never)
    expect(watch.upstream.trusted).toBe(false)
    expect(watch.upstream.servers).toMatchObject([{ verdict: 'dns', addresses: [{ verdict: 'trusted' }] }])
    expect(watch.diary.lines('broker not reached; nothing was sent to it')).toMatchObject([{ reason: 'dns' }])
    answers.addresses = ['127.0.0.1']
    await watch.upstream.probe(never)
    expect(watch.upstream.servers).toMatchObject([{ verdict: 'trusted' }])
    expect(watch.diary.lines('the name of a broker resolves again')).toHaveLength(1)
  })

  test('to more addresses than are looked after is told once', async () => {
    await using broker = await TestBroker.start(genuine)
    using watch = patrolled(broker.port, {
      addresses: Array.from({ length: 18 }, (_, at) => `127.0.0.${at + 1}`),
    })
    await watch.upstream.probe(never)
    await watch.upstream.probe(never)
    expect(watch.upstream.servers[0]?.addresses).toHaveLength(16)
    expect(watch.diary.lines('a broker has more addresses than are looked after')).toMatchObject([
      { level: 'warn', looked: 16, omitted: 2 },
    ])
  })
})

test('a session that meets a trusted broker at an address changes what is known of that address', async () => {
  const one = await TestBroker.start(rogue)
  const { port } = one
  const plan = {
    ...upstreamPlan({ ports: [], ca: pki.ca.cert, serverName: host, timeouts: { distrust: 0 } }),
  }
  const diary = new Diary()
  using metrics = createMetrics({ version: 'test' })
  const upstream = new Upstream(
    { ...plan, servers: [{ host: 'localhost', port }] },
    {
      metrics,
      limited: (level, _kind, fields, message) => diary.log[level](fields, message),
      lookup: async () => both.addresses,
    },
  )
  await using two = await TestBroker.start({ ...rogue, host: '127.0.0.2', port })
  await upstream.probe(never)
  expect(upstream.servers).toMatchObject([{ verdict: 'likely-mitm' }])
  await one[Symbol.asyncDispose]()
  await using again = await TestBroker.start({ ...genuine, port })
  const { socket } = await upstream.connect(never)
  socket.destroy()
  expect(upstream.servers).toMatchObject([
    { verdict: 'mixed', addresses: [{ verdict: 'trusted' }, { verdict: 'likely-mitm' }] },
  ])
  expect(again.applicationBytes + two.applicationBytes).toBe(0)
})

test('a round that is broken off changes nothing', async () => {
  await using mute = await Mute.start()
  using watch = patrolled(mute.port, { addresses: ['127.0.0.1'] })
  const leaving = new AbortController()
  const probing = watch.upstream.probe(leaving.signal)
  await eventually('a connection', () => mute.seen[0])
  leaving.abort()
  await probing
  expect(watch.upstream.servers).toMatchObject([{ verdict: 'unchecked', checkedAt: 0 }])
  expect(watch.diary.all).toEqual([])
})
