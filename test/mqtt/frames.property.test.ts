import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, type Packet } from '../../src/mqtt/decode.ts'
import { FrameStream } from '../../src/mqtt/frames.ts'
import { PacketType, packetName, type Direction, type Version } from '../../src/mqtt/packet.ts'
import { qosOf } from '../../src/mqtt/publish.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { FrameLimits } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import { chunksOf, coalesce, judge, type Sight, type Step } from '../help/judge.ts'
import { connackPacket, connectPacket, publishPacket, type Level } from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'
import { mutate, mutation, session } from './arbitraries.ts'

const roomy: FrameLimits = { connect: 1 << 16, control: 1 << 16, publish: 1 << 20 }
/** Reached by what the generators make. */
const tight: FrameLimits = { connect: 150, control: 40, publish: 120 }

/** Standard modes with room for what the generators make. */
const spacious = rulebook({ frames: roomy, limits: { propertyBytes: 4096 } })
/** What a valid session may be reported for: that it is unusual, or that its topics match no filter of its own. */
const suspicions = new Set([
  'dollar-topic',
  'dollar-filter',
  'identity-wildcard',
  'delivery-unasked',
  'delivery-by-wildcard',
])

const cut = fc
  .array(fc.integer({ min: 1, max: 24 }), { minLength: 1, maxLength: 8 })
  .map((sizes) => chunksOf(...sizes))
const brokenSession = fc
  .tuple(session, fc.array(mutation, { minLength: 1, maxLength: 3 }))
  .map(([{ packets }, mutations]) => mutate(packets, mutations))
const noise = fc.array(
  fc.record({
    direction: fc.constantFrom<Direction>('up', 'down'),
    bytes: fc.uint8Array({ maxLength: 60 }).map((one) => Buffer.from(one)),
  }),
  { maxLength: 6 },
)

