// One direction of a session: reads a leg, judges, and writes what passed to the other leg, at the pace that leg takes.

import type { Socket } from 'node:net'
import { stopped, type FrameStream } from '../mqtt/frames.ts'
import type { Outcome } from '../mqtt/rule.ts'

export interface PumpOwner {
  /** Bytes arrived; called before they are judged. */
  heard(pump: Pump, bytes: number): void
  /** Bytes passed and are written, or wait for a sink. */
  passed(pump: Pump, bytes: number): void
  /** The stream broke a rule; nothing more of it passes. */
  broken(pump: Pump, outcome: Outcome): void
  /** The source ended; everything that arrived and passed before is written, or waits for a sink. */
  ended(pump: Pump): void
  /** A defect of ours: judging threw. Nothing more passes. */
  crashed(pump: Pump, error: unknown): void
}

export class Pump {
  readonly stream: FrameStream
  readonly source: Socket
  #sink: Socket | undefined
  /** What passed before there was a sink; at most what one read brings, for the source is paused then. */
  #waiting: Buffer[] | undefined
  readonly #owner: PumpOwner
  #done = false

  constructor(stream: FrameStream, source: Socket, owner: PumpOwner) {
    this.stream = stream
    this.source = source
    this.#owner = owner
    source.on('data', (chunk: Buffer) => this.take(chunk))
    source.on('end', () => this.#end())
  }

  /** Writes what has waited and everything after it to `sink`. */
  open(sink: Socket): void {
    this.#sink = sink
    sink.on('drain', () => this.source.resume())
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const bytes of waiting) sink.write(bytes)
    if (!sink.writableNeedDrain) this.source.resume()
  }

  /** Judges a chunk and passes on what may pass: all neighbouring frames that do, as one slice. */
  take(chunk: Buffer): void {
    if (this.#done) return
    this.#owner.heard(this, chunk.length)
    const { stream } = this
    let outcome: Outcome
    try {
      outcome = stream.push(chunk)
    } catch (error) {
      this.stop()
      return this.#owner.crashed(this, error)
    }
    const { carry, from, to } = stream
    if (carry === undefined) {
      if (to > from) this.#write(to - from === chunk.length ? chunk : chunk.subarray(from, to))
    } else {
      stream.carry = undefined
      // A frame that was cut and its followers leave as one write: one system call, one run of TLS records.
      this.#sink?.cork()
      this.#write(carry)
      if (to > from) this.#write(chunk.subarray(from, to))
      this.#sink?.uncork()
    }
    if (outcome === 0) return
    this.stop()
    if (outcome !== stopped) this.#owner.broken(this, outcome)
  }

  /** Whether nothing more will pass. */
  get done(): boolean {
    return this.#done
  }

  /** Lets nothing more pass; what comes is thrown away by whoever reads on. */
  stop(): void {
    this.#done = true
    this.#waiting = undefined
  }

  #write(bytes: Buffer): void {
    this.#owner.passed(this, bytes.length)
    if (this.#sink === undefined) {
      this.#waiting ??= []
      this.#waiting.push(bytes)
    } else if (!this.#sink.write(bytes)) this.source.pause()
  }

  #end(): void {
    if (this.#done) return
    this.#done = true
    this.#owner.ended(this)
  }
}
