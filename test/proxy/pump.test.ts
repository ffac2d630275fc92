// One direction: what passes, in which order, at whose pace, and how it stops.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { FrameStream, type Witness } from '../../src/mqtt/frames.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import { allRules, brokenRule } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import { Pump } from '../../src/proxy/pump.ts'
import { bytes, connectPacket, packet, pingreqPacket, publishPacket } from '../help/packets.ts'
import { rulebook } from '../help/rulebook.ts'
import { eventually } from '../help/wait.ts'

/** A leg in memory: the test feeds what it reads and sees what is written to it. */
class Leg extends Duplex {
  readonly written: Buffer[] = []
  /** Writes under way, while the leg is slow. */
  readonly #held: (() => void)[] = []
  slow = false

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 1000 })
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk)
    if (this.slow) this.#held.push(done)
    else done()
  }

  /** Takes everything it was slow about. */
  catchUp(): void {
    this.slow = false
    for (const done of this.#held.splice(0)) done()
  }

  get socket(): Socket {
    return this as unknown as Socket
  }
}

function stage(witness: Witness = () => true) {
  const book = rulebook({ frames: { connect: 4096, control: 4096, publish: 1_000_000 } })
  const state = new SessionState({ book, churn: new Churn(), clock: () => 0 })
  const stream = new FrameStream('up', state, {
    counts: new Float64Array(32),
    hits: new Float64Array(allRules.length + 1),
    tolerated: () => {},
    watched: 0xffff,
    witness,
  })
  const [source, sink] = [new Leg(), new Leg()]
  const told: string[] = []
  const passed: number[] = []
  let heard = 0
  const pump = new Pump(stream, source.socket, {
    heard: (_, count) => (heard += count),
    passed: (_, count) => passed.push(count),
    broken: (_, outcome) => told.push(`broken ${brokenRule(outcome).id}`),
    ended: () => told.push('ended'),
    crashed: (_, error) => told.push(`crashed ${String(error)}`),
  })
  return { pump, source, sink, told, passed, heard: () => heard, written: () => Buffer.concat(sink.written) }
}

const connect = connectPacket({ version: 4 })
const small = publishPacket({ version: 4, topic: 'ward/1', payload: '72' })

describe('what passes', () => {
  test('is written once for every run of frames, in the bytes that came', () => {
    const set = stage()
    set.pump.open(set.sink.socket)
    const run = bytes(connect, small, small, pingreqPacket)
    set.pump.take(run)
    expect(set.sink.written).toEqual([run])
    // The very buffer, not a copy.
    expect(set.sink.written[0]?.buffer).toBe(run.buffer)
    expect(set.passed).toEqual([run.length])
    expect(set.heard()).toBe(run.length)
  })

  test('keeps its order when a frame comes in pieces', () => {
    const set = stage()
    set.pump.open(set.sink.socket)
    const all = bytes(connect, small, small, pingreqPacket)
    for (let at = 0; at < all.length; at += 7) set.pump.take(all.subarray(at, at + 7))
    expect(set.written()).toEqual(all)
    expect(set.passed.reduce((sum, count) => sum + count)).toBe(all.length)
    expect(set.heard()).toBe(all.length)
  })

  test('waits for the sink, and goes to it before anything else', async () => {
    const set = stage()
    set.pump.take(bytes(connect, small))
    set.pump.take(small)
    expect(set.sink.written).toEqual([])
    set.pump.open(set.sink.socket)
    set.source.push(pingreqPacket)
    await eventually('the rest', () => set.written().length > connect.length + 2 * small.length)
    expect(set.written()).toEqual(bytes(connect, small, small, pingreqPacket))
  })
})

