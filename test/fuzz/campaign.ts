// A run of the fuzzer: case after case from one seed, what was seen on the way, and what to print where something broke.

import { allRules } from '../../src/mqtt/rules.ts'
import { check, drawCircumstances } from './check.ts'
import type { Case, Corpus } from './corpus.ts'
import { Random } from './random.ts'
import type { Script } from './script.ts'
import { asVector, shrink } from './shrink.ts'
import { Broken } from './side.ts'

/** What makes a case: the same seed and number draw the same case from the same corpus. */
export interface Place {
  readonly seed: number
  readonly number: number
}

export interface Finding {
  readonly place: Place
  readonly how: string
  readonly ways: readonly string[]
  readonly vector: string
}

export class Campaign {
  cases = 0
  frames = 0
  bytes = 0
  compared = 0
  readonly findings: Finding[] = []
  /** Sessions a preset refused, by rule index, and how often rules were broken and only reported. */
  readonly refusals = new Float64Array(allRules.length + 1)
  readonly reports = new Float64Array(allRules.length + 1)
  passed = 0
  readonly ways = new Map<string, number>()
  readonly #corpus: Corpus

  constructor(corpus: Corpus) {
    this.#corpus = corpus
  }

  /** Draws and checks one case; what breaks is shrunk and kept, each way of breaking once. */
  take(place: Place): void {
    const random = new Random(place.seed, place.number)
    const drawn = this.#corpus.draw(random)
    const circumstances = drawCircumstances(random)
    this.cases += 1
    for (const way of drawn.ways) this.ways.set(way, (this.ways.get(way) ?? 0) + 1)
    const failure = (script: Script): string | undefined => {
      try {
        check(script, circumstances)
        return undefined
      } catch (error) {
        return wordsOf(error)
      }
    }
    try {
      this.#count(drawn.script, check(drawn.script, circumstances))
    } catch (error) {
      const how = wordsOf(error)
      if (this.findings.some((known) => known.how === how)) return
      this.findings.push({
        place,
        how,
        ways: drawn.ways,
        vector: asVector(shrink(drawn.script, failure), how),
      })
    }
  }

  /** Rules that never showed, although some preset looks for them. */
  unseen(): string[] {
    return allRules
      .filter(({ index }) => this.refusals[index] === 0 && this.reports[index] === 0)
      .map(({ id }) => id)
  }

  #count({ packets }: Case['script'], { trials, compared }: ReturnType<typeof check>): void {
    this.compared += compared
    for (const { bytes } of packets) this.bytes += bytes.length
    for (const { rule, hits, sights } of Object.values(trials)) {
      this.frames += sights.length
      if (rule === undefined) this.passed += 1
      else this.refusals[rule.index]! += 1
      hits.forEach((count, index) => (this.reports[index]! += count))
    }
  }
}

/** What went wrong, without what differs from one case of it to the next. */
function wordsOf(error: unknown): string {
  if (error instanceof Broken) return error.message
  if (!(error instanceof Error)) throw error
  const place = /at .*(src\/mqtt\/[a-z-]+\.ts:\d+)/.exec(error.stack ?? '')?.[1] ?? 'nowhere in the core'
  return `throws ${error.name} at ${place}`
}
