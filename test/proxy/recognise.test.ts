// The far end of a pair: who gets past it, what the others are told, and that the broker never hears of those.

import type { SecureContext } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { bindingOf, EXPORTER, introduce, judgeAnswer } from '../../src/pair/exchange.ts'
import { FRAME_BYTES, PAIR_PROTOCOL, parseFrame } from '../../src/pair/frame.ts'
import { identityKeys, nameOfPeer, parseIdentity, type PairKeys } from '../../src/pair/keys.ts'
import { deviceContext } from '../../src/tls/contexts.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Gate, type GateOptions } from '../help/gate.ts'
import { deadPort } from '../help/mute.ts'
import { connectPacket } from '../help/packets.ts'
import { newIdentity } from '../help/pair.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

const [near, far, stranger] = [newIdentity(), newIdentity(), newIdentity()]
const keysOf = (own: typeof near, ...peers: readonly (typeof near)[]): PairKeys =>
  identityKeys(
    parseIdentity(own.pem),
    peers.map(({ line }) => line),
  )
const [nearKeys, strangerKeys] = [keysOf(near, far), keysOf(stranger, far)]

let pki: Pki
let context: SecureContext
let dead: number
beforeAll(async () => {
  pki = await makePki()
  const { chain, key } = await pki.issue()
  context = deviceContext({ cert: [chain], key: [key], minVersion: 'TLSv1.2' }).context
  dead = await deadPort()
})

async function open(options: Partial<GateOptions> & { readonly others?: boolean } = {}): Promise<Gate> {
  const { others = false, ...rest } = options
  const pair = { keys: keysOf(far, near), others }
  const upstream = { ports: [dead], ca: pki.ca.cert }
  return await Gate.open({ upstream, deviceContext: context, pair, ...rest })
}

async function offering(gate: Gate, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3') {
  return await Device.connectTls(gate.port, { ca: pki.ca.cert, ALPNProtocols: [PAIR_PROTOCOL], maxVersion })
}

function bindingAt({ socket }: { readonly socket: TLSSocket }): Buffer {
  return bindingOf(socket.exportKeyingMaterial(EXPORTER.length, EXPORTER.label, Buffer.alloc(0)))
}

async function refusedAs(gate: Gate, reason: string): Promise<void> {
  await gate.emptied()
  expect(await gate.metric('rejections_total', { listener: 'ward', reason })).toBe(1)
  expect(gate.upstream.servers[0]?.verdict).toBe('unchecked')
}

describe('a near end', () => {
  test('that proves itself gets the proof of the far end, and its device is served', async () => {
    const { chain, key } = await pki.issue()
    await using broker = await TestBroker.start({ cert: chain, key })
    await using gate = await open({ upstream: { ports: [broker.port], ca: pki.ca.cert } })
    await using client = await offering(gate)
    const binding = bindingAt(client)
    const sent = introduce(nearKeys, binding)
    // However it is cut.
    for (let at = 0; at < sent.length; at += 7) await client.send(sent.subarray(at, at + 7))
    const frame = parseFrame(await client.bytes(FRAME_BYTES))
    if ('fault' in frame) throw new Error(frame.fault)
    const by = nameOfPeer(far.line)
    expect(judgeAnswer(nearKeys, sent, frame, binding)).toEqual({ proven: true, by })
    expect(broker.knocks).toBe(0)
    await client.send(connectPacket({ version: 4, clientId: 'pump-7' }))
    expect((await broker.visitOf('pump-7')).received.includes('PWP')).toBe(false)
    expect(await gate.metric('pairings_total', { leg: 'device', result: 'proven' })).toBe(1)
    const [line] = gate.diary.lines('session opened')
    expect(line).toMatchObject({ clientId: 'pump-7', pairedWith: nameOfPeer(near.line) })
  })

  test('at another connection is refused, and told so by a proof', async () => {
    await using gate = await open()
    await using client = await offering(gate)
    const elsewhere = bindingOf(Buffer.alloc(32, 1))
    const sent = introduce(nearKeys, elsewhere)
    await client.send(sent)
    const frame = parseFrame(await client.everything())
    if ('fault' in frame) throw new Error(frame.fault)
    expect(judgeAnswer(nearKeys, sent, frame, elsewhere)).toMatchObject({ fault: 'pair-mismatch' })
    await refusedAs(gate, 'pair-mismatch')
    const [line] = gate.diary.lines('somebody is between the two ends of a pair')
    expect(line).toMatchObject({ level: 'error', reason: 'pair-mismatch', hint: expect.any(String) })
    expect(line?.['detail']).toContain(nameOfPeer(near.line))
  })

  test('at another connection that never reads its answer is closed all the same', async () => {
    await using gate = await open()
    const client = await offering(gate)
    client.socket.pause()
    await client.send(introduce(nearKeys, bindingOf(Buffer.alloc(32, 1))))
    await refusedAs(gate, 'pair-mismatch')
    await client[Symbol.asyncDispose]()
  })
})

