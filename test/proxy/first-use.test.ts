// The first handshake with a server: its key is handed over to be stored, and nothing passes before it is.
import { X509Certificate } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { LineLimiter } from '../../src/observe/limit.ts'
import { limitLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import type { FirstUsePin } from '../../src/tls/first-use.ts'
import { pinOf } from '../../src/tls/pins.ts'
import type { Sighting } from '../../src/tls/sighting.ts'
import { TestBroker } from '../help/broker.ts'
import { Diary } from '../help/diary.ts'
import { Exposition } from '../help/exposition.ts'
import { upstreamPlan, type PlanOptions } from '../help/gate.ts'
import { makePki, type Pki } from '../help/pki.ts'

const never = new AbortController().signal

let pki: Pki
let genuine: { cert: string; key: string }
let other: { cert: string; key: string }
beforeAll(async () => {
  pki = await makePki()
  const [one, two] = [await pki.issue(), await pki.issue()]
  genuine = { cert: one.chain, key: one.key }
  other = { cert: two.chain, key: two.key }
})

const keyOf = ({ cert }: { readonly cert: string }): string => pinOf(new X509Certificate(cert))

function wayTo(options: Omit<PlanOptions, 'ca'>) {
  const diary = new Diary()
  const metrics = createMetrics({ version: 'test' })
  const limiter = new LineLimiter({ clock: () => performance.now(), burst: 1000, rate: 1000 })
  const met: FirstUsePin[] = []
  const sightings: Sighting[] = []
  const plan = upstreamPlan({ ca: pki.ca.cert, firstUse: { selfSigned: false }, ...options })
  const upstream = new Upstream(plan, {
    metrics,
    limited: limitLog(diary.log, limiter, metrics),
    evidence: (one) => void sightings.push(one),
    firstUse: (pin) => void met.push(pin),
  })
  return {
    upstream,
    diary,
    met,
    sightings,
    metric: async (name: string, labels = {}) =>
      new Exposition(await metrics.expose()).value(`pulseward_${name}`, labels),
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

const at = (port: number): string => `127.0.0.1:${port}`

test('a server nobody met is not trusted, is no incident, and has its key handed over', async () => {
  await using broker = await TestBroker.start(genuine)
  using way = wayTo({ ports: [broker.port], strangers: new Set([at(broker.port)]) })
  await expect(way.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-unreachable' })
  await way.upstream.probe(never)
  expect(way.met).toHaveLength(2)
  expect(way.met[0]).toMatchObject({
    upstream: 'hospital',
    server: at(broker.port),
    pin: keyOf(genuine),
    address: '127.0.0.1',
    at: expect.stringMatching(/^\d{4}-.*Z$/),
    subject: expect.stringContaining('CN='),
  })
  expect(way.upstream.trusted).toBe(false)
  expect(way.sightings).toEqual([])
  expect(await way.metric('upstream_dial_failures_total', { reason: 'first-use' })).toBe(2)
  expect(await way.metric('upstream_verify_failures_total')).toBe(0)
  expect(broker.applicationBytes).toBe(0)
})

test('one that was met is judged by its pin, and no other key is handed over', async () => {
  await using broker = await TestBroker.start(other)
  using way = wayTo({ ports: [broker.port], pins: [keyOf(genuine)] })
  await expect(way.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
  expect(way.met).toEqual([])
  expect(way.sightings).toMatchObject([{ verdict: 'likely-rotation', configuredPins: [keyOf(genuine)] }])
})

test('one that shows the key of another server at first is met by that: the next key is not its first', async () => {
  await using broker = await TestBroker.start(genuine)
  using way = wayTo({
    ports: [broker.port],
    pins: [{ pin: keyOf(genuine), firstUse: 'elsewhere:8883' }],
    strangers: new Set([at(broker.port)]),
  })
  const { socket } = await way.upstream.connect(never)
  socket.destroy()
  expect(way.met).toMatchObject([{ server: at(broker.port), pin: keyOf(genuine) }])
})

test('what else is wrong is refused on the first day as on any other', async () => {
  const expired = await pki.issue({ expired: true })
  await using broker = await TestBroker.start({ cert: expired.chain, key: expired.key })
  using way = wayTo({ ports: [broker.port], strangers: new Set([at(broker.port)]) })
  await expect(way.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
  expect(way.met).toEqual([])
  expect(way.sightings).toMatchObject([{ causes: ['pin-mismatch', 'expired'] }])
})

test('without anybody to store it, and without pins, nothing is trusted', async () => {
  await using broker = await TestBroker.start(genuine)
  const metrics = createMetrics({ version: 'test' })
  const limiter = new LineLimiter({ clock: () => performance.now(), burst: 1000, rate: 1000 })
  const plan = upstreamPlan({
    ca: pki.ca.cert,
    ports: [broker.port],
    firstUse: { selfSigned: false },
    strangers: new Set([at(broker.port)]),
  })
  const upstream = new Upstream(plan, { metrics, limited: limitLog(new Diary().log, limiter, metrics) })
  await expect(upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
  metrics[Symbol.dispose]()
})
