// With a stolen key and certificate every check of TLS passes: a pair notices all the same, before a byte of MQTT.

import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answer } from '../../src/pair/exchange.ts'
import { FRAME_BYTES, parseFrame } from '../../src/pair/frame.ts'
import { identityKeys, makeIdentity, parseIdentity } from '../../src/pair/keys.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Interceptor, type Attack } from '../help/interceptor.ts'
import { connectPacket } from '../help/packets.ts'
import { newIdentity, newSharedKey, startFarEnd, startNearEnd, type Served } from '../help/pair.ts'
import { makePki, type Pki } from '../help/pki.ts'
import type { Proxy } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

let pki: Pki
let stolen: Served
beforeAll(async () => {
  pki = await makePki()
  stolen = await pki.issue()
})

const secret = Buffer.from('secret-of-pump-7')
const [near, far] = [newIdentity(), newIdentity()]

interface Case {
  readonly what: string
  readonly attack: Attack
  readonly verdict: string
  readonly cause: string
  /** What the far end makes of it; nothing where it never hears of it. */
  readonly seenByFar?: string
}

/** A key of the attacker's own. */
const made = parseIdentity(makeIdentity())
let recorded: Buffer | undefined

const cases: readonly Case[] = [
  {
    what: 'knows nothing of pairs',
    attack: 'ignore',
    verdict: 'downgraded',
    cause: 'pair-missing',
    seenByFar: 'pair-missing',
  },
  {
    what: 'hands the proofs on to the genuine far end and back',
    attack: 'relay',
    verdict: 'likely-mitm',
    cause: 'pair-mismatch',
    seenByFar: 'pair-mismatch',
  },
  {
    what: "sends the near end's own proof back",
    attack: (heard) => heard,
    verdict: 'likely-mitm',
    cause: 'pair-unproven',
  },
  {
    what: 'makes a proof of its own',
    attack: (heard) => {
      const frame = parseFrame(heard)
      if ('fault' in frame) return 'hang up'
      // With what the near end told it to see, as if it were the same connection.
      return answer(identityKeys(made, [near.line]), frame, frame.binding).reply ?? 'hang up'
    },
    verdict: 'likely-mitm',
    cause: 'pair-unproven',
  },
  {
    what: 'answers with the proof of an earlier connection',
    attack: () => recorded ?? 'hang up',
    verdict: 'likely-mitm',
    cause: 'pair-unproven',
  },
  {
    what: 'answers as a broker would',
    attack: () => Buffer.from('20020000', 'hex'),
    verdict: 'likely-mitm',
    cause: 'pair-unproven',
  },
  { what: 'says nothing', attack: () => 'silence', verdict: 'downgraded', cause: 'pair-missing' },
]

describe.each(cases.map((one) => [one.what, one] as const))('an interceptor that %s', (_, one) => {
  const stack = new AsyncDisposableStack()
  let broker: Awaited<ReturnType<typeof TestBroker.startPlain>>
  let farEnd: Proxy
  let nearEnd: Proxy
  let interceptor: Interceptor
  beforeAll(async () => {
    broker = stack.use(await TestBroker.startPlain(Buffer.alloc(0)))
    const pair = { peers: [near.line] }
    const server = `mqtt://127.0.0.1:${broker.port}`
    farEnd = stack.use(await startFarEnd({ served: stolen, pair, identity: far, broker: server }))
    const held = { cert: stolen.chain, key: stolen.key, farEnd: farEnd.portOf('wan') }
    interceptor = stack.use(await Interceptor.start({ ...held, attack: 'relay' }))
    const { ca } = pki
    nearEnd = stack.use(
      await startNearEnd({
        port: interceptor.port,
        ca: ca.cert,
        pair: { peers: [far.line] },
        identity: near,
        timeouts: { handshake: '500ms' },
      }),
    )
    // The canary has met it by now, and what the far end answered then can be told again.
    recorded = await eventually('an answer of the far end', () =>
      interceptor.fromFar.find(({ length }) => length === FRAME_BYTES),
    )
    interceptor.attack = one.attack
  })
  afterAll(async () => await stack.disposeAsync())

  test('reads no byte of MQTT, and every device is told in its own version', async () => {
    const answers = { 3: '20020003', 4: '20020003', 5: '2003008800' }
    for (const version of [3, 4, 5] as const) {
      await using device = await Device.connect(nearEnd.port)
      await device.send(connectPacket({ version, clientId: 'pump-7', username: 'pump', password: secret }))
      expect((await device.everything()).toString('hex')).toBe(answers[version])
    }
    // Frames of 142 bytes, one a connection, and nothing else.
    expect(interceptor.heard.length % FRAME_BYTES).toBe(0)
    for (let at = 0; at < interceptor.heard.length; at += FRAME_BYTES) {
      const frame = parseFrame(interceptor.heard.subarray(at, at + FRAME_BYTES))
      expect(frame).toMatchObject({ role: 'near', method: 'ed25519' })
    }
    expect(interceptor.heard.includes('pump-7')).toBe(false)
    expect(Buffer.concat(broker.heard)).toHaveLength(0)
  })

  test('is counted, logged, told on /readyz and recorded, with 0 bytes of devices', async () => {
    const { verdict, cause } = one
    const labels = { upstream: 'hospital', verdict, cause }
    await nearEnd.waitForMetric('pulseward_upstream_verify_failures_total', labels, (value) => value >= 3)
    await nearEnd.waitForMetric(
      'pulseward_pairings_total',
      { leg: 'broker', result: cause },
      (value) => value >= 3,
    )
    expect(await nearEnd.metric('pulseward_pairings_total', { result: 'proven' })).toBe(0)
    const told = await eventually('the line about it', () =>
      nearEnd
        .lines('broker not trusted; nothing was sent to it', { verdict })
        .find(({ causes }) => String(causes) === cause),
    )
    expect(told).toMatchObject({ reasons: [expect.any(String)], hint: expect.any(String) })
    const { status, body } = await nearEnd.readiness()
    expect([status, JSON.stringify(body)]).toEqual([503, expect.stringContaining(verdict)])
    const incidents = await eventually('its incident', async () => {
      const ids = nearEnd.lines('evidence recorded').map(({ incident }) => String(incident))
      const all = await Promise.all(ids.map((id) => incidentOf(nearEnd, id)))
      const its = all.filter(({ causes }) => String(causes) === cause)
      return its.length > 0 && its
    })
    const proofBytesSent = one.attack === 'ignore' ? 0 : FRAME_BYTES
    expect(incidents).toMatchObject([
      { verdict, causes: [cause], applicationBytesSent: 0, proofBytesSent, served: { certificates: 1 } },
    ])
  })

  const reason = one.seenByFar
  if (reason === undefined) return
  test('is refused by the far end too', async () => {
    await farEnd.waitForMetric(
      'pulseward_rejections_total',
      { listener: 'wan', reason },
      (value) => value >= 3,
    )
    expect(await farEnd.metric('pulseward_device_sessions', { listener: 'wan' })).toBe(0)
    if (reason !== 'pair-mismatch') return
    const line = await farEnd.line('somebody is between the two ends of a pair')
    expect(line).toMatchObject({ level: 'error', listener: 'wan', hint: expect.any(String) })
    await farEnd.waitForMetric(
      'pulseward_pairings_total',
      { leg: 'device', result: reason },
      (value) => value >= 3,
    )
  })
})

