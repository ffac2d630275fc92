// One direction of a trial: its stream, what came and what went on, and what must hold after every chunk.

import { readConnect } from '../../src/mqtt/connect.ts'
import { FrameStream, stopped } from '../../src/mqtt/frames.ts'
import { PacketType, type Direction, type Version } from '../../src/mqtt/packet.ts'
import type { Rule } from '../../src/mqtt/rule.ts'
import { allRules, brokenRule, rules } from '../../src/mqtt/rules.ts'
import type { SessionState } from '../../src/mqtt/session.ts'
import { frameAt } from './script.ts'

/** A frame as the core saw it when it passed: what can be compared with another reader of the same bytes. */
export interface Sight {
  readonly direction: Direction
  readonly type: number
  /** The version in force before this frame. */
  readonly version: Version
  /** Rules that a standard demands and this frame broke without being refused. */
  readonly excused: boolean
  /** There was no room for its topic alias, which stands for nothing from here on. */
  readonly forgets: boolean
  /** Of PUBLISH and CONNECT, and `payload` its offset inside the frame. */
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

/** Something that must hold of any bytes did not; `message` says what, in words that shrinking keeps. */
export class Broken extends Error {}

/** One direction of a run: its stream, what came and what went on. */
export class Side {
  readonly direction: Direction
  readonly stream: FrameStream
  readonly hits = new Float64Array(allRules.length + 1)
  rule: Rule | undefined
  readonly #room: number
  readonly #received: Buffer[] = []
  readonly #passed: Buffer[] = []
  #waiting = 0
  #excuses = 0
  #forgotten = 0

  constructor(
    direction: Direction,
    session: SessionState,
    { counts, reports, sights }: { counts: Float64Array; reports: string[]; sights: Sight[] },
  ) {
    const { connect, control } = session.around.book.frames
    this.direction = direction
    // The most a stream may hold of one frame: the largest body it keeps, and a fixed header.
    this.#room = Math.max(connect, control) + 5
    this.stream = new FrameStream(direction, session, {
      counts,
      hits: this.hits,
      watched: 0xffff,
      tolerated: (rule, at) => {
        if (rule.direction !== 'both' && rule.direction !== direction)
          throw new Broken(`a rule was broken in a direction it does not have: ${rule.id}`)
        reports.push(`${direction} ${rule.id} @${at}`)
      },
      witness: (type, bytes, start, body, end) => {
        const excuses = this.#excuses
        const forgotten = this.#forgotten
        this.#excuses = standardHits(this.hits)
        this.#forgotten = this.hits[rules.topicAliasLimit.index]!
        const { version } = session
        const forgets = this.#forgotten > forgotten
        const excused = this.#excuses > excuses
        const fields = this.#read(type, bytes, start, body, end)
        sights.push({ direction, type, version, excused, forgets, fields })
        return true
      },
    })
  }

  take(chunk: Buffer): void {
    const { stream } = this
    this.#received.push(chunk)
    const outcome = stream.push(chunk)
    if (outcome === stopped) throw new Broken('stopped by a witness that stops nothing')
    if (stream.carry !== undefined) {
      this.#passed.push(stream.carry)
      this.#waiting -= stream.carry.length
      if (stream.carry.buffer.byteLength > stream.carry.length)
        throw new Broken('the store is larger than what was held')
    }
    if (stream.from > stream.to || stream.to > chunk.length) throw new Broken('from and to are out of order')
    this.#passed.push(chunk.subarray(stream.from, stream.to))
    this.#waiting += chunk.length - (stream.to - stream.from)
    if (outcome < 0) {
      this.rule = brokenRule(outcome)
      if (!stream.betweenFrames) throw new Broken('refused in the middle of a payload')
      if (stream.faultAt < 0 || stream.faultAt > this.#frameSize())
        throw new Broken(`a fault outside its frame: ${this.rule.id}`)
      return
    }
    if (stream.held !== this.#waiting) throw new Broken('what did not pass is not what is held')
    if (stream.held > this.#room) throw new Broken('more is held than the limit')
  }

  /** Bytes of the frame that did not pass, or that it says it has. */
  #frameSize(): number {
    const waiting = Buffer.concat(this.#received).subarray(-this.#waiting)
    return Math.max(waiting.length, frameAt(waiting, 0)?.end ?? 0)
  }

  /** What went on, which is how what came begins. */
  finish(): Buffer {
    const passed = Buffer.concat(this.#passed)
    const received = Buffer.concat(this.#received)
    if (!received.subarray(0, passed.length).equals(passed))
      throw new Broken('what passed is not how what was received begins')
    return passed
  }

  #read(type: number, bytes: Buffer, start: number, body: number, end: number): Sight['fields'] {
    if (type === PacketType.connect) return { ...readConnect(bytes, body, end) }
    if (type !== PacketType.publish) return {}
    const { view } = this.stream
    if (view === undefined) throw new Broken('a PUBLISH passed and left no view')
    const { topic, from, to, qos, dup, retain, packetId, alias, payload } = view
    const name = topic.toString('utf8', from, to)
    return { topic: name, qos, dup, retain, packetId, alias, payload: payload - start }
  }
}

const demanded = allRules.filter(({ clause }) => clause.v3 !== undefined || clause.v5 !== undefined)

function standardHits(hits: Float64Array): number {
  let sum = 0
  for (const { index } of demanded) sum += hits[index]!
  return sum
}
