// Everything that is checked of one case: under every preset, in every chunking, and against another reader.

import { isDeepStrictEqual } from 'node:util'
import { modeNumber, presets, type Preset, type Rulebook } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { rulebook } from '../help/rulebook.ts'
import { compareReaders } from './oracle.ts'
import type { Random } from './random.ts'
import { interleave, type Script, type Setting } from './script.ts'
import { Broken } from './side.ts'
import { run, type Cut, type Trial } from './trial.ts'

export interface Checked {
  readonly trials: Readonly<Record<Preset, Trial>>
  readonly preset: Preset
  /** Frames that mqtt-packet read too. */
  readonly compared: number
}

/** How a case is judged, drawn from its seed and number: shrinking changes the script and nothing of this. */
interface Circumstances {
  readonly preset: Preset
  readonly tick: number
  readonly sizes: readonly (readonly number[])[]
}

export function drawCircumstances(random: Random): Circumstances {
  return {
    preset: random.pick(presets),
    tick: random.pick([0, 250, 1000]),
    sizes: [40, 9].map((most) => Array.from({ length: 8 }, () => random.between(1, most))),
  }
}

/** Throws `Broken`, or whatever the core threw, at the first thing that does not hold. */
export function check({ packets, setting }: Script, { preset, tick, sizes }: Circumstances): Checked {
  const turns = interleave(packets)
  const books = booksFor(setting)
  const judged = (one: Preset, cut: Cut): Trial =>
    run(turns, { book: books[one], tick, earlier: setting.earlier }, cut)
  const trials = {
    strict: judged('strict', whole),
    standard: judged('standard', whole),
    observe: judged('observe', whole),
  }
  for (const cut of [byteByByte, ...sizes.map(inPieces)]) mustBeSame(trials[preset], judged(preset, cut))
  mustRelax(trials.strict, trials.standard, books.standard.modes)
  mustRelax(trials.strict, trials.observe, books.observe.modes)
  return { trials, preset, compared: compareReaders(trials.observe) }
}

function whole(bytes: Buffer): Iterable<Buffer> {
  return [bytes]
}

function* byteByByte(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1)
}

function inPieces(sizes: readonly number[]): (bytes: Buffer) => Iterable<Buffer> {
  return function* pieces(bytes) {
    let turn = 0
    for (let at = 0; at < bytes.length;) {
      const size = sizes[turn++ % sizes.length] ?? 1
      yield bytes.subarray(at, at + size)
      at += size
    }
  }
}

/** How bytes are cut into chunks must not show in anything. */
function mustBeSame(one: Trial, other: Trial): void {
  if (one.verdict !== other.verdict) throw new Broken(`chunking turns ${one.verdict} into ${other.verdict}`)
  if (one.side !== other.side || one.at !== other.at) throw new Broken(`chunking moves ${one.verdict}`)
  for (const direction of ['up', 'down'] as const) {
    if (!one.passed[direction].equals(other.passed[direction]))
      throw new Broken('chunking changes what passes')
    if (one.held[direction] !== other.held[direction]) throw new Broken('chunking changes what is held')
  }
  if (!isDeepStrictEqual(one.reports, other.reports)) throw new Broken('chunking changes what is reported')
  if (!isDeepStrictEqual(one.hits, other.hits)) throw new Broken('chunking changes how often rules are hit')
  if (!isDeepStrictEqual(one.counts, other.counts)) throw new Broken('chunking changes what is counted')
  if (!isDeepStrictEqual(one.sights, other.sights)) throw new Broken('chunking changes what is seen')
}

/** A laxer preset passes all that `strict` passed, and notices first what `strict` refused, unless it is not looked for. */
function mustRelax(strict: Trial, lax: Trial, modes: Uint8Array): void {
  for (const direction of ['up', 'down'] as const) {
    const passed = strict.passed[direction]
    if (!lax.passed[direction].subarray(0, passed.length).equals(passed))
      throw new Broken('a laxer preset passes less')
  }
  const { rule, side, at } = strict
  if (rule === undefined) {
    if (lax.rule !== undefined) throw new Broken(`strict passes what another preset refuses: ${lax.rule.id}`)
  } else if (modes[rule.index] === modeNumber.enforce) {
    if (lax.rule !== rule || lax.side !== side || lax.at !== at)
      throw new Broken(`strict and another preset differ about ${rule.id}`)
  } else if (modes[rule.index] === modeNumber.report) {
    const first = lax.reports.find((report) => enforcedInStrict.has(report.split(' ')[1] ?? ''))
    if (first !== `${side} ${rule.id} @${at}`)
      throw new Broken(`strict refuses by ${rule.id}, which is not reported first`)
  }
}

const enforcedInStrict = new Set(allRules.filter(({ mode }) => mode.strict === 'enforce').map(({ id }) => id))

/** Settings come from the corpus again and again. */
const compiled = new WeakMap<Setting, Record<Preset, Rulebook>>()

function booksFor(setting: Setting): Record<Preset, Rulebook> {
  let books = compiled.get(setting)
  if (books === undefined) {
    const { frames, policy: limits, classes } = setting
    const book = (preset: Preset): Rulebook => rulebook({ preset, frames, limits, classes })
    books = { strict: book('strict'), standard: book('standard'), observe: book('observe') }
    compiled.set(setting, books)
  }
  return books
}