describe('who does not prove himself', () => {
  test('and does not even offer to is refused before the handshake, with an alert that says why', async () => {
    await using gate = await open()
    for (const ALPNProtocols of [undefined, ['mqtt']]) {
      const options = { ca: pki.ca.cert, ...(ALPNProtocols && { ALPNProtocols }) }
      await expect(Device.connectTls(gate.port, options)).rejects.toMatchObject({
        code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
      })
    }
    await gate.emptied()
    expect(await gate.metric('rejections_total', { reason: 'pair-missing' })).toBe(2)
    expect(await gate.metric('tls_handshakes_total')).toBe(0)
  })

  test('is served like any device where others are accepted', async () => {
    const { chain, key } = await pki.issue()
    await using broker = await TestBroker.start({ cert: chain, key })
    const upstream = { ports: [broker.port], ca: pki.ca.cert }
    await using gate = await open({ upstream, others: true })
    await using device = await Device.connectTls(gate.port, { ca: pki.ca.cert })
    await device.hello({ clientId: 'pump-7' })
    expect(gate.diary.lines('session opened')[0]).not.toHaveProperty('pairedWith')
    // To offer a proof is to owe one.
    await using offered = await offering(gate)
    await offered.send(connectPacket({ version: 4 }))
    expect(await offered.everything()).toHaveLength(0)
    expect(await gate.metric('rejections_total', { reason: 'pair-unproven' })).toBe(1)
  })

  test.each([
    ['a key that is not listed', (binding: Buffer) => introduce(strangerKeys, binding), 'pair-unproven'],
    ['CONNECT at once', () => connectPacket({ version: 5 }), 'pair-unproven'],
    [
      'CONNECT behind its proof',
      (binding: Buffer) => Buffer.concat([introduce(nearKeys, binding), connectPacket({ version: 4 })]),
      'pair-unproven',
    ],
    ['a changed proof', (binding: Buffer) => introduce(nearKeys, binding).fill(0, 100), 'pair-unproven'],
  ])('but sends %s gets no byte back', async (_, bytesFor, reason) => {
    await using gate = await open()
    await using client = await offering(gate)
    await client.send(bytesFor(bindingAt(client)))
    expect(await client.everything()).toHaveLength(0)
    await refusedAs(gate, reason)
    expect(await gate.metric('pairings_total', { leg: 'device', result: reason })).toBe(1)
  })

  test('but speaks only TLS 1.2 is refused', async () => {
    await using gate = await open()
    // Before its handshake ends, or just after.
    await offering(gate, 'TLSv1.2').catch(() => {})
    await refusedAs(gate, 'pair-missing')
  })

  test('but hangs up leaves nothing behind', async () => {
    await using gate = await open()
    const client = await offering(gate)
    await client.send(introduce(nearKeys, bindingAt(client)).subarray(0, 50))
    await client[Symbol.asyncDispose]()
    await refusedAs(gate, 'pair-missing')
  })

  test('but stays silent is closed when its time to send CONNECT is over', async () => {
    await using gate = await open()
    await using client = await offering(gate)
    await eventually('the handshake', async () => (await gate.metric('tls_handshakes_total')) === 1)
    gate.advance(10_001)
    expect(await client.everything()).toHaveLength(0)
    await refusedAs(gate, 'connect-timeout')
    expect(await gate.metric('tls_handshakes_total', { result: 'timeout' })).toBe(0)
  })
})
