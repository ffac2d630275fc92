// The way to a broker: in which order, by what trust, with which tickets, and what is said when there is none.

import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { TlsOptions } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { PulsewardError } from '../../src/errors.ts'
import { LineLimiter } from '../../src/observe/limit.ts'
import { limitLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { Upstream, type Connected } from '../../src/proxy/upstream.ts'
import type { TrustMemory } from '../../src/tls/memory.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { Diary } from '../help/diary.ts'
import { Exposition } from '../help/exposition.ts'
import { upstreamPlan, type PlanOptions } from '../help/gate.ts'
import { deadPort, Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

const hour = 3_600_000
const never = new AbortController().signal

let pki: Pki
let identity: { cert: string; key: string }
let pin: string
let rogue: { cert: string; key: string }

beforeAll(async () => {
  pki = await makePki()
  const genuine = await pki.issue()
  identity = { cert: genuine.chain, key: genuine.key }
  pin = pinOf(new X509Certificate(genuine.cert))
  // The right CA and the right name, and another key: only a pin tells it.
  const other = await pki.issue()
  rogue = { cert: other.chain, key: other.key }
})

/** Greets, so that the tickets have come before the greeting. */
async function start(options: Partial<BrokerOptions> = {}): Promise<TestBroker> {
  return await TestBroker.start({ ...identity, serve: async (visit) => await visit.send('21'), ...options })
}

function wayTo(options: Omit<PlanOptions, 'ca'>, burst = 100) {
  let now = 1_000_000
  const diary = new Diary()
  const metrics = createMetrics({ version: 'test' })
  const limiter = new LineLimiter({ clock: () => now, burst, rate: 1 })
  const plan = upstreamPlan({ ca: pki.ca.cert, ...options })
  metrics.adopted({
    listeners: [],
    upstreams: [{ name: plan.name, servers: plan.servers.map(({ port }) => `127.0.0.1:${port}`), pins: 0 }],
    sha256: '0'.repeat(64),
    version: 1,
    at: 0,
  })
  const deps = { metrics, limited: limitLog(diary.log, limiter, metrics), clock: () => now }
  const upstream = new Upstream(plan, deps)
  return {
    upstream,
    diary,
    plan,
    /** Connects, waits for the greeting, hangs up; whether it was resumed, and where it went. */
    async visit(): Promise<{ resumed: boolean; server: string }> {
      const { socket, facts, server } = await upstream.connect(never)
      await greeted(socket)
      return { resumed: facts.resumed, server }
    },
    pass: (milliseconds: number) => (now += milliseconds),
    metric: async (name: string, labels = {}) =>
      new Exposition(await metrics.expose()).value(`pulseward_${name}`, labels),
    failure: () => failureOf(upstream.connect(never)),
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

async function greeted(socket: Connected['socket']): Promise<void> {
  socket.on('error', () => {})
  await once(socket, 'data')
  socket.destroy()
}

async function failureOf(promise: Promise<Connected>): Promise<PulsewardError> {
  const failure: unknown = await promise.then(
    ({ socket }) => socket.destroy(),
    (error: unknown) => error,
  )
  if (failure instanceof PulsewardError) return failure
  throw new Error('not refused', { cause: failure })
}

describe('a trusted server', () => {
  test('is handed over with nothing written, and told to metrics', async () => {
    await using broker = await start()
    using way = wayTo({ ports: [broker.port], pins: [pin] })
    expect(way.upstream.trusted).toBe(false)
    expect(way.upstream.servers).toMatchObject([{ verdict: 'unchecked', checkedAt: 0 }])
    const { socket, server, facts } = await way.upstream.connect(never)
    expect(server).toBe(`127.0.0.1:${broker.port}`)
    expect(facts).toMatchObject({ protocol: 'TLSv1.3', group: 'X25519MLKEM768', resumed: false })
    await greeted(socket)
    expect(broker.applicationBytes).toBe(0)
    expect(way.upstream.trusted).toBe(true)
    const labels = { leg: 'broker', version: 'TLSv1.3', group: 'X25519MLKEM768', result: 'full' }
    expect(await way.metric('tls_handshakes_total', labels)).toBe(1)
    expect(await way.metric('upstream_trusted')).toBe(1)
    expect(way.diary.all).toEqual([])
  })
})

describe('fail over', () => {
  test('goes on to the next server, and leaves a dead one for last for five seconds', async () => {
    await using broker = await start()
    await using second = await start()
    const dead = await deadPort()
    using way = wayTo({ ports: [dead, broker.port, second.port] })
    expect((await way.visit()).server).toBe(`127.0.0.1:${broker.port}`)
    const failures = (): Promise<number> => way.metric('upstream_dial_failures_total', { reason: 'refused' })
    expect(await failures()).toBe(1)
    way.pass(4999)
    await way.visit()
    expect(await failures()).toBe(1)
    way.pass(2)
    await way.visit()
    expect(await failures()).toBe(2)
    expect(second.knocks).toBe(0)
    expect(way.upstream.servers.map(({ verdict }) => verdict)).toEqual(['refused', 'trusted', 'unchecked'])
    const told = way.diary.lines('broker not reached; nothing was sent to it')
    expect(told[0]).toMatchObject({ level: 'warn', server: `127.0.0.1:${dead}`, reason: 'refused' })
  })

  test('tries a dead one all the same when there is no other', async () => {
    const dead = await deadPort()
    using way = wayTo({ ports: [dead] })
    for (let i = 0; i < 2; i++) {
      expect(await way.failure()).toMatchObject({
        code: 'upstream-unreachable',
        blame: 'broker',
        message: `no server of "hospital" (127.0.0.1:${dead}: refused)`,
        hint: expect.stringContaining('firewall'),
      })
    }
    expect(await way.metric('upstream_dial_failures_total')).toBe(2)
  })

  test('goes on from a server that fails trust, too', async () => {
    await using wrong = await start(rogue)
    await using broker = await start()
    using way = wayTo({ ports: [wrong.port, broker.port], pins: [pin] })
    expect((await way.visit()).server).toBe(`127.0.0.1:${broker.port}`)
    expect((await way.visit()).server).toBe(`127.0.0.1:${broker.port}`)
    expect(wrong.knocks).toBe(1)
    expect(wrong.applicationBytes).toBe(0)
  })
})

describe('a server that fails trust', () => {
  test('is named with its pins, left alone for a while, and then tried again', async () => {
    await using wrong = await start(rogue)
    using way = wayTo({ ports: [wrong.port], pins: [pin], timeouts: { distrust: 30_000 } })
    expect(await way.failure()).toMatchObject({
      code: 'upstream-untrusted',
      blame: 'broker',
      message: `no trusted server of "hospital" (127.0.0.1:${wrong.port}: likely-rotation (pin-mismatch))`,
      hint: expect.stringContaining('pulseward pin'),
    })
    const told = way.diary.lines('broker not trusted; nothing was sent to it')
    expect(told).toHaveLength(1)
    expect(told[0]).toMatchObject({ level: 'error', verdict: 'likely-rotation', causes: ['pin-mismatch'] })
    expect(told[0]?.['served']).toMatchObject([
      { pin: pinOf(new X509Certificate(rogue.cert)), position: 0, notAfter: expect.stringContaining('T') },
    ])
    expect(await way.metric('upstream_verify_failures_total', { cause: 'pin-mismatch' })).toBe(1)
    way.pass(29_999)
    expect((await way.failure()).code).toBe('upstream-untrusted')
    await way.upstream.probe(never)
    expect(wrong.knocks).toBe(1)
    way.pass(2)
    expect((await way.failure()).code).toBe('upstream-untrusted')
    expect(wrong.knocks).toBe(2)
    expect(wrong.applicationBytes).toBe(0)
    expect(way.upstream.trusted).toBe(false)
  })

  test('is not called unreachable where it may be tried again at once', async () => {
    await using wrong = await start(rogue)
    using way = wayTo({ ports: [wrong.port], pins: [pin], timeouts: { distrust: 0 } })
    for (let i = 0; i < 2; i++) {
      expect((await way.failure()).code).toBe('upstream-untrusted')
      way.pass(1)
    }
    expect(wrong.knocks).toBe(2)
  })

  test('is told apart from one that is only away', async () => {
    await using wrong = await start(rogue)
    const dead = await deadPort()
    using way = wayTo({ ports: [wrong.port, dead], pins: [pin] })
    const { code, message } = await way.failure()
    expect(code).toBe('upstream-untrusted')
    expect(message).toContain(`127.0.0.1:${dead}: refused`)
  })

  test.each<[string, TlsOptions]>([
    ['older TLS', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }],
    ['no post-quantum group', { ecdhCurve: 'X25519' }],
  ])('with %s is left alone as well: somebody may be in the middle', async (_, tls) => {
    await using weak = await start(tls)
    using way = wayTo({ ports: [weak.port], postQuantum: 'require' })
    expect((await way.failure()).code).toBe('upstream-untrusted')
    expect((await way.failure()).code).toBe('upstream-untrusted')
    expect(weak.knocks).toBe(1)
    expect(await way.metric('upstream_verify_failures_total')).toBe(1)
    const labels = { leg: 'broker', result: 'failed', version: 'none', group: 'none' }
    expect(await way.metric('tls_handshakes_total', labels)).toBe(1)
  })

  test('that cannot even be judged is not trusted, and takes nobody along', async () => {
    await using broker = await start()
    using way = wayTo({ ports: [broker.port] })
    const memory = { recall: () => { throw new Error('a defect') } } as unknown as TrustMemory // prettier-ignore
    const broken = new Upstream(
      { ...way.plan, trust: { ...way.plan.trust, memory } },
      {
        metrics: createMetrics({ version: 'test' }),
        limited: (level, _kind, fields, message) => way.diary.log[level](fields, message),
      },
    )
    expect((await failureOf(broken.connect(never))).code).toBe('upstream-untrusted')
    await broken.probe(never)
    expect(broken.servers).toMatchObject([{ verdict: 'unjudged', reasons: ['a defect'] }])
    expect(way.diary.all).toMatchObject([{ level: 'error', stack: expect.stringContaining('a defect') }])
    await eventually('the connection closed', () => broker.failures.length > 0)
    expect(broker.applicationBytes).toBe(0)
  })
})

describe('tickets', () => {
  test('are used for an hour after the handshake that showed the certificates, renewed or not', async () => {
    await using broker = await start()
    using way = wayTo({ ports: [broker.port] })
    expect((await way.visit()).resumed).toBe(false)
    way.pass(hour / 2)
    expect((await way.visit()).resumed).toBe(true)
    way.pass(hour / 2)
    expect((await way.visit()).resumed).toBe(true)
    way.pass(1)
    expect((await way.visit()).resumed).toBe(false)
    expect((await way.visit()).resumed).toBe(true)
    const full = { leg: 'broker', result: 'full' }
    expect(await way.metric('tls_handshakes_total', full)).toBe(2)
    expect(await way.metric('tls_handshakes_total', { ...full, result: 'resumed' })).toBe(3)
  })

  test('are not used where the upstream says so', async () => {
    await using broker = await start()
    using way = wayTo({ ports: [broker.port], resumption: 'off' })
    for (let i = 0; i < 3; i++) expect((await way.visit()).resumed).toBe(false)
  })

  test('are thrown away when the server fails trust', async () => {
    const ticketKeys = randomBytes(48)
    using way = await (async () => {
      await using broker = await start({ ticketKeys })
      const way1 = wayTo({ ports: [broker.port], pins: [pin], timeouts: { distrust: 1000 } })
      await way1.visit()
      expect((await way1.visit()).resumed).toBe(true)
      return way1
    })()
    const { port } = way.plan.servers[0]!
    {
      await using wrong = await start({ ...rogue, port })
      expect((await way.failure()).code).toBe('upstream-untrusted')
      expect(wrong.applicationBytes).toBe(0)
    }
    way.pass(2000)
    // The genuine one is back, and would know its ticket.
    await using broker = await start({ ticketKeys, port })
    expect(broker.port).toBe(port)
    expect((await way.visit()).resumed).toBe(false)
  })

  test('never serve another set of trust settings', async () => {
    await using broker = await start()
    using old = wayTo({ ports: [broker.port] })
    await old.visit()
    expect((await old.visit()).resumed).toBe(true)
    using fresh = wayTo({ ports: [broker.port], pins: [pin] })
    expect((await fresh.visit()).resumed).toBe(false)
  })

  test('serve one server only', async () => {
    const ticketKeys = randomBytes(48)
    await using second = await start({ ticketKeys })
    let way: ReturnType<typeof wayTo>
    {
      await using first = await start({ ticketKeys })
      way = wayTo({ ports: [first.port, second.port] })
      await way.visit()
      expect((await way.visit()).resumed).toBe(true)
    }
    const visit = await way.visit()
    expect(visit).toEqual({ resumed: false, server: `127.0.0.1:${second.port}` })
    way[Symbol.dispose]()
  })
})

describe('a probe', () => {
  test('asks every server, and speaks no MQTT', async () => {
    await using broker = await start()
    await using wrong = await start(rogue)
    const dead = await deadPort()
    using way = wayTo({ ports: [broker.port, wrong.port, dead], pins: [pin] })
    await way.upstream.probe(never)
    expect(way.upstream.servers.map(({ verdict }) => verdict)).toEqual([
      'trusted',
      'likely-rotation',
      'refused',
    ])
    expect(way.upstream.trusted).toBe(true)
    await eventually('the end of the probe', () => broker.visits[0]?.closed ?? broker.failures.length > 0)
    expect(broker.applicationBytes + wrong.applicationBytes).toBe(0)
  })

  test('sees the certificates each time', async () => {
    await using broker = await start()
    using way = wayTo({ ports: [broker.port] })
    await way.visit()
    await way.upstream.probe(never)
    expect(await way.metric('tls_handshakes_total', { result: 'full' })).toBe(2)
  })
})

describe('giving up', () => {
  test('ends the handshake, tries no other server, and holds nothing against this one', async () => {
    await using mute = await Mute.start()
    await using next = await start()
    using way = wayTo({ ports: [mute.port, next.port] })
    const waiting = new AbortController()
    const failure = failureOf(way.upstream.connect(waiting.signal))
    await eventually('a connection', () => mute.seen[0])
    waiting.abort()
    expect((await failure).message).toContain('cancelled')
    expect(next.knocks).toBe(0)
    expect(way.upstream.servers.map(({ verdict }) => verdict)).toEqual(['unchecked', 'unchecked'])
    expect(way.diary.all).toEqual([])
    expect(await way.metric('upstream_dial_failures_total')).toBe(0)
  })

  test('happens by itself when a handshake takes too long', async () => {
    await using mute = await Mute.start()
    using way = wayTo({ ports: [mute.port], timeouts: { handshake: 50 } })
    expect((await way.failure()).message).toContain('timeout')
    const labels = { leg: 'broker', result: 'timeout' }
    expect(await way.metric('tls_handshakes_total', labels)).toBe(1)
  })
})

test('devices that come again and again do not fill the log', async () => {
  const dead = await deadPort()
  using way = wayTo({ ports: [dead] }, 3)
  for (let i = 0; i < 10; i++) await way.failure()
  expect(way.diary.lines('broker not reached; nothing was sent to it')).toHaveLength(3)
  expect(await way.metric('log_lines_suppressed_total')).toBe(7)
  expect(await way.metric('upstream_dial_failures_total')).toBe(10)
})