test('an interceptor that hangs up on the proof learns as little, and nobody is accused', async () => {
  await using farEnd = await startFarEnd({
    served: stolen,
    pair: { peers: [near.line] },
    identity: far,
    broker: 'mqtt://127.0.0.1:1',
  })
  const held = { cert: stolen.chain, key: stolen.key, farEnd: farEnd.portOf('wan') }
  await using interceptor = await Interceptor.start({ ...held, attack: () => 'hang up' })
  const pair = { peers: [far.line] }
  const options = { port: interceptor.port, ca: pki.ca.cert, pair, identity: near }
  await using nearEnd = await startNearEnd(options)
  await using device = await Device.connect(nearEnd.port)
  await device.send(connectPacket({ version: 4, clientId: 'pump-7' }))
  expect((await device.everything()).toString('hex')).toBe('20020003')
  expect(interceptor.heard.includes('pump-7')).toBe(false)
  expect(interceptor.heard.length % FRAME_BYTES).toBe(0)
  const failures = 'pulseward_upstream_dial_failures_total'
  await nearEnd.waitForMetric(failures, { reason: 'pair-closed' }, (value) => value > 0)
  await nearEnd.line('broker not reached; nothing was sent to it', { reason: 'pair-closed' })
  expect(await nearEnd.metric('pulseward_pairings_total', { result: 'pair-closed' })).toBeGreaterThan(0)
  expect(await nearEnd.metric('pulseward_upstream_verify_failures_total', {})).toBe(0)
})

test.each([
  ['identities', { near: { peers: [far.line] }, far: { peers: [near.line] } }],
  ['shared keys', ((key) => ({ near: { sharedKeys: [key] }, far: { sharedKeys: [key] } }))(newSharedKey())],
])('without the interceptor the same two ends serve, proven by %s', async (_, pair) => {
  await using broker = await TestBroker.startPlain(Buffer.from('20020000', 'hex'))
  const server = `mqtt://127.0.0.1:${broker.port}`
  await using farEnd = await startFarEnd({ served: stolen, pair: pair.far, identity: far, broker: server })
  const port = farEnd.portOf('wan')
  await using nearEnd = await startNearEnd({ port, ca: pki.ca.cert, pair: pair.near, identity: near })
  await using device = await Device.join(nearEnd.port, { clientId: 'pump-7' })
  expect(device.ended).toBe(false)
  expect(Buffer.concat(broker.heard).includes('pump-7')).toBe(true)
})

test('without a pair the same interceptor reads the password: nothing else would have noticed', async () => {
  const genuine = await pki.issue()
  await using broker = await TestBroker.start({ cert: genuine.chain, key: genuine.key })
  const upstream = { tls: { ca: 'ca.pem', singlePin: 'accept' } }
  const server = `mqtts://127.0.0.1:${broker.port}`
  const files = { 'ca.pem': pki.ca.cert }
  await using farEnd = await startFarEnd({ served: stolen, broker: server, upstream, files })
  const held = { cert: stolen.chain, key: stolen.key, farEnd: farEnd.portOf('wan') }
  await using interceptor = await Interceptor.start({ ...held, attack: 'ignore' })
  await using nearEnd = await startNearEnd({ port: interceptor.port, ca: pki.ca.cert })
  await using device = await Device.connect(nearEnd.port)
  await device.hello({ clientId: 'pump-7', username: 'pump', password: secret })
  expect(interceptor.heard.includes('secret-of-pump-7')).toBe(true)
  expect(await nearEnd.metric('pulseward_upstream_trusted')).toBe(1)
})

async function incidentOf({ folder }: Proxy, id: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(folder.at(`state/evidence/${id}/incident.json`), 'utf8')
  return JSON.parse(text) as Readonly<Record<string, unknown>>
}
