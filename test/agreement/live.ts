// Sequences through a running Pulseward: who hung up, and whether a packet that a rule refuses got to the other side.

import type { Preset } from '../../src/mqtt/rulebook.ts'
import { Mosquitto } from '../help/mosquitto.ts'
import { makePki } from '../help/pki.ts'
import type { CoreOutcome, Outcome } from './core.ts'
import { openLanes } from './lanes.ts'
import { throughToBroker } from './live-broker.ts'
import { throughToDevice } from './live-lib.ts'

export interface LiveOutcome extends Outcome {
  /** Bytes beyond those that may pass reached the other side. */
  readonly leaked: boolean
  /** Whether the broker hangs up when nobody stands in front of it; of `broker` sequences. */
  readonly brokerAlone?: boolean
}

export interface LiveRun {
  /** In the order of those of the core. */
  readonly outcomes: readonly LiveOutcome[]
  /** Of mosquitto. */
  readonly brokerVersion: string
}

/** Enough to keep two cores busy while some wait. */
const mostLanes = 4

export async function runLive(expected: readonly CoreOutcome[], preset: Preset): Promise<LiveRun> {
  await using stack = new AsyncDisposableStack()
  const pki = await makePki()
  const { lanes } = stack.use(await openLanes(Math.min(mostLanes, expected.length), preset, pki))
  const ends = []
  for (const lane of lanes) ends.push({ lane, mosquitto: stack.use(await Mosquitto.start({ pki })) })
  const outcomes = await onLanes(ends, expected, async (end, outcome) =>
    outcome.sequence.side === 'broker'
      ? await throughToBroker(end, outcome)
      : await throughToDevice(end.lane, outcome),
  )
  const [, brokerVersion = ''] = /mosquitto version (\S+)/.exec(ends[0]?.mosquitto.log ?? '') ?? []
  return { outcomes, brokerVersion }
}

/** Runs all work on a few lanes, each with one piece at a time; results are in the order of the work. */
export async function onLanes<Lane, Work, Result>(
  lanes: readonly Lane[],
  work: readonly Work[],
  run: (lane: Lane, work: Work) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const drain = async (lane: Lane): Promise<void> => {
    while (next < work.length) {
      const index = next++
      results[index] = await run(lane, work[index]!)
    }
  }
  await Promise.all(lanes.map(drain))
  return results
}
