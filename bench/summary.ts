// From single measurements to the figures that are shown: medians over rounds, ratios, targets met or missed.
import type { PeerName, ScenarioName } from './options.ts'
import type { Figures } from './scenarios.ts'
import { median } from './statistics.ts'

/** A proxy, or the direct connection that latencies are compared with. */
export type SubjectName = PeerName | 'direct'

export interface Measurement {
  readonly round: number
  readonly scenario: ScenarioName
  readonly subject: SubjectName
  readonly figures: Figures
}

interface Metric {
  readonly key: string
  readonly scenario: ScenarioName
  readonly title: string
  readonly unit: string
  readonly digits: number
  /** False where a ratio says nothing: differences near zero, and shares. */
  readonly compared?: false
}

/** The rows of the table, in its order; the keys are those of the figures and of the JSON. */
export const METRICS: readonly Metric[] = [
  { key: 'cpuPerMessage', scenario: 'a', title: 'sparse publishes, CPU a message', unit: 'µs', digits: 1 },
  { key: 'cpuPerFloodMessage', scenario: 'b', title: 'flood, CPU a message', unit: 'µs', digits: 3 },
  { key: 'floodPerSecond', scenario: 'b', title: 'flood, messages', unit: '/s', digits: 0 },
  {
    key: 'cpuPerFullConnection',
    scenario: 'c',
    title: 'connect, full handshake, CPU',
    unit: 'ms',
    digits: 2,
  },
  { key: 'cpuPerResumedConnection', scenario: 'c', title: 'connect, resumed, CPU', unit: 'ms', digits: 2 },
  {
    key: 'resumedShare',
    scenario: 'c',
    title: 'of these really resumed',
    unit: '%',
    digits: 0,
    compared: false,
  },
  {
    key: 'rssPerConnection',
    scenario: 'd',
    title: 'idle connection, resident (RSS)',
    unit: 'KiB',
    digits: 1,
  },
  {
    key: 'pssPerConnection',
    scenario: 'd',
    title: 'idle connection, resident (PSS)',
    unit: 'KiB',
    digits: 1,
  },
  {
    key: 'addedP50',
    scenario: 'e',
    title: 'QoS 1 round trip over direct, p50',
    unit: 'µs',
    digits: 0,
    compared: false,
  },
  {
    key: 'addedP99',
    scenario: 'e',
    title: 'QoS 1 round trip over direct, p99',
    unit: 'µs',
    digits: 0,
    compared: false,
  },
]

interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
}

/** By subject, then by key. */
export type Summary = ReadonlyMap<SubjectName, ReadonlyMap<string, Spread>>

export interface Target {
  readonly key: string
  /** What is to be reached, in words. */
  readonly rule: string
  readonly limit: number | undefined
  readonly measured: number | undefined
  /** Undefined when one of the two was not measured. */
  readonly met: boolean | undefined
}

/** Medians of every figure of every subject, with the latencies added to the direct ones of the same round. */
export function summarise(measurements: readonly Measurement[]): Summary {
  const values = new Map<SubjectName, Map<string, number[]>>()
  for (const measurement of measurements) {
    const { subject } = measurement
    const own = values.get(subject) ?? new Map<string, number[]>()
    values.set(subject, own)
    for (const [key, value] of Object.entries(withAdded(measurement, measurements))) {
      own.set(key, [...(own.get(key) ?? []), value])
    }
  }
  return new Map(
    [...values].map(([subject, figures]) => [
      subject,
      new Map([...figures].map(([key, list]) => [key, spreadOf(list)])),
    ]),
  )
}

/** How many times `other`'s median `subject`'s is; undefined when either is missing or not above zero. */
export function ratio(
  summary: Summary,
  key: string,
  subject: SubjectName,
  other: SubjectName,
): number | undefined {
  const [own, others] = [medianOf(summary, subject, key), medianOf(summary, other, key)]
  if (own === undefined || others === undefined || own <= 0 || others <= 0) return undefined
  return own / others
}

/** What Pulseward is to reach with full inspection. */
export function judgeTargets(summary: Summary): Target[] {
  const stunnel = (key: string) => medianOf(summary, 'stunnel', key)
  const times = (value: number | undefined, factor: number) =>
    value === undefined ? undefined : value * factor
  const rules: [string, string, number | undefined][] = [
    ['cpuPerMessage', 'at most stunnel’s', stunnel('cpuPerMessage')],
    ['cpuPerFloodMessage', 'at most 0.2 µs', 0.2],
    ['cpuPerFullConnection', 'at most 1.2 × stunnel’s', times(stunnel('cpuPerFullConnection'), 1.2)],
    ['cpuPerResumedConnection', 'at most 1.2 × stunnel’s', times(stunnel('cpuPerResumedConnection'), 1.2)],
    ['rssPerConnection', 'at most 70 KiB', 70],
    ['addedP99', 'at most 1,000 µs', 1000],
  ]
  return rules.map(([key, rule, limit]) => {
    const measured = medianOf(summary, 'pulseward', key)
    const met = limit === undefined || measured === undefined ? undefined : measured <= limit
    return { key, rule, limit, measured, met }
  })
}

export function medianOf(summary: Summary, subject: SubjectName, key: string): number | undefined {
  return summary.get(subject)?.get(key)?.median
}

function withAdded({ round, subject, figures }: Measurement, all: readonly Measurement[]): Figures {
  if (subject === 'direct' || figures['p50'] === undefined || figures['p99'] === undefined) return figures
  const direct = all.find((other) => other.round === round && other.subject === 'direct')?.figures
  if (direct?.['p50'] === undefined || direct['p99'] === undefined) return figures
  return { ...figures, addedP50: figures['p50'] - direct['p50'], addedP99: figures['p99'] - direct['p99'] }
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), rounds: values.length }
}
