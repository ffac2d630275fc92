// What a fuzz case is made of: packets of both sides in the order in which they arrive, and the limits they are judged by.

import type { Direction, Version } from '../../src/mqtt/packet.ts'
import type { DeviceClass, FrameLimits, PolicyLimits } from '../../src/mqtt/rulebook.ts'
import type { Step } from '../help/judge.ts'

/** What packets are judged by, presets aside. */
export interface Setting {
  readonly frames: FrameLimits
  readonly policy: Partial<PolicyLimits>
  readonly classes: readonly DeviceClass[]
  /** CONNECTs of the same client identifier before. */
  readonly earlier: number
}

export interface Script {
  /** Where it comes from: the name of a vector, `session` or `noise`. */
  readonly origin: string
  readonly setting: Setting
  /** One packet each, as far as anybody can tell where a packet ends; mutation makes anything of them. */
  readonly packets: readonly Step[]
}

/** Offset of the body and where the packet ends by its remaining length; undefined where that cannot be read. */
export function frameAt(bytes: Uint8Array, at: number): { body: number; end: number } | undefined {
  let remaining = 0
  for (let i = 1; i <= 4; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) return undefined
    remaining += (byte & 0x7f) * 128 ** (i - 1)
    if (byte < 0x80) return { body: at + i + 1, end: at + i + 1 + remaining }
  }
  return undefined
}

/** The whole frames in `bytes`, and what is left behind them. */
export function splitFrames(bytes: Buffer): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = []
  let at = 0
  for (;;) {
    const frame = frameAt(bytes, at)
    if (frame === undefined || frame.end > bytes.length) return { frames, rest: bytes.subarray(at) }
    frames.push(bytes.subarray(at, frame.end))
    at = frame.end
  }
}

/** Steps that may hold several frames as one packet each; what is no frame stays as it is. */
export function intoPackets(steps: readonly Step[]): Step[] {
  return steps.flatMap(({ direction, bytes }) => {
    const { frames, rest } = splitFrames(bytes)
    return [...frames, ...(rest.length > 0 ? [rest] : [])].map((one) => ({ direction, bytes: one }))
  })
}

/** Joins neighbouring packets of one side: the interleaving of both sides, which no chunking may change. */
export function interleave(packets: readonly Step[]): Step[] {
  const turns: { direction: Direction; parts: Buffer[] }[] = []
  for (const { direction, bytes } of packets) {
    const last = turns.at(-1)
    if (last?.direction === direction) last.parts.push(bytes)
    else turns.push({ direction, parts: [bytes] })
  }
  return turns.map(({ direction, parts }) => ({ direction, bytes: Buffer.concat(parts) }))
}

/** The version that the first CONNECT of a script asks for; 4 where it has none. */
export function versionOf(packets: readonly Step[]): Exclude<Version, 0> {
  for (const { direction, bytes } of packets) {
    if (direction !== 'up' || bytes[0] !== 0x10) continue
    const body = frameAt(bytes, 0)?.body ?? 0
    const level = bytes[body + 2 + (bytes[body + 1] ?? 0)]
    return level === 3 || level === 5 ? level : 4
  }
  return 4
}
