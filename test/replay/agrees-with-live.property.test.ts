// However TCP cuts, reorders, repeats and overlaps what both sides say, a capture is judged as the live bytes are.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { presets, type Preset } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { modeOf } from '../../src/mqtt/rulebook.ts'
import { sniff } from '../../src/net/sniff.ts'
import { Replay } from '../../src/replay/replay.ts'
import type { Plan } from '../../src/replay/stage.ts'
import { Corpus } from '../fuzz/corpus.ts'
import { Random } from '../fuzz/random.ts'
import { interleave, type Script } from '../fuzz/script.ts'
import { pcap, type Frame } from '../help/captures.ts'
import { judge } from '../help/judge.ts'
import { rulebook } from '../help/rulebook.ts'
import { Wire } from '../help/segments.ts'

const corpus = Corpus.ofVectors(new URL('../vectors/', import.meta.url))
/** Few enough that nothing is given up for lost while it is overtaken. */
const mostPackets = 200

test('any cut, order, repetition and overlap of segments gives the verdict of the live judge', () => {
  let compared = 0
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(...presets), (seed, preset) => {
      const random = new Random(seed, 1)
      const { script } = corpus.draw(random)
      const frames = carry(script, random)
      if (frames === undefined) return
      compared += 1
      expect(inCapture(script, preset, frames)).toEqual(live(script, preset))
    }),
    { numRuns: 3000 },
  )
  expect(compared).toBeGreaterThan(1500)
})

/** The script on a wire, and then as a bad network or a busy capture would show it. */
function carry({ packets, setting }: Script, random: Random): Frame[] | undefined {
  const turns = interleave(packets)
  const [first] = turns
  // Nothing else becomes a session, live or not; and nobody is remembered from before.
  if (first?.direction !== 'up' || setting.earlier > 0) return undefined
  const sniffed = sniff(first.bytes)
  if (sniffed === 'more' || sniffed.kind !== 'mqtt') return undefined
  const wire = new Wire({ pace: 0, sequences: { up: random.next(), down: random.next() } }).open()
  const handshake = wire.frames.splice(0)
  for (const { direction, bytes } of turns) {
    wire.send(direction, bytes, random.between(1, 40), random.between(1, 1500))
    const from = random.below(wire.sent(direction))
    if (random.once(4)) wire.resend(direction, from, random.between(from + 1, wire.sent(direction)))
  }
  const data = wire.frames.splice(0)
  if (data.length > mostPackets) return undefined
  const repeated = data.flatMap((frame) => (random.once(5) ? [frame, frame] : [frame]))
  return [...handshake, ...shuffled(repeated, random), ...wire.close().frames]
}

function shuffled(frames: readonly Frame[], random: Random): Frame[] {
  const reach = random.pick([0, 1, 3, 10, 1000])
  return frames
    .map((frame, index) => ({ frame, place: index + random.below(reach + 1) }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ frame }) => frame)
}

/** Verdicts as `direction rule @offset`, and how many frames passed. */
interface Judged {
  readonly verdicts: readonly string[]
  readonly counts: readonly number[]
}

function live({ packets, setting }: Script, preset: Preset): Judged {
  const { verdict, side, at, reports, counts } = judge(interleave(packets), {
    limits: setting.frames,
    book: bookOf(setting, preset),
  })
  const end = side === undefined ? [] : [`${side} ${verdict} @${at}`]
  return { verdicts: [...reports, ...end].toSorted(), counts }
}

function inCapture({ setting }: Script, preset: Preset, frames: readonly Frame[]): Judged {
  const replay = new Replay([planOf(setting, preset)])
  const reader = replay.open()
  reader.push(pcap(frames))
  reader.end()
  replay.finish()
  expect(replay.stage.gaps).toBe(0)
  const verdicts = replay.stage.incidents.list().map(({ finding: { evidence } }) => {
    return `${String(evidence['direction'])} ${String(evidence['rule'])} @${String(evidence['offset'])}`
  })
  return { verdicts: verdicts.toSorted(), counts: [...replay.stage.counts] }
}

function planOf(setting: Script['setting'], preset: Preset): Plan {
  return {
    name: 'ward',
    port: 1883,
    book: bookOf(setting, preset),
    policy: {
      mode: 'enforce',
      actions: new Map(),
      rules: new Map(allRules.map((rule) => [rule.id, modeOf(rule, preset, {})])),
    },
    detectors: [],
    timeouts: { idle: 1000 },
  }
}

function bookOf({ frames, policy, classes }: Script['setting'], preset: Preset) {
  return rulebook({ preset, frames, limits: policy, classes })
}
