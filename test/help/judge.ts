// Drives both directions of a session through the core, cut as a test likes, and writes down all that came of it.

import { expect } from 'vitest'
import { readConnect } from '../../src/mqtt/connect.ts'
import { FrameStream, stopped } from '../../src/mqtt/frames.ts'
import { packetName, type Direction } from '../../src/mqtt/packet.ts'
import { skipVarint, varintAt } from '../../src/mqtt/properties.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { FrameLimits, Rulebook } from '../../src/mqtt/rulebook.ts'
import { allRules, brokenRule } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import { rulebook } from './rulebook.ts'

/** Bytes that arrive on one side, after those of the step before. */
export interface Step {
  readonly direction: Direction
  readonly bytes: Buffer
}

export interface Judgement {
  /** `pass`, or the id of the rule that was broken. */
  readonly verdict: string
  /** Which side broke it, and the offset inside the frame; undefined and -1 without a fault. */
  readonly side: Direction | undefined
  readonly at: number
  /** What went on, as hex. */
  readonly passed: Readonly<Record<Direction, string>>
  readonly held: Readonly<Record<Direction, number>>
  /** Frames that passed, by direction and type. */
  readonly counts: readonly number[]
  /** What the witness saw, in order. */
  readonly seen: readonly string[]
  /** Rules that were broken and only reported, as `up topic-wildcard @4`, and how often each was in all. */
  readonly reports: readonly string[]
  readonly hits: readonly number[]
}

/** One frame as the witness was shown it. */
export interface Sight {
  readonly direction: Direction
  readonly type: number
  readonly frame: Buffer
  /** Offset of the variable header. */
  readonly body: number
}

export interface JudgeOptions {
  readonly limits: FrameLimits
  /** The preset `standard` where none is given. */
  readonly book?: Rulebook
  /** CONNECTs of the same client identifier before this one. */
  readonly earlier?: number
  /** Cuts the bytes of a step into chunks; by default they arrive in one. */
  readonly cut?: (bytes: Buffer) => readonly Buffer[]
  readonly onSight?: (sight: Sight, session: SessionState) => void
}

/** Judges the steps in their order and stops at the first fault, as a session does. Checks what must always hold. */
export function judge(
  steps: readonly Step[],
  { limits, book = rulebook({ frames: limits }), earlier = 0, cut = whole, onSight }: JudgeOptions,
): Judgement {
  const churn = new Churn()
  for (let i = 0; i < earlier; i++) churn.count(clientIdOf(steps), 0)
  const session = new SessionState({ book, churn, clock: () => 0 })
  const counts = new Float64Array(32)
  const hits = new Float64Array(allRules.length + 1)
  const seen: string[] = []
  const reports: string[] = []
  const open = (direction: Direction): FrameStream =>
    new FrameStream(direction, session, {
      counts,
      hits,
      tolerated: ({ id }, offset) => reports.push(`${direction} ${id} @${offset}`),
      watched: 0xffff,
      witness(type, bytes, start, body, end) {
        seen.push(`${direction} ${packetName(type)}`)
        onSight?.({ direction, type, frame: bytes.subarray(start, end), body: body - start }, session)
        return true
      },
    })
  const streams = { up: open('up'), down: open('down') }
  const received = { up: [] as Buffer[], down: [] as Buffer[] }
  const passed = { up: [] as Buffer[], down: [] as Buffer[] }
  const waiting = { up: 0, down: 0 }
  let verdict = 'pass'
  let side: Direction | undefined
  for (const { direction, bytes } of steps) {
    const stream = streams[direction]
    for (const chunk of cut(bytes)) {
      received[direction].push(chunk)
      waiting[direction] += chunk.length
      const outcome = stream.push(chunk)
      // `expect` is slow, and asked for every byte of every vector: only where it will fail.
      if (outcome === stopped) expect(outcome).not.toBe(stopped)
      if (stream.carry !== undefined) {
        passed[direction].push(stream.carry)
        waiting[direction] -= stream.carry.length
        // The store grows by doubling and never beyond what the frame needs.
        const room = stream.carry.buffer.byteLength
        if (room > roomFor(limits)) expect(room).toBeLessThanOrEqual(roomFor(limits))
      }
      passed[direction].push(chunk.subarray(stream.from, stream.to))
      waiting[direction] -= stream.to - stream.from
      if (outcome < 0) {
        verdict = brokenRule(outcome).id
        side = direction
        break
      }
      if (stream.held !== waiting[direction]) expect(stream.held).toBe(waiting[direction])
      if (stream.held > roomFor(limits)) expect(stream.held).toBeLessThanOrEqual(roomFor(limits))
    }
    if (side !== undefined) break
  }
  const sent = { up: Buffer.concat(passed.up), down: Buffer.concat(passed.down) }
  for (const direction of ['up', 'down'] as const) {
    const prefix = Buffer.concat(received[direction]).subarray(0, sent[direction].length)
    if (!prefix.equals(sent[direction])) expect(sent[direction]).toEqual(prefix)
  }
  return {
    verdict,
    side,
    at: side === undefined ? -1 : streams[side].faultAt,
    passed: { up: sent.up.toString('hex'), down: sent.down.toString('hex') },
    // What a stream holds when it fails depends on how its bytes came; nobody reads it any more.
    held: side === undefined ? { up: streams.up.held, down: streams.down.held } : { up: 0, down: 0 },
    counts: [...counts],
    seen,
    reports,
    hits: [...hits],
  }
}

/** The client identifier of the CONNECT the steps begin with. */
function clientIdOf([first]: readonly Step[]): string {
  const { bytes } = first!
  const body = skipVarint(bytes, 1, bytes.length)
  return readConnect(bytes, body, body + varintAt(bytes, 1)).clientId
}

/** Joins neighbouring steps of one direction, as a network does. */
export function coalesce(steps: readonly Step[]): Step[] {
  const joined: Step[] = []
  for (const step of steps) {
    const last = joined.at(-1)
    if (last?.direction === step.direction) {
      joined[joined.length - 1] = { ...step, bytes: Buffer.concat([last.bytes, step.bytes]) }
    } else joined.push(step)
  }
  return joined
}

/** A cut into chunks of these sizes, over and over. */
export function chunksOf(...sizes: readonly number[]): (bytes: Buffer) => Buffer[] {
  return (bytes) => {
    const chunks: Buffer[] = []
    let turn = 0
    for (let at = 0; at < bytes.length;) {
      const size = Math.max(1, sizes[turn++ % sizes.length] ?? 1)
      chunks.push(bytes.subarray(at, at + size))
      at += size
    }
    return chunks
  }
}

function whole(bytes: Buffer): Buffer[] {
  return [bytes]
}

/** The most a stream may hold of one frame: the largest body it keeps, and a fixed header. */
function roomFor({ connect, control }: FrameLimits): number {
  return Math.max(connect, control) + 5
}
