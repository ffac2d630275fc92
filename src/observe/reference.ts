// The reference of all metrics as Markdown, made from the table; docs/metrics.md is what it returns.

import { OTHER } from './counters.ts'
import { handshakeBounds, metricTable } from './table.ts'
import type { Label, Metric } from './table.ts'

export function renderMetricsReference(): string {
  const metrics = Object.entries<Metric>(metricTable)
  const areas = [...new Set(metrics.map(([, { area }]) => area))]
  const sections = areas.map((area) =>
    renderArea(
      area,
      metrics.filter(([, metric]) => metric.area === area),
    ),
  )
  return [introduction, ...sections].join('\n')
}

const introduction = `# Metrics

<!-- Generated from src/observe/table.ts by "npm run docs"; edit that file instead. -->

Pulseward serves these at \`/metrics\` on the address \`metrics.bind\` of proxy.yaml (by default
\`127.0.0.1:9464\`), in Prometheus' text format. Names and labels are public surface: they change only with a
major version.

A label never holds what a device sent: no client id, topic, user name or address. Every label has a closed set
or a limit; what does not fit is counted as \`${OTHER}\`, and \`pulseward_label_overflow_total\` says how often.
A listener or upstream that leaves proxy.yaml takes its gauges with it; counters stay until the process ends.
`

function renderArea(area: string, metrics: readonly (readonly [string, Metric])[]): string {
  return [`## ${area}\n`, ...metrics.map(([name, metric]) => renderMetric(name, metric))].join('\n')
}

function renderMetric(name: string, { type, help, labels }: Metric): string {
  const lines = [`### ${name}\n`, `${type[0]?.toUpperCase()}${type.slice(1)}. ${help}\n`]
  if (type === 'histogram') lines.push(`Upper bounds of the buckets: ${handshakeBounds.join(', ')}, +Inf.\n`)
  const rows = Object.entries(labels).map(
    ([label, spec]) => `| \`${label}\` | ${spec.meaning} | ${range(spec)} |`,
  )
  if (rows.length > 0) lines.push('| Label | Meaning | Values |\n| --- | --- | --- |', ...rows, '')
  return lines.join('\n')
}

function range({ values, most = 0 }: Label): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ')
  return most === 1 ? 'one at a time' : `at most ${most}`
}
