// Plays captures back: from packets to connections to sessions, by the clock of the capture, in bounded memory.

import { CaptureReader } from './capture.ts'
import { Connections } from './connections.ts'
import type { CapturedPacket } from './format.ts'
import { Hearing } from './hearing.ts'
import { ipStart, unknownLink } from './link.ts'
import { Segment } from './segment.ts'
import { Stage, type Plan } from './stage.ts'
import { Talk } from './talk.ts'

/** How far times may jump back before they are taken for those of another clock; milliseconds. */
const reordering = 60_000

/** What became of the packets of a capture. */
export interface PacketCounts {
  readonly packets: number
  readonly tcp: number
  /** Of an IP packet that came in pieces; they are not put together. */
  readonly fragment: number
  /** Cut off within their headers, by the snap length or whoever made them. */
  readonly short: number
  /** Cut off within their payload by the snap length. */
  readonly cut: number
  /** Of a link type that is not known here. */
  readonly unknownLink: number
  /** Anything but IP, and anything but TCP in it. */
  readonly other: number
}

export class Replay {
  /** All that comes of it. */
  readonly stage: Stage
  readonly connections: Connections
  /** Milliseconds since 1970; NaN where no packet has a time. */
  firstTime = NaN
  lastTime = NaN
  readonly #counts = { packets: 0, tcp: 0, fragment: 0, short: 0, cut: 0, unknownLink: 0, other: 0 }
  readonly #segment = new Segment()

  /** Sessions are judged by the plan with the port they go to, or else by the first one. */
  constructor(plans: readonly [Plan, ...Plan[]]) {
    const stage = new Stage(plans)
    this.stage = stage
    this.connections = new Connections((key, client) => new Talk(client, new Hearing(stage, key)))
  }

  get packets(): PacketCounts {
    return this.#counts
  }

  /** The next file, which goes on where the one before it ended. */
  open(): CaptureReader {
    this.stage.open(this.#counts.packets)
    return new CaptureReader((packet) => this.#take(packet))
  }

  /** No more files: whatever is open is over. */
  finish(): void {
    this.connections.finish()
  }

  #take({ time, link, bytes }: CapturedPacket): void {
    const counts = this.#counts
    counts.packets += 1
    this.#tick(time)
    const at = ipStart(link, bytes)
    if (at < 0) {
      counts[at === unknownLink ? 'unknownLink' : 'other'] += 1
      return
    }
    const segment = this.#segment
    const kind = segment.read(bytes, at)
    counts[kind] += 1
    if (kind !== 'tcp') return
    if (segment.cut > 0) counts.cut += 1
    this.connections.take(segment, counts.packets, this.stage.now)
  }

  /** The clock goes on with the packets, and does not go back for one that was overtaken. */
  #tick(time: number): void {
    if (Number.isNaN(time)) return
    const { stage } = this
    if (time > stage.now || stage.now - time > reordering) stage.now = time
    if (!(this.firstTime <= time)) this.firstTime = time
    if (!(this.lastTime >= time)) this.lastTime = time
  }
}
