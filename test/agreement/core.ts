// Sequences through the pure core, by the rules that proxy.yaml would put in force.

import { configSchema } from '../../src/config/schema.ts'
import { inspectionOf } from '../../src/config/rulebooks.ts'
import { FrameStream } from '../../src/mqtt/frames.ts'
import type { Direction } from '../../src/mqtt/packet.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { Preset, Rulebook } from '../../src/mqtt/rulebook.ts'
import { allRules, brokenRule } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import type { Step } from '../help/judge.ts'
import { messagesOf, openingOf, senderOf } from './opening.ts'
import type { Sequence } from './sequences.ts'

/**
 * What became of the connection: a rule refused a packet, the side under test had its last word (a DISCONNECT, or a
 * CONNACK that refuses), a live broker hung up, or it stands.
 */
export const verdicts = ['rule', 'last word', 'broker', 'passed'] as const
export type Verdict = (typeof verdicts)[number]

export interface Outcome {
  readonly sequence: Sequence
  readonly verdict: Verdict
  /** The rule that refused, or the reason of another refusal. */
  readonly by: string | undefined
}

export interface CoreOutcome extends Outcome {
  /** Rules that were broken and only reported. */
  readonly reported: readonly string[]
  /** What went on of what the side under test said, its opening included. */
  readonly passed: Buffer
}

/** The rulebook of a proxy.yaml that says nothing of packets but the preset. */
export function rulebookOf(preset: Preset): Rulebook {
  const config = configSchema.parse({
    listeners: [{ name: 'ward', bind: '127.0.0.1:0', upstream: 'hospital' }],
    upstreams: { hospital: { servers: ['mqtts://broker.example:8883'] } },
    inspection: { preset },
  })
  return inspectionOf(config.listeners[0]!, config).book
}

/** @throws {Error} where the opening is refused: nothing would be known of the sequence then. */
export function judgeSequence(sequence: Sequence, book: Rulebook): CoreOutcome {
  const session = new SessionState({ book, churn: new Churn(), clock: () => 0 })
  const reported = new Set<string>()
  const open = (direction: Direction): FrameStream =>
    new FrameStream(direction, session, {
      counts: new Float64Array(32),
      hits: new Float64Array(allRules.length + 1),
      watched: 0,
      witness: () => true,
      tolerated: ({ id }) => reported.add(id),
    })
  const streams = { up: open('up'), down: open('down') }
  const sender = senderOf(sequence)
  const passed: Buffer[] = []
  /** Returns the rule that was broken. */
  const say = ({ direction, bytes }: Step): string | undefined => {
    const stream = streams[direction]
    const outcome = stream.push(bytes)
    if (direction === sender)
      passed.push(stream.carry ?? Buffer.alloc(0), bytes.subarray(stream.from, stream.to))
    return outcome < 0 ? brokenRule(outcome).id : undefined
  }
  const settled = (verdict: Verdict, by?: string): CoreOutcome => ({
    sequence,
    verdict,
    by,
    reported: [...reported],
    passed: Buffer.concat(passed),
  })
  for (const step of openingOf(sequence)) {
    const rule = say(step)
    if (rule !== undefined) throw new Error(`the opening of "${sequence.name}" breaks "${rule}"`)
  }
  for (const step of messagesOf(sequence)) {
    const rule = say(step)
    if (rule !== undefined) return settled('rule', rule)
  }
  const { deviceLeft, brokerLeft, connackCode } = session
  const left = sender === 'up' ? deviceLeft : brokerLeft || connackCode > 0
  return settled(left ? 'last word' : 'passed')
}
