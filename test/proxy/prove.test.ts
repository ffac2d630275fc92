// The near end of a pair meets who answers: a far end, a broker that is none, and everybody who would like to be one.

import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { answer, bindingOf, EXPORTER } from '../../src/pair/exchange.ts'
import { FRAME_BYTES, PAIR_PROTOCOL, parseFrame } from '../../src/pair/frame.ts'
import { identityKeys, nameOfPeer, parseIdentity, type PairKeys } from '../../src/pair/keys.ts'
import { meet, probe, type Judged, type Outcome } from '../../src/proxy/meeting.ts'
import { TestBroker, type BrokerOptions, type Visit } from '../help/broker.ts'
import { upstreamPlan } from '../help/gate.ts'
import { deadPort, Mute } from '../help/mute.ts'
import { newIdentity } from '../help/pair.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

const [near, far, stranger] = [newIdentity(), newIdentity(), newIdentity()]
const keysOf = (own: typeof near, peer: typeof near): PairKeys =>
  identityKeys(parseIdentity(own.pem), [peer.line])

let pki: Pki
let served: Awaited<ReturnType<Pki['issue']>>
beforeAll(async () => {
  pki = await makePki()
  served = await pki.issue()
})

const { signal } = new AbortController()

async function start(serve: (visit: Visit) => void | Promise<void>, more: BrokerOptions = {}) {
  const { chain: cert, key } = served
  return await TestBroker.start({ cert, key, ALPNProtocols: [PAIR_PROTOCOL], serve, ...more })
}

function planFor({ port }: { readonly port: number }, handshake = 10_000) {
  return upstreamPlan({
    ports: [port],
    ca: pki.ca.cert,
    pair: keysOf(near, far),
    timeouts: { handshake },
  })
}

/** What a far end with these keys does. */
function asFarEnd(keys: PairKeys, more = Buffer.alloc(0)): (visit: Visit) => Promise<void> {
  return async (visit) => {
    const frame = parseFrame(await visit.bytes(FRAME_BYTES))
    if ('fault' in frame) throw new Error(frame.fault)
    const { reply } = answer(keys, frame, bindingAt(visit.socket))
    await visit.send(Buffer.concat([reply ?? Buffer.alloc(0), more]))
  }
}

function bindingAt(socket: TLSSocket): Buffer {
  return bindingOf(socket.exportKeyingMaterial(EXPORTER.length, EXPORTER.label, Buffer.alloc(0)))
}

function judgedOf(outcome: Outcome): Judged {
  if (outcome.kind !== 'judged') throw new Error(`not judged: ${JSON.stringify(outcome)}`)
  return outcome
}

const target = ({ port }: { readonly port: number }) => ({ host: '127.0.0.1', port })

describe('a far end', () => {
  test('is trusted by its certificate and its proof, and nothing else was sent to it', async () => {
    await using broker = await start(asFarEnd(keysOf(far, near)))
    const met = judgedOf(await meet(planFor(broker), target(broker), signal))
    expect(met).toMatchObject({ verdict: { verdict: 'trusted' }, pairedWith: nameOfPeer(far.line) })
    expect(met.course.writes.count()).toBe(0)
    expect(met.course.writes.proofs()).toBe(FRAME_BYTES)
    met.course.writes.release()
    met.socket.write('hello')
    await eventually('what was written after', () => broker.applicationBytes === FRAME_BYTES + 5)
    expect(met.socket.listenerCount('data')).toBe(0)
    met.socket.destroy()
  })

  test('proves itself on a resumed session too, with another proof', async () => {
    await using broker = await start(asFarEnd(keysOf(far, near)))
    const plan = planFor(broker)
    let session: Buffer | undefined
    const onTicket = (given: Buffer): void => void (session = given)
    const first = judgedOf(await meet(plan, target(broker), signal, { ticket: undefined, onTicket }))
    first.socket.resume()
    const ticket = { session: await eventually('a ticket', () => session), verdict: first.verdict }
    const second = judgedOf(await meet(plan, target(broker), signal, { ticket, onTicket }))
    expect(second).toMatchObject({ facts: { resumed: true }, verdict: { verdict: 'trusted' } })
    expect(second.pairedWith).toBe(nameOfPeer(far.line))
    const [one, other] = broker.visits.map(({ received }) => parseFrame(received))
    if (one === undefined || other === undefined || 'fault' in one || 'fault' in other)
      throw new Error('no frame')
    expect(one.binding.equals(other.binding)).toBe(false)
    first.socket.destroy()
    second.socket.destroy()
  })

  test('is asked for its proof by the canary as well', async () => {
    await using broker = await start(asFarEnd(keysOf(far, near)))
    expect(await probe(planFor(broker), target(broker), signal)).toMatchObject({
      verdict: { verdict: 'trusted' },
      pairedWith: nameOfPeer(far.line),
    })
    await (await broker.visit(0)).untilClosed()
    expect(broker.applicationBytes).toBe(FRAME_BYTES)
  })
})