describe('pace', () => {
  test('a sink that is full makes the source wait, and a drained one lets it go on', async () => {
    const set = stage()
    set.sink.slow = true
    set.pump.open(set.sink.socket)
    const large = publishPacket({ version: 4, topic: 'ward/1', payload: Buffer.alloc(1200) })
    set.source.push(bytes(connect, large))
    await eventually('the pause', () => set.source.isPaused())
    const before = set.heard()
    set.source.push(small)
    await setImmediate()
    expect(set.heard()).toBe(before)
    set.sink.catchUp()
    await eventually('the rest', () => set.heard() === before + small.length)
    expect(set.source.isPaused()).toBe(false)
    expect(set.written()).toEqual(bytes(connect, large, small))
  })

  test('a sink that what has waited fills keeps the source waiting', async () => {
    const set = stage()
    set.sink.slow = true
    const large = publishPacket({ version: 4, topic: 'ward/1', payload: Buffer.alloc(1200) })
    set.pump.take(bytes(connect, large))
    set.source.pause()
    set.pump.open(set.sink.socket)
    expect(set.source.isPaused()).toBe(true)
    set.sink.catchUp()
    await eventually('the source going on', () => !set.source.isPaused())
  })

  test('however slow the sink, no more than its buffer is held', async () => {
    const set = stage()
    set.sink.slow = true
    set.pump.open(set.sink.socket)
    set.source.push(connect)
    for (let i = 0; i < 1000; i++) set.source.push(small)
    await eventually('the pause', () => set.source.isPaused())
    expect(set.sink.writableLength).toBeLessThan(2000)
    set.sink.catchUp()
    await eventually('all of it', () => set.written().length === connect.length + 1000 * small.length)
  })
})

describe('it stops', () => {
  const bad = packet(0xf0)

  test('at a broken rule: what came before passes, nothing after', () => {
    const set = stage()
    set.pump.open(set.sink.socket)
    set.pump.take(bytes(connect, small, bad, small))
    expect(set.told).toEqual(['broken reserved-type'])
    expect(set.pump.done).toBe(true)
    set.pump.take(small)
    expect(set.written()).toEqual(bytes(connect, small))
    expect(set.heard()).toBe(bytes(connect, small, bad, small).length)
  })

  test('at a broken rule before there is a sink: nothing is left for it', () => {
    const set = stage()
    set.pump.take(bytes(connect, bad))
    set.pump.open(set.sink.socket)
    expect(set.told).toEqual(['broken reserved-type'])
    expect(set.sink.written).toEqual([])
  })

  test('where its witness says so, without a broken rule', () => {
    const set = stage((type) => type !== 12)
    set.pump.open(set.sink.socket)
    set.pump.take(bytes(connect, small, pingreqPacket, small))
    expect(set.told).toEqual([])
    expect(set.pump.done).toBe(true)
    expect(set.written()).toEqual(bytes(connect, small))
  })

  test('at a defect, which goes no further', () => {
    const set = stage((type) => {
      if (type === 12) throw new Error('a defect')
      return true
    })
    set.pump.open(set.sink.socket)
    set.pump.take(connect)
    set.pump.take(bytes(small, pingreqPacket))
    expect(set.told).toEqual(['crashed Error: a defect'])
    expect(set.pump.done).toBe(true)
    set.pump.take(small)
    expect(set.written()).toEqual(connect)
  })

  test('at the end of its source, which is told once, after the last bytes', async () => {
    const set = stage()
    set.pump.open(set.sink.socket)
    set.source.push(bytes(connect, small))
    set.source.push(null)
    await eventually('the end', () => set.told.length > 0)
    expect(set.told).toEqual(['ended'])
    expect(set.written()).toEqual(bytes(connect, small))
    expect(set.sink.writableEnded).toBe(false)
  })

  test('when it is told to, and then its end is not told', async () => {
    const set = stage()
    set.pump.take(connect)
    set.pump.stop()
    set.pump.open(set.sink.socket)
    set.source.push(small)
    set.source.push(null)
    await eventually('the end', () => set.source.readableEnded)
    expect(set.told).toEqual([])
    expect(set.sink.written).toEqual([])
    expect(set.heard()).toBe(connect.length)
  })
})
