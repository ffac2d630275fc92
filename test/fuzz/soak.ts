// One session that never ends and keeps inventing things to remember: its tables have to stay within their bounds.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FrameStream } from '../../src/mqtt/frames.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import {
  bytes,
  connackPacket,
  connectPacket,
  packet,
  publishPacket,
  subscribePacket,
  uint16,
  unsubscribePacket,
  varint,
} from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'
import { Random } from './random.ts'
import { Broken } from './side.ts'

/** Packet identifiers of both directions, 64 requests, 64 filters, 64 identifiers, a few aliases. */
export const mostRemembered = 2 ** 20

/** Bytes that a session holds after `rounds` of everything that it may remember; throws where they are too many. */
export function soak(seed: number, rounds = 20_000): number {
  const random = new Random(seed, 0)
  const book = rulebook({ preset: 'observe', frames: { connect: 4096, control: 4096, publish: 65_536 } })
  const around = { book, churn: new Churn(), clock: () => 0 }
  const bench = {
    counts: new Float64Array(32),
    hits: new Float64Array(allRules.length + 1),
    watched: 0,
    witness: () => true,
    tolerated: () => undefined,
  }
  // Once for nothing, so that what the first session compiles is not taken for what the second remembers.
  live(new SessionState(around), bench, random, 500)
  const before = heapInUse()
  const session = new SessionState(around)
  const streams = live(session, bench, random, rounds)
  const held = heapInUse() - before
  if (held > mostRemembered) throw new Broken(`a session of ${rounds} rounds holds ${held} bytes`)
  if (!streams.every((stream) => stream.held === 0)) throw new Broken('a long session holds something back')
  return held
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes in use once all garbage is collected. */
export function heapInUse(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

type Bench = ConstructorParameters<typeof FrameStream>[2]

function live(session: SessionState, bench: Bench, random: Random, rounds: number): FrameStream[] {
  const up = new FrameStream('up', session, bench)
  const down = new FrameStream('down', session, bench)
  const say = (stream: FrameStream, one: Buffer): void => {
    if (stream.push(one) < 0) throw new Broken('a long session ended')
  }
  say(up, connectPacket({ version: 5, properties: bytes(34, uint16(65_535)) }))
  say(down, connackPacket(5, 0, { properties: bytes(34, uint16(65_535)) }))
  for (let round = 0; round < rounds; round++) {
    const id = random.between(1, 65_535)
    const topic = `${random.next()}/${'long/'.repeat(random.below(12))}`
    for (const stream of [up, down]) {
      const properties = bytes(35, uint16(random.between(1, 65_535)))
      say(stream, publishPacket({ version: 5, topic, qos: random.pick([1, 2]), id, properties }))
    }
    const many = Array.from({ length: random.between(1, 12) }, () => [topic, random.below(3)] as const)
    say(
      up,
      subscribePacket(5, random.between(1, 65_535), many, bytes(11, varint(random.between(1, 1 << 20)))),
    )
    say(up, unsubscribePacket(5, random.between(1, 65_535), [topic]))
    say(up, packet(0xc0))
    say(
      random.pick([up, down]),
      packet(random.pick([0x40, 0x50, 0x62, 0x70]), uint16(random.between(1, 65_535))),
    )
    say(down, packet(0x90, uint16(random.between(1, 65_535)), varint(0), 0))
  }
  return [up, down]
}
