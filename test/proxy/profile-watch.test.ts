// A server is held to what it showed: weaker is refused and teaches nothing, other changes are told of once.
import type { TlsOptions } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { LineLimiter } from '../../src/observe/limit.ts'
import { limitLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import { ProfileBook } from '../../src/tls/profile-book.ts'
import type { Sighting } from '../../src/tls/sighting.ts'
import { TestBroker } from '../help/broker.ts'
import { Diary } from '../help/diary.ts'
import { Exposition } from '../help/exposition.ts'
import { upstreamPlan, type PlanOptions } from '../help/gate.ts'
import { makePki, type Pki } from '../help/pki.ts'

const never = new AbortController().signal
const drifted = 'a broker is not as it was'

let pki: Pki
let identity: { cert: string; key: string }
beforeAll(async () => {
  pki = await makePki()
  const { chain, key } = await pki.issue()
  identity = { cert: chain, key }
})

function wayTo(options: Omit<PlanOptions, 'ca'>) {
  let now = 1_000_000
  const diary = new Diary()
  const metrics = createMetrics({ version: 'test' })
  const limited = limitLog(diary.log, new LineLimiter({ clock: () => now, burst: 1000, rate: 1000 }), metrics)
  const profiles = new ProfileBook({ log: limited })
  const sightings: Sighting[] = []
  const profile = { mode: 'enforce', settle: 0 } as const
  const plan = upstreamPlan({ ca: pki.ca.cert, minVersion: 'TLSv1.2', profile, ...options })
  const deps = {
    metrics,
    limited,
    profiles,
    clock: () => now,
    evidence: (one: Sighting) => void sightings.push(one),
  }
  let upstream = new Upstream(plan, deps)
  const server = `127.0.0.1:${plan.servers[0]?.port}`
  return {
    diary,
    sightings,
    server,
    get upstream() {
      return upstream
    },
    profile: () => profiles.find(plan.name, server),
    /** As after a reload with other settings: what was learnt stays. */
    replan: (more: Partial<PlanOptions>) =>
      (upstream = new Upstream(
        upstreamPlan({ ca: pki.ca.cert, minVersion: 'TLSv1.2', profile, ...options, ...more }),
        deps,
      )),
    /** Whole handshakes with the server, one after another, none while it is left alone. */
    async rounds(count: number): Promise<void> {
      for (let round = 0; round < count; round += 1) {
        now += 3_600_000
        await upstream.probe(never)
      }
    },
    metric: async (name: string, labels = {}) =>
      new Exposition(await metrics.expose()).value(`pulseward_${name}`, labels),
    [Symbol.dispose]: () => metrics[Symbol.dispose](),
  }
}

/** A broker on the same port, served in another way. */
async function restart(broker: TestBroker, options: TlsOptions): Promise<TestBroker> {
  const { port } = broker
  await broker[Symbol.asyncDispose]()
  return await TestBroker.start({ ...identity, ...options, port })
}

const modern: TlsOptions = { minVersion: 'TLSv1.2', ecdhCurve: 'X25519MLKEM768:X25519:P-384' }

describe('a server that was seen often enough', () => {
  test.each<[string, TlsOptions, string]>([
    [
      'classic keys only',
      { ecdhCurve: 'X25519' },
      'the group X25519, and this server was never seen below X25519MLKEM768',
    ],
    ['TLS 1.2 only', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }, 'the version TLSv1.2'],
    ['a short cipher', { ciphers: 'TLS_AES_128_GCM_SHA256' }, 'the cipher AES_128_GCM'],
  ])(
    'and comes back with %s is downgraded: refused, counted, told of, kept as evidence',
    async (_, tls, reason) => {
      let broker = await TestBroker.start({ ...identity, ...modern })
      using way = wayTo({ ports: [broker.port] })
      await way.rounds(8)
      expect(way.upstream.trusted).toBe(true)
      expect(way.diary.lines('a broker is held to what it showed')).toMatchObject([
        { level: 'info', server: way.server, held: 'TLSv1.3, X25519MLKEM768, AES_256_GCM' },
      ])
      const known = JSON.stringify([...(way.profile()?.fields ?? [])])
      broker = await restart(broker, { ...modern, ...tls })
      await way.rounds(3)
      expect(way.upstream.trusted).toBe(false)
      await expect(way.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
      const labels = { verdict: 'downgraded', cause: 'weaker-than-learned' }
      expect(await way.metric('upstream_verify_failures_total', labels)).toBe(3)
      expect(way.upstream.servers[0]?.reasons.join()).toContain(reason)
      const [line] = way.diary.lines('broker not trusted; nothing was sent to it')
      expect(line).toMatchObject({
        verdict: 'downgraded',
        hint: expect.stringContaining('trust profile forget'),
      })
      expect(way.sightings[0]).toMatchObject({ verdict: 'downgraded', applicationBytesSent: 0 })
      // Not one of them was taken in, and the broker as it was is welcome at once.
      expect(JSON.stringify([...(way.profile()?.fields ?? [])])).toBe(known)
      broker = await restart(broker, modern)
      await way.rounds(1)
      expect(way.upstream.trusted).toBe(true)
      expect(broker.applicationBytes).toBe(0)
      await broker[Symbol.asyncDispose]()
    },
  )

  test('and resumes a session on a weaker group is refused all the same', async () => {
    const ticketKeys = Buffer.alloc(48, 7)
    const serve = async (visit: { send(bytes: string): Promise<void> }): Promise<void> =>
      await visit.send('21')
    let broker = await TestBroker.start({ ...identity, ...modern, ticketKeys, serve })
    using way = wayTo({ ports: [broker.port] })
    await way.rounds(8)
    const { socket } = await way.upstream.connect(never)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    const { port } = broker
    await broker[Symbol.asyncDispose]()
    broker = await TestBroker.start({ ...identity, ...modern, ecdhCurve: 'X25519', ticketKeys, serve, port })
    await expect(way.upstream.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
    expect(way.sightings[0]?.facts).toMatchObject({ resumed: true, group: 'X25519' })
    await broker[Symbol.asyncDispose]()
  })

  test('and becomes stronger is as welcome as before, and nothing is told of it', async () => {
    let broker = await TestBroker.start({
      ...identity,
      ...modern,
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE+AESGCM',
    })
    using way = wayTo({ ports: [broker.port] })
    await way.rounds(9)
    expect(way.profile()?.fields.get('version')?.values).toMatchObject([{ value: 'TLSv1.2' }])
    broker = await restart(broker, modern)
    await way.rounds(2)
    expect(way.upstream.trusted).toBe(true)
    expect(way.diary.lines(drifted)).toEqual([])
    await broker[Symbol.asyncDispose]()
  })

  test('is let through where that is only to be reported: a finding, told once, and not learnt', async () => {
    let broker = await TestBroker.start({ ...identity, ...modern })
    using way = wayTo({ ports: [broker.port], profile: { mode: 'report', settle: 0 } })
    await way.rounds(8)
    broker = await restart(broker, { ...modern, ecdhCurve: 'X25519' })
    await way.rounds(3)
    expect(way.upstream.trusted).toBe(true)
    expect(way.diary.lines(drifted)).toMatchObject([
      {
        level: 'error',
        server: way.server,
        severity: 'critical',
        weight: 10,
        drifts: [{ what: 'group', before: 'X25519MLKEM768', after: 'X25519', weight: 10 }],
      },
    ])
    const labels = { detector: 'broker-drift', severity: 'critical', action: 'report' }
    expect(await way.metric('findings_total', labels)).toBe(1)
    way.replan({ profile: { mode: 'enforce', settle: 0 } })
    await way.rounds(1)
    expect(way.upstream.trusted).toBe(false)
    await broker[Symbol.asyncDispose]()
  })

  test('is met as a stranger where nothing is to be learnt', async () => {
    let broker = await TestBroker.start({ ...identity, ...modern })
    using way = wayTo({ ports: [broker.port], profile: { mode: 'off', settle: 0 } })
    await way.rounds(8)
    expect(way.profile()).toBeUndefined()
    broker = await restart(broker, { ...modern, ecdhCurve: 'X25519' })
    await way.rounds(1)
    expect(way.upstream.trusted).toBe(true)
    await broker[Symbol.asyncDispose]()
  })

  test('may go without post-quantum keys once we do', async () => {
    await using broker = await TestBroker.start({ ...identity, ...modern })
    using way = wayTo({ ports: [broker.port] })
    await way.rounds(8)
    way.replan({ postQuantum: 'off' })
    await way.rounds(1)
    expect(way.upstream.trusted).toBe(true)
  })
})

describe('a server whose certificate changed', () => {
  test('is a finding whose drifts weigh together, told once', async () => {
    let broker = await TestBroker.start({ ...identity, ...modern })
    using way = wayTo({ ports: [broker.port] })
    await way.rounds(8)
    const middle = await pki.intermediate()
    const other = await pki.issue({ ca: middle, key: 'rsa' })
    broker = await restart(broker, { ...modern, cert: other.chain, key: other.key })
    await way.rounds(2)
    const [line, ...more] = way.diary.lines(drifted)
    expect(line).toMatchObject({ level: 'error', severity: 'critical', weight: 9 })
    const { drifts } = line as unknown as {
      readonly drifts: readonly { what: string; before: string; after: string }[]
    }
    expect(drifts.map(({ what }) => what)).toEqual(['issuer', 'key-type', 'chain-length'])
    expect(drifts[0]?.before).toContain('Test CA')
    expect(drifts[0]?.after).toContain('Test Intermediate CA')
    expect(drifts[1]).toMatchObject({ before: 'ec prime256v1', after: 'rsa 2048' })
    expect(more).toEqual([])
    expect(way.upstream.trusted).toBe(true)
    await broker[Symbol.asyncDispose]()
  })

  test('and whom only the pins speak against, in report mode, teaches nothing', async () => {
    await using broker = await TestBroker.start({ ...identity, ...modern })
    const pin = `sha256/${Buffer.alloc(32).toString('base64')}`
    using way = wayTo({ ports: [broker.port], pins: [pin], pinMode: 'report' })
    await way.rounds(3)
    const { socket, answered } = await way.upstream.connect(never)
    answered({ 'maximum-qos': '1' })
    socket.destroy()
    expect(way.upstream.trusted).toBe(true)
    expect(way.profile()).toBeUndefined()
  })
})

describe('what a broker answers', () => {
  test('is learnt from CONNACK, and told of where it changes', async () => {
    await using broker = await TestBroker.start({ ...identity, ...modern })
    using way = wayTo({ ports: [broker.port] })
    const session = async (showing: Record<string, string>): Promise<void> => {
      const { socket, answered } = await way.upstream.connect(never)
      answered(showing)
      socket.destroy()
    }
    for (let time = 0; time < 8; time += 1) await session({ 'maximum-qos': '2', 'retain-available': 'yes' })
    expect(
      way
        .profile()
        ?.fields.get('tickets')
        ?.values.map(({ value }) => value),
    ).toEqual(['none'])
    await session({ 'maximum-qos': '1', 'retain-available': 'no' })
    await session({ 'maximum-qos': '1', 'retain-available': 'no' })
    expect(way.diary.lines(drifted)).toMatchObject([
      {
        level: 'info',
        severity: 'notice',
        weight: 3,
        drifts: [{ what: 'maximum-qos' }, { what: 'retain-available' }],
      },
    ])
  })
})
