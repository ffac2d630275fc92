// Where Pulseward and Mosquitto disagree, and whether each of it is understood.

import type { Preset } from '../../src/mqtt/rulebook.ts'
import type { CoreOutcome, Outcome } from './core.ts'
import type { LiveOutcome } from './live.ts'

export interface Findings {
  /** Sequences that had to be stopped and were not, and why; `unexplained` where nobody knows. */
  readonly passed: readonly { readonly name: string; readonly reason: string }[]
  /** Sequences that had to live and were refused, and by what. */
  readonly dropped: readonly { readonly name: string; readonly by: string }[]
  /** Sequences that had to live, and that this broker does not let live by itself either. */
  readonly brokers: readonly string[]
  /** Sequences of which a refused packet got to the other side. */
  readonly leaked: readonly string[]
}

const unexplained = 'unexplained'

/** `reported`: rules that were broken and only reported, by name of the sequence. */
export function findingsOf(
  outcomes: readonly (Outcome & Partial<Pick<LiveOutcome, 'leaked' | 'brokerAlone'>>)[],
  { reasons, preset, reported }: Grounds,
): Findings {
  const live = outcomes.filter(({ sequence }) => !sequence.mustDisconnect)
  const isBrokers = ({ verdict, brokerAlone }: (typeof outcomes)[number]): boolean =>
    verdict === 'broker' && brokerAlone === true
  return {
    passed: outcomes
      .filter(({ sequence, verdict }) => sequence.mustDisconnect && verdict === 'passed')
      .map(({ sequence: { name } }) => ({ name, reason: reasonOf(name) })),
    dropped: live
      .filter((outcome) => outcome.verdict !== 'passed' && !isBrokers(outcome))
      .map(({ sequence, verdict, by = verdict }) => ({ name: sequence.name, by })),
    brokers: live.filter(isBrokers).map(({ sequence }) => sequence.name),
    leaked: outcomes.filter(({ leaked }) => leaked === true).map(({ sequence }) => sequence.name),
  }

  function reasonOf(name: string): string {
    const known = reasons[name]
    if (known !== undefined) return known
    const rules = (reported.get(name) ?? []).map((rule) => `\`${rule}\``).join(', ')
    if (rules === '') return unexplained
    return preset === 'observe' ? `reported: ${rules}` : `${unexplained}; reported: ${rules}`
  }
}

interface Grounds {
  readonly reasons: Readonly<Record<string, string>>
  readonly preset: Preset
  readonly reported: ReadonlyMap<string, readonly string[]>
}

/** Which rules each sequence broke that were only reported. */
export function reportsOf(outcomes: readonly CoreOutcome[]): Map<string, readonly string[]> {
  return new Map(outcomes.map(({ sequence, reported }) => [sequence.name, reported]))
}

/** Whether all of it is as it should be. */
export function isSound({ passed, dropped, leaked }: Findings): boolean {
  return (
    dropped.length === 0 &&
    leaked.length === 0 &&
    !passed.some(({ reason }) => reason.startsWith(unexplained))
  )
}