describe('a valid session', () => {
  test('passes whole, byte for byte, and every packet is counted once', () => {
    fc.assert(
      fc.property(session, cut, ({ packets }, pieces) => {
        const judged = judge(packets, { limits: roomy, book: spacious, cut: pieces })
        expect(judged).toMatchObject({ verdict: 'pass', held: { up: 0, down: 0 } })
        expect(judged.passed).toEqual(hexOf(packets))
        expect(judged.counts).toEqual(countsOf(packets))
        expect(judged.reports.filter((one) => !isSuspicion(one))).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('is read by mqtt-packet as it was meant', () => {
    fc.assert(
      fc.property(session, ({ packets }) => {
        const decoded: (Packet | undefined)[] = []
        judge(packets, {
          limits: roomy,
          book: spacious,
          onSight: ({ frame }, { version }) => decoded.push(decode(frame, version)),
        })
        expect(decoded).toMatchObject(packets.map(({ fields }) => fields))
      }),
      { numRuns: 300 },
    )
  })
})

describe('any session, whole or broken', () => {
  test.each([
    ['roomy', 'standard', roomy],
    ['tight', 'standard', tight],
    ['tight', 'strict', tight],
    ['roomy', 'observe', roomy],
  ] as const)('is judged the same however its bytes arrive: %s limits, %s', (_, preset, frames) => {
    const options = { limits: frames, book: rulebook({ preset, frames }) }
    fc.assert(
      fc.property(
        fc.oneof(
          brokenSession,
          session.map(({ packets }) => [...packets]),
        ),
        cut,
        (steps, pieces) => {
          const whole = judge(steps, options)
          expect(judge(steps, { ...options, cut: chunksOf(1) })).toEqual(whole)
          expect(judge(steps, { ...options, cut: pieces })).toEqual(whole)
          const joined = coalesce(steps)
          expect(judge(joined, options)).toEqual(whole)
          expect(judge(joined, { ...options, cut: pieces })).toEqual(whole)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('of random bytes is judged without throwing, and the same however they arrive', () => {
    fc.assert(
      fc.property(
        noise,
        fc.boolean(),
        fc.constantFrom<Level>(3, 4, 5),
        cut,
        (steps, known, version, pieces) => {
          const before: Step[] = known
            ? [
                { direction: 'up', bytes: connectPacket({ version }) },
                { direction: 'down', bytes: connackPacket(version) },
              ]
            : []
          const whole = judge([...before, ...steps], { limits: tight })
          expect(judge([...before, ...steps], { limits: tight, cut: pieces })).toEqual(whole)
          expect(judge([...before, ...steps], { limits: tight, cut: chunksOf(1) })).toEqual(whole)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('mqtt-packet', () => {
  test('reads every frame that passes, and finds in it what we find', () => {
    let agreed = 0
    fc.assert(
      fc.property(brokenSession, (steps) => {
        // Whole chunks, so that a PUBLISH that was not cut short is there with its payload.
        judge(steps, {
          limits: roomy,
          // The one rule that only reports what mqtt-packet cannot read.
          book: rulebook({ frames: roomy, rules: { 'unsuback-codes': 'enforce' } }),
          onSight: (sight, { version }) => {
            if (isWhole(sight) && agree(sight, version)) agreed += 1
          },
        })
      }),
      { numRuns: 1500 },
    )
    expect(agreed).toBeGreaterThan(1000)
  })
})

describe('a long stream of PUBLISH', () => {
  test.each(['up', 'down'] as const)('passes %s without being held, whatever the chunks', (direction) => {
    const limits: FrameLimits = { connect: 1024, control: 256, publish: 64 << 20 }
    const book = rulebook({ frames: limits })
    const state = new SessionState({ book, churn: new Churn(), clock: () => 0 })
    const counts = new Float64Array(32)
    const hits = new Float64Array(allRules.length + 1)
    const bench = { counts, hits, tolerated: () => {}, watched: 0, witness: () => true }
    const streams = {
      up: new FrameStream('up', state, bench),
      down: new FrameStream('down', state, bench),
    }
    streams.up.push(connectPacket({ version: 5 }))
    streams.down.push(connackPacket(5))
    const stream = streams[direction]
    const large = publishPacket({ version: 5, topic: 'ward/7/scan', payload: Buffer.alloc(32 << 20, 0x30) })
    let passed = 0
    let held = 0
    for (const size of [65_536, 1_000_003, 16_381]) {
      for (let at = 0; at < large.length; at += size) {
        const chunk = large.subarray(at, at + size)
        expect(stream.push(chunk)).toBe(0)
        passed += (stream.carry?.length ?? 0) + stream.to - stream.from
        held = Math.max(held, stream.held)
      }
    }
    expect(passed).toBe(3 * large.length)
    expect(held).toBe(0)
    expect(counts[(direction === 'up' ? 0 : 16) + PacketType.publish]).toBe(3)
    expect(stream.betweenFrames).toBe(true)
  })
})

/** Reads `up dollar-topic @4`. */
function isSuspicion(report: string): boolean {
  return suspicions.has(report.split(' ')[1] ?? '')
}

function hexOf(steps: readonly Step[]): Record<Direction, string> {
  const hex = { up: '', down: '' }
  for (const { direction, bytes } of steps) hex[direction] += bytes.toString('hex')
  return hex
}

function countsOf(steps: readonly Step[]): number[] {
  const counts = Array.from({ length: 32 }, () => 0)
  for (const { direction, bytes } of steps) counts[(direction === 'up' ? 0 : 16) + (bytes[0]! >> 4)]! += 1
  return counts
}

function isWhole({ frame, body }: Sight): boolean {
  let remaining = 0
  for (let at = 1; at < body; at++) remaining += (frame[at]! & 0x7f) * 128 ** (at - 1)
  return frame.length === body + remaining
}

/** What mqtt-packet refuses, or reads in another way, although the standard allows it. */
function isBeyondMqttPacket({ frame, type, body }: Sight, version: Version): boolean {
  // AUTH with a remaining length of 0 means success (MQTT 5.0, 3.15.2.1).
  if (type === PacketType.auth && frame.length === 2) return true
  // DISCONNECT with "bad authentication method", which only one of the two tables has (2.4 and 3.14.2.1).
  if (type === PacketType.disconnect && frame[body] === 0x8c) return true
  // MQTT 3.1 does not use the flags of other packets, reserved bits of CONNECT and CONNACK, and will flags without a
  // will; and the length of CONNECT goes before its flags of user name and password.
  if (type === PacketType.connect && frame[body + 8] === 3) return true
  return version === 3 && [0x2, 0x6, 0x8, 0xa].includes(type)
}

/** Compares our reading of a frame with that of mqtt-packet; false where it cannot read it for a known reason. */
function agree(sight: Sight, version: Version): boolean {
  const { frame, type, body } = sight
  const packet = decode(frame, version)
  if (packet === undefined && isBeyondMqttPacket(sight, version)) return false
  expect({ frame: frame.toString('hex'), cmd: packet?.cmd }).toEqual({
    frame: frame.toString('hex'),
    cmd: packetName(type),
  })
  if (packet?.cmd === 'publish') {
    const length = frame.readUInt16BE(body)
    expect(packet.topic).toBe(frame.toString('utf8', body + 2, body + 2 + length))
    const qos = qosOf(frame[0]! & 0x0f)
    if (qos > 0) expect(packet.messageId).toBe(frame.readUInt16BE(body + 2 + length))
    const payload = Buffer.from(packet.payload)
    expect(frame.subarray(frame.length - payload.length)).toEqual(payload)
  } else if (packet?.messageId !== undefined) expect(packet.messageId).toBe(frame.readUInt16BE(body))
  return true
}
