// The sink's counting of packets, however TCP and TLS cut them.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CONNACK,
  DISCONNECT,
  PINGRESP,
  connectPacket,
  publishOncePacket,
  publishPacket,
  repeated,
} from '../../bench/frames.ts'
import { Scanner } from '../../bench/scan.ts'

const SUBSCRIBE = Buffer.from([0x82, 6, 0x12, 0x34, 0, 1, 0x23, 0])
const PINGREQ = Buffer.from([0xc0, 0])

/** A whole conversation, what a broker answers to it, and how many PUBLISHes it has. */
function conversation(payloads: readonly number[]) {
  const publishes = payloads.flatMap((payload, index) => [
    publishPacket(payload),
    publishOncePacket(index + 1, payload),
  ])
  const acknowledgements = payloads.map((_, index) =>
    Buffer.from([0x40, 2, (index + 1) >> 8, (index + 1) & 0xff]),
  )
  return {
    sent: Buffer.concat([connectPacket('x'), SUBSCRIBE, ...publishes, PINGREQ, DISCONNECT]),
    answered: Buffer.concat([CONNACK, Buffer.from([0x90, 3, 0x12, 0x34, 0]), ...acknowledgements, PINGRESP]),
    publishes: publishes.length,
  }
}

describe('frames', () => {
  test('a CONNECT is MQTT 3.1.1 with a clean session', () => {
    expect(connectPacket('ab').toString('hex')).toBe('100e00044d51545404020e1000026162')
  })

  test('a PUBLISH of 64 bytes of payload is 84 bytes, and a long one gets a longer length', () => {
    const short = publishPacket(64)
    expect(short.subarray(0, 6).toString('hex')).toBe('305200107761')
    expect(short.length).toBe(84)
    expect(publishPacket(200).subarray(0, 3).toString('hex')).toBe('30da01')
    expect(publishOncePacket(0x1234, 64).subarray(20, 22).toString('hex')).toBe('1234')
  })

  test('repetition keeps frames whole and is never empty', () => {
    expect(repeated(publishPacket(64), 1000).length).toBe(11 * 84)
    expect(repeated(publishPacket(64), 1).length).toBe(84)
  })
})

describe('Scanner', () => {
  test('answers and counts the same however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 40 }),
        (payloads, cuts) => {
          const { sent, answered, publishes } = conversation(payloads)
          const scanner = new Scanner()
          const answers: Buffer[] = []
          for (let at = 0, turn = 0; at < sent.length; turn++) {
            const end = at + (cuts[turn % cuts.length] ?? 1)
            answers.push(scanner.take(sent.subarray(at, end)) ?? Buffer.alloc(0))
            at = end
          }
          expect(Buffer.concat(answers)).toEqual(answered)
          expect(scanner).toMatchObject({ connects: 1, publishes, ended: true })
        },
      ),
    )
  })

  test('says nothing to QoS 0', () => {
    const scanner = new Scanner()
    expect(scanner.take(repeated(publishPacket(64), 16_384))).toBeUndefined()
    expect(scanner.publishes).toBe(195)
    expect(scanner.ended).toBe(false)
  })

  test('refuses a remaining length of five bytes', () => {
    expect(() => new Scanner().take(Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0x01]))).toThrow(
      'more than four bytes',
    )
  })

  test('refuses a packet only a broker sends', () => {
    expect(() => new Scanner().take(Buffer.from(CONNACK))).toThrow('first byte 0x20')
  })

  test('does not hold a packet without end', () => {
    const scanner = new Scanner()
    scanner.take(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]))
    expect(() => scanner.take(Buffer.alloc(70_000))).toThrow('more than 65536 bytes')
  })
})
