// What is told of trust that was given: brokers let through against their pins, and what ends soon.
import { X509Certificate } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { LineLimiter } from '../../src/observe/limit.ts'
import { limitLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import { CrlShelf, CrlSource } from '../../src/tls/crl-source.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker } from '../help/broker.ts'
import { Diary } from '../help/diary.ts'
import { Exposition } from '../help/exposition.ts'
import { upstreamPlan, type PlanOptions } from '../help/gate.ts'
import { makePki, type Pki } from '../help/pki.ts'

const day = 86_400_000
const never = new AbortController().signal
const passed = 'broker let through against its pins, for pinMode is report'

let pki: Pki
let identity: { cert: string; key: string }
let other: string
beforeAll(async () => {
  pki = await makePki()
  const { chain, key } = await pki.issue()
  identity = { cert: chain, key }
  other = pinOf(new X509Certificate((await pki.issue()).cert))
})

function wayTo(options: Omit<PlanOptions, 'ca'>) {
  const diary = new Diary()
  const metrics = createMetrics({ version: 'test' })
  const limiter = new LineLimiter({ clock: () => performance.now(), burst: 1000, rate: 1000 })
  const plan = upstreamPlan({ ca: pki.ca.cert, ...options })
  const servers = plan.servers.map(({ port }) => `127.0.0.1:${port}`)
  metrics.adopted({
    listeners: [],
    upstreams: [{ name: plan.name, servers, pins: 0 }],
    sha256: '',
    version: 1,
    at: 0,
  })
  const upstream = new Upstream(plan, { metrics, limited: limitLog(diary.log, limiter, metrics) })
  return {
    upstream,
    diary,
    visit: async (): Promise<void> => void (await upstream.connect(never)).socket.destroy(),
    metric: async (name: string) => new Exposition(await metrics.expose()).value(`pulseward_${name}`),
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

test('a mismatch that only reports is counted each time, written once a server and leaf, and shown', async () => {
  await using broker = await TestBroker.start(identity)
  await using again = await TestBroker.start(identity)
  using way = wayTo({ ports: [broker.port, again.port], pins: [other], pinMode: 'report' })
  await way.upstream.probe(never)
  await way.visit()
  await way.visit()
  expect(way.upstream.trusted).toBe(true)
  expect(await way.metric('upstream_pin_mismatches_reported_total')).toBe(4)
  expect(await way.metric('upstream_verify_failures_total')).toBe(0)
  const lines = way.diary.lines(passed)
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatchObject({ level: 'error', upstream: 'hospital', verdict: 'likely-rotation' })
  const [first] = way.upstream.servers
  expect(first?.verdict).toBe('trusted')
  expect(first?.reasons).toEqual([
    expect.stringMatching(/^let through by pinMode: none of the 1 pinned keys/),
  ])
})

test('what was noticed and let through is written once a server, leaf and sentence', async () => {
  await using broker = await TestBroker.start(identity)
  const source = new CrlSource('/lists/ca.crl')
  const revocation = { staple: 'check', unknown: 'accept', lists: new CrlShelf([source]) } as const
  using way = wayTo({ ports: [broker.port], revocation })
  await way.upstream.probe(never)
  await way.visit()
  await way.visit()
  const lines = way.diary.lines('broker trusted, though something is missing')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({
    level: 'warn',
    upstream: 'hospital',
    remarks: [
      expect.stringMatching(/^whether ".*" is revoked is not known: there is no list of its issuer$/),
    ],
  })
})

test('what ends within warnBefore is told of once a day', async () => {
  await using broker = await TestBroker.start(identity)
  // The certificates of the PKI are good for nine days more.
  using way = wayTo({
    ports: [broker.port],
    pins: [pinOf(new X509Certificate(identity.cert)), { pin: other, notAfter: Date.now() + 2.5 * day }],
    warnBefore: 5 * day,
  })
  await way.visit()
  await way.visit()
  expect(way.diary.lines('a certificate of the broker ends soon')).toEqual([])
  expect(way.diary.lines('a pin of the broker ends soon')).toHaveLength(1)
  expect(way.diary.lines('a pin of the broker ends soon')[0]).toMatchObject({
    level: 'warn',
    pin: other,
    daysLeft: 2,
  })
  way.upstream.remind(Date.now() + 6 * day)
  expect(way.diary.lines('a certificate of the broker ends soon')).toHaveLength(2)
  expect(way.diary.lines('a pin of the broker ends soon')[1]).toMatchObject({ daysLeft: -4 })
})
