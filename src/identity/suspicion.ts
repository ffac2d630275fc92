// Suspicion: what the signals of one device amount to now; it never adds up by repetition, and fades with time.

import type { Finding, Severity } from '../detect/finding.ts'
import { signals, type Signal, type SignalName } from './signals.ts'

/** A signal in the record of a device: when it was seen last, and on what it rests. */
export interface Evidence extends Signal {
  /** Milliseconds since 1970. */
  readonly at: number
}

export const stages = ['noticed', 'suspected', 'likely'] as const
/** How far a suspicion has come. */
export type Stage = (typeof stages)[number]

/** Suspicion from which on each stage counts. */
const thresholds: Readonly<Record<Stage, number>> = { noticed: 0.3, suspected: 0.5, likely: 0.8 }
const severityOf: Readonly<Record<Stage, Severity>> = {
  noticed: 'notice',
  suspected: 'warning',
  likely: 'critical',
}
/** Time in which a signal loses half its weight; milliseconds. */
export const halfLife = 3_600_000
/** What is left of a signal below this weight is forgotten. */
const faded = 0.01

/** From 0 to below 1: the chance that at least one signal means what it may mean, were they independent. */
export function suspicion(evidence: readonly Evidence[], now: number): number {
  let innocent = 1
  for (const one of evidence) innocent *= 1 - weightOf(one, now)
  return 1 - innocent
}

/** Undefined below the first stage: changes that are told and raise no alarm. */
export function stageOf(amount: number): Stage | undefined {
  return stages.findLast((stage) => amount >= thresholds[stage])
}

/** The evidence with new signals in it: a signal that was known is renewed, not counted twice; what has faded goes. */
export function withSignals(
  evidence: readonly Evidence[],
  fresh: readonly Signal[],
  now: number,
): readonly Evidence[] {
  const kept = new Map<SignalName, Evidence>()
  for (const one of evidence) if (weightOf(one, now) >= faded) kept.set(one.name, one)
  for (const one of fresh) kept.set(one.name, { ...one, at: now })
  return [...kept.values()]
}

/** The one finding of a suspicion: every signal with what it was before and is after. */
export function suspect(evidence: readonly Evidence[], stage: Stage, now: number): Finding {
  const told: Record<string, string | number | boolean> = {
    stage,
    suspicion: Math.round(suspicion(evidence, now) * 100) / 100,
    signals: evidence.map(({ name }) => name).join(' '),
  }
  for (const { name, before, after } of evidence) {
    told[name] = `${before || 'nothing'} -> ${after || 'nothing'}: ${signals[name].explanation}`
  }
  return {
    detector: suspicionDetector,
    severity: severityOf[stage],
    summary: 'somebody may be between a device and the proxy, or in the place of the device',
    evidence: told,
    references: ['ATT&CK T1557', 'ATT&CK T1557.002'],
  }
}

/** Whether a finding of this detector has come further than being noticed. */
export function isGrave({ severity }: Finding): boolean {
  return severity === 'warning' || severity === 'critical'
}

/** The detector name of findings about who a device is. */
export const suspicionDetector = 'mitm-suspected'

function weightOf({ name, at }: Evidence, now: number): number {
  return signals[name].weight * 2 ** (-Math.max(0, now - at) / halfLife)
}
