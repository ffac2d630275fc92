// Whatever comes from where a broker should be, random or one byte off, is named, and is never a defect or a broker.

import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { probe, type Outcome } from '../../src/proxy/meeting.ts'
import { FAILURES } from '../../src/tls/failure.ts'
import { upstreamPlan } from '../help/gate.ts'
import { Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { startTls } from '../tls/broker.ts'

let pki: Pki
let genuine: Awaited<ReturnType<Pki['issue']>>

beforeAll(async () => {
  pki = await makePki()
  genuine = await pki.issue()
})

/** What a handshake with a broker that does this amounts to. */
async function met(serve: (socket: Socket) => void): Promise<Outcome> {
  await using broker = await Mute.start(serve)
  const timeouts = { handshake: 200 }
  const plan = upstreamPlan({ ports: [broker.port], ca: pki.ca.cert, timeouts, minVersion: 'TLSv1.2' })
  return await probe(plan, { host: '127.0.0.1', port: broker.port }, new AbortController().signal)
}

/** The name of a failure. */
function named(outcome: Outcome): string {
  expect(outcome.kind).toBe('failed')
  const reason = outcome.kind === 'failed' ? outcome.reason : ''
  expect(FAILURES.filter((one) => one !== 'other')).toContain(reason)
  return reason
}

const noise = fc.uint8Array({ minLength: 0, maxLength: 200 })
/** Records of TLS with nothing true in them. */
const records = fc
  .tuple(fc.integer({ min: 20, max: 24 }), fc.constantFrom(1, 3, 4), noise)
  .map(([type, minor, content]) => Buffer.from([type, 3, minor, 0, content.length, ...content]))

test('garbage, as it comes or in records of TLS', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(noise, records, fc.tuple(records, noise)), async (garbage) => {
      const bytes = Array.isArray(garbage) ? Buffer.concat(garbage) : garbage
      named(await met((socket) => socket.end(bytes)))
    }),
    { numRuns: 60 },
  )
})

test('a genuine handshake of which one bit was changed on its way', async () => {
  await using broker = await startTls({ cert: genuine.chain, key: genuine.key })
  const changed = async (position: number, bit: number): Promise<Outcome> =>
    await met((socket) => {
      const behind = connect(broker.port, '127.0.0.1')
      let passed = 0
      behind.on('error', () => socket.destroy())
      behind.on('data', (bytes: Buffer) => {
        const at = position - passed
        if (at >= 0 && at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at)
        passed += bytes.length
        socket.write(bytes)
      })
      behind.on('end', () => socket.end())
      socket.on('close', () => behind.destroy())
      socket.pipe(behind)
    })
  const reasons = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.nat(900), fc.nat(7), async (position, bit) => {
      const outcome = await changed(position, bit)
      // The version in the head of a record counts for nothing (RFC 8446, 5.1).
      if (outcome.kind === 'judged') expect(outcome.verdict.verdict).toBe('trusted')
      else reasons.add(named(outcome))
    }),
    { numRuns: 60, examples: [[600, 0]] },
  )
  expect(reasons).toContain('tampered')
})
