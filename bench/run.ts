// One run: who takes part, then round after round of everyone doing every scenario in turn.
import { cpus, release, totalmem } from 'node:os'
import { messageOf } from '../src/errors.ts'
import { killAll } from './child.ts'
import type { Options, ScenarioName } from './options.ts'
import { ALL_PEERS, type Peer } from './peers.ts'
import { type Plan, planFor } from './plan.ts'
import { probe } from './probe.ts'
import type { Bench } from './proxy.ts'
import type { Contestant, Failure, Results } from './report.ts'
import { type Figures, SCENARIO_RUNS, runDirect } from './scenarios.ts'
import type { Measurement, SubjectName } from './summary.ts'

const SCENARIO_TIMEOUT = 120_000

export class Run {
  readonly #options: Options
  readonly #say: (progress: string) => void
  readonly #plan: Plan
  readonly #bench: Bench
  readonly #start = performance.now()
  readonly #measurements: Measurement[] = []
  readonly #failures: Failure[] = []
  #cutShort = false

  /** @param say takes one line of progress */
  constructor(options: Options, bench: Bench, say: (progress: string) => void) {
    this.#say = say
    this.#options = options
    this.#plan = planFor(options.quick)
    this.#bench = bench
  }

  async toTheEnd(): Promise<Results> {
    const { contestants, missing } = await this.#assemble()
    const peers = ALL_PEERS.filter(({ name }) => contestants.some((contestant) => contestant.name === name))
    for (let round = 1; round <= this.#options.rounds; round++) await this.#round(round, peers)
    const cpu = cpus()
    return {
      date: new Date().toISOString(),
      machine: {
        cpu: cpu[0]?.model.trim() ?? 'unknown',
        cores: cpu.length,
        memory: totalmem(),
        kernel: release(),
      },
      options: this.#options,
      plan: this.#plan,
      contestants,
      missing,
      measurements: this.#measurements,
      failures: this.#failures,
      cutShort: this.#cutShort,
    }
  }

  /** Who takes part: installed, and shown to do the job that is compared. */
  async #assemble(): Promise<{ contestants: Contestant[]; missing: string[] }> {
    const contestants: Contestant[] = []
    const missing: string[] = []
    for (const peer of ALL_PEERS.filter(({ name }) => this.#options.peers.includes(name))) {
      const version = await peer.version()
      if (version === undefined) {
        missing.push(peer.title)
        this.#say(`${peer.title} is not installed: left out`)
        continue
      }
      try {
        const negotiated = await within(SCENARIO_TIMEOUT, probe(peer, this.#bench))
        contestants.push({ name: peer.name, title: peer.title, version, negotiated })
        this.#say(
          `${peer.title} ${version}: ${negotiated.version}, ${negotiated.group}, ${negotiated.cipher}; verifies the broker`,
        )
      } catch (error) {
        this.#fail(0, 'probe', peer.name, error)
      }
    }
    return { contestants, missing }
  }

  /** All scenarios, each by all peers one after the other; who goes first changes from round to round. */
  async #round(round: number, peers: readonly Peer[]): Promise<void> {
    const first = (round - 1) % Math.max(1, peers.length)
    const order = [...peers.slice(first), ...peers.slice(0, first)]
    for (const scenario of this.#options.scenarios) {
      if (scenario === 'd' && round > this.#plan.idle.rounds) continue
      if (scenario === 'e')
        await this.#measure(round, scenario, 'direct', () => runDirect(this.#plan, this.#bench))
      for (const peer of order) {
        const work = () => SCENARIO_RUNS[scenario](peer, this.#plan, this.#bench)
        await this.#measure(round, scenario, peer.name, work)
      }
    }
  }

  async #measure(round: number, scenario: ScenarioName, subject: SubjectName, work: () => Promise<Figures>) {
    if (performance.now() - this.#start > this.#plan.budget) {
      this.#cutShort = true
      return
    }
    try {
      const figures = await within(SCENARIO_TIMEOUT, work())
      this.#measurements.push({ round, scenario, subject, figures })
      this.#say(`round ${round} (${scenario}) ${subject}: ${inWords(figures)}`)
    } catch (error) {
      this.#fail(round, scenario, subject, error)
    }
  }

  #fail(round: number, scenario: string, subject: SubjectName, thrown: unknown): void {
    const error = messageOf(thrown)
    this.#failures.push({ round, scenario, subject, error })
    this.#say(`round ${round} (${scenario}) ${subject} FAILED: ${error}`)
  }
}

/** Waits for `work`; when the time is up its processes are ended, which ends the work too. */
async function within<Value>(milliseconds: number, work: Promise<Value>): Promise<Value> {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    killAll()
  }, milliseconds)
  try {
    return await work
  } catch (error) {
    throw isLate ? new Error(`not done within ${milliseconds / 1000} s`, { cause: error }) : error
  } finally {
    clearTimeout(timer)
  }
}

function inWords(figures: Figures): string {
  return Object.entries(figures)
    .map(([key, value]) => `${key} ${Number(value.toPrecision(4))}`)
    .join(', ')
}