describe('not trusted, whatever its certificate:', () => {
  const wrong: readonly (readonly [string, (visit: Visit) => void | Promise<void>, object, string])[] = [
    [
      'who proves by a key that is not listed',
      asFarEnd(keysOf(stranger, near)),
      { verdict: 'likely-mitm', causes: ['pair-unproven'] },
      'not listed',
    ],
    [
      'who says more than its proof',
      asFarEnd(keysOf(far, near), Buffer.from('20020000', 'hex')),
      { verdict: 'likely-mitm', causes: ['pair-unproven'] },
      'more bytes',
    ],
    [
      'who sends what came back',
      async (visit) => await visit.send(await visit.bytes(FRAME_BYTES)),
      { verdict: 'likely-mitm', causes: ['pair-unproven'] },
      'not its own',
    ],
    [
      'who greets like a broker',
      async (visit) => await visit.send(Buffer.from('20020000', 'hex')),
      { verdict: 'likely-mitm', causes: ['pair-unproven'] },
      'no proof',
    ],
    ['who is silent', () => {}, { verdict: 'downgraded', causes: ['pair-missing'] }, 'silent'],
  ]
  test.each(wrong)('%s', async (_, serve, verdict, reason) => {
    await using broker = await start(serve)
    const met = judgedOf(await meet(planFor(broker, 400), target(broker), signal))
    expect(met.verdict).toMatchObject(verdict)
    expect(met.verdict.reasons.join()).toContain(reason)
    expect(met.verdict.hint).toBeTypeOf('string')
    expect([met.pairedWith, met.socket.destroyed]).toEqual([undefined, true])
    await (await broker.visit(0)).untilClosed()
    expect(broker.applicationBytes).toBe(FRAME_BYTES)
  })

  test('a broker that knows nothing of pairs, which gets not even a proof', async () => {
    await using broker = await start(() => {}, { ALPNProtocols: [] })
    const met = judgedOf(await meet(planFor(broker), target(broker), signal))
    expect(met.verdict).toMatchObject({ verdict: 'downgraded', causes: ['pair-missing'] })
    // It may see the handshake end, or the connection gone before that.
    await eventually('its end', () => broker.visits.length + broker.failures.length > 0)
    expect(broker.applicationBytes).toBe(0)
  })

  test('a broker that insists on another protocol', async () => {
    await using broker = await start(() => {}, { ALPNProtocols: ['mqtt'] })
    const outcome = await meet(planFor(broker), target(broker), signal)
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'pair-missing', phase: 'handshake' })
  })

  test('whose certificate is wrong, and who is not even asked', async () => {
    const rogue = await pki.issue({ ca: await pki.rogue() })
    await using broker = await start(asFarEnd(keysOf(far, near)), { cert: rogue.chain, key: rogue.key })
    const met = judgedOf(await meet(planFor(broker), target(broker), signal))
    expect(met.verdict.causes).not.toContain('pair-missing')
    expect(met.verdict.verdict).toBe('likely-mitm')
    expect(met.course.writes.proofs()).toBe(0)
    expect(broker.applicationBytes).toBe(0)
  })
})

test('who hangs up on the proof is not reached, and not accused', async () => {
  await using broker = await start(async (visit) => {
    await visit.bytes(FRAME_BYTES)
    visit.socket.end()
  })
  const outcome = await meet(planFor(broker), target(broker), signal)
  expect(outcome).toMatchObject({ kind: 'failed', reason: 'pair-closed', phase: 'proof' })
})

test('nobody waits for a proof any more once the session is gone', async () => {
  await using broker = await start(() => {})
  const controller = new AbortController()
  const meeting = meet(planFor(broker), target(broker), controller.signal)
  await (await broker.visit(0)).bytes(FRAME_BYTES)
  controller.abort()
  expect(await meeting).toMatchObject({ kind: 'failed', reason: 'cancelled' })
  await (await broker.visit(0)).untilClosed()
})

describe('a broker in plaintext', () => {
  test('is taken for what answers, and that is said', async () => {
    await using mute = await Mute.start()
    const plan = upstreamPlan({ ports: [mute.port], ca: pki.ca.cert, plaintext: true })
    const met = judgedOf(await meet(plan, target(mute), signal))
    expect(met).toMatchObject({
      facts: { protocol: 'none', served: [] },
      verdict: { verdict: 'trusted', reasons: [expect.stringContaining('plaintext')] },
    })
    expect(met.socket.destroyed).toBe(false)
    met.socket.destroy()
  })

  test('that is away is not reached', async () => {
    const port = await deadPort()
    const plan = upstreamPlan({ ports: [port], ca: pki.ca.cert, plaintext: true })
    const outcome = await meet(plan, { host: '127.0.0.1', port }, signal)
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'refused', phase: 'dial' })
  })
})
