// The results as a Markdown document and as JSON.
import type { Options } from './options.ts'
import { PAYLOAD, type Plan } from './plan.ts'
import type { Negotiated } from './server-hello.ts'
import {
  METRICS,
  type Measurement,
  type Summary,
  type SubjectName,
  judgeTargets,
  medianOf,
  ratio,
  summarise,
} from './summary.ts'

interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memory: number
  readonly kernel: string
}

export interface Contestant {
  readonly name: SubjectName
  readonly title: string
  readonly version: string
  readonly negotiated: Negotiated
}

export interface Failure {
  readonly round: number
  readonly scenario: string
  readonly subject: SubjectName
  readonly error: string
}

export interface Results {
  readonly date: string
  readonly machine: Machine
  readonly options: Options
  readonly plan: Plan
  readonly contestants: readonly Contestant[]
  /** Peers that were asked for and are not installed. */
  readonly missing: readonly string[]
  readonly measurements: readonly Measurement[]
  readonly failures: readonly Failure[]
  /** True when the time was up before the last round. */
  readonly cutShort: boolean
}

/** A foreign share of the proxy's core above this spoils a round. */
const NOISE = 0.1

export function toJson(results: Results): string {
  const summary = summarise(results.measurements)
  const plain = Object.fromEntries(
    [...summary].map(([subject, spreads]) => [subject, Object.fromEntries(spreads)]),
  )
  return `${JSON.stringify({ ...results, summary: plain, targets: judgeTargets(summary) }, undefined, 2)}\n`
}

export function toMarkdown(results: Results): string {
  const summary = summarise(results.measurements)
  return [
    `# Benchmark of ${results.date}`,
    machineLine(results),
    contestantTable(results.contestants),
    figureTable(results, summary),
    ratioTable(results.contestants, summary),
    targetTable(summary),
    notes(results, summary),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n')
}

/** The figures alone, as the README shows them. */
export function toFigures(results: Results): string {
  const day = results.date.slice(0, 10)
  const line = `Measured on ${day}: ${machineLine(results)} All conditions: [docs/benchmark.md](docs/benchmark.md).`
  return [line, figureTable(results, summarise(results.measurements))].join('\n\n').concat('\n')
}

function machineLine({ machine: { cpu, cores, memory, kernel }, options }: Results): string {
  const size = `${Math.round(memory / 2 ** 30)} GiB`
  return `${cpu}, ${cores} cores, ${size}, Linux ${kernel}; at most ${options.rounds} round(s)${options.quick ? ', quick' : ''}.`
}

function contestantTable(contestants: readonly Contestant[]): string {
  const rows = contestants.map(({ title, version, negotiated: { version: tls, group, cipher } }) => [
    title,
    version,
    `${tls}, **${group}**, ${cipher}`,
  ])
  return table(['proxy', 'version', 'negotiated with the sink'], rows)
}

function figureTable({ contestants }: Results, summary: Summary): string {
  const rows = METRICS.flatMap(({ key, scenario, title, unit, digits }) => {
    if (!contestants.some(({ name }) => medianOf(summary, name, key) !== undefined)) return []
    const cells = contestants.map(({ name }) => {
      const spread = summary.get(name)?.get(key)
      if (spread === undefined) return '–'
      const [mid, low, high] = [spread.median, spread.min, spread.max].map((value) => number(value, digits))
      return spread.rounds === 1 ? `${mid}` : `${mid} (${low} to ${high})`
    })
    return [[`(${scenario}) ${title}, ${unit}`, ...cells]]
  })
  return table(['median (lowest to highest)', ...contestants.map(({ title }) => title)], rows)
}

function ratioTable(contestants: readonly Contestant[], summary: Summary): string {
  const [own, ...others] = contestants
  if (own === undefined || others.length === 0) return ''
  const rows = METRICS.flatMap(({ key, scenario, title, compared }) => {
    if (compared === false) return []
    const ratios = others.map(({ name }) => ratio(summary, key, own.name, name))
    if (ratios.every((value) => value === undefined)) return []
    return [
      [`(${scenario}) ${title}`, ...ratios.map((value) => (value === undefined ? '–' : number(value, 2)))],
    ]
  })
  return table([`${own.title} ÷ …`, ...others.map(({ title }) => title)], rows)
}

function targetTable(summary: Summary): string {
  const rows = judgeTargets(summary).flatMap(({ key, rule, limit, measured, met }) => {
    const metric = METRICS.find((candidate) => candidate.key === key)
    if (metric === undefined || measured === undefined) return []
    const show = (value: number | undefined) => (value === undefined ? '–' : number(value, metric.digits))
    const verdict = met === undefined ? 'not judged' : met ? 'met' : '**missed**'
    return [
      [`(${metric.scenario}) ${metric.title}, ${metric.unit}`, rule, show(limit), show(measured), verdict],
    ]
  })
  return rows.length === 0 ? '' : table(['Pulseward', 'target', 'limit', 'measured', ''], rows)
}

function notes(
  { plan, missing, failures, cutShort, measurements, contestants }: Results,
  summary: Summary,
): string {
  const loads = contestants.flatMap(({ name }) => {
    const load = medianOf(summary, name, 'loadCore')
    return load === undefined ? [] : [`${name} ${Math.round(load * 100)} %`]
  })
  const noisy = measurements.filter(({ figures }) => (figures['foreign'] ?? 0) > NOISE).length
  const { storm, paced, idle } = plan
  return [
    `- Every proxy takes plaintext MQTT, checks the sink's chain and host name (proved before the run against a broker of another name and one of an unknown authority) and sends TLS 1.3 on. Each has core 0 to itself and one worker; sink and load share core 1.`,
    '- CPU is user and system time of the proxy’s own processes. Where groups differ so does the work: X25519MLKEM768 resists quantum computers, X25519 alone does not; OpenSSL 3.0 has only the latter.',
    `- ${PAYLOAD} bytes of payload a PUBLISH. (a) ${paced.connections} connections, ${paced.rate} messages a second. (c) ${storm.connections} connections, ${storm.concurrency} at a time; each proxy starts fresh and does ${storm.warmUp} before. (d) ${idle.connections} connections.`,
    '- Pulseward alone inspects every frame, checks a pin, counts, and logs a line for each connection opened and closed, as it does by default; the others log no connection.',
    ...(loads.length === 0
      ? []
      : [
          `- Use of the load core, median over all windows: ${loads.join(', ')}. Near 100 % the load sets (b)'s pace.`,
        ]),
    ...(noisy === 0
      ? []
      : [
          `- ${noisy} window(s) had other work on the proxy's core for more than ${NOISE * 100} % of the time.`,
        ]),
    ...(cutShort ? ['- The time was up before the last round ended.'] : []),
    ...(missing.length === 0 ? [] : [`- Not installed, left out: ${missing.join(', ')}.`]),
    ...failures.map(
      ({ round, scenario, subject, error }) => `- Failed: ${subject} (${scenario}) round ${round}: ${error}`,
    ),
  ].join('\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
