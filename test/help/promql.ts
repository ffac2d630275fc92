// Which metrics and labels a PromQL expression asks for; enough of the language for rules and dashboards of ours.

import { metricTable, type MetricName } from '../../src/observe/table.ts'

const SELECTOR = /\b((?:pulseward|process|nodejs)[_:][a-z0-9_:]+)(?:\{([^}]*)\})?/g
const HISTOGRAM = /_(bucket|sum|count)$/

/** What an expression asks for that is not in the table of metrics, in words; `recorded` are names made by rules. */
export function unknownIn(expression: string, recorded: ReadonlySet<string> = new Set()): string[] {
  return [...expression.matchAll(SELECTOR)].flatMap(([, name = '', selector = '']) => {
    if (recorded.has(name)) return []
    const metric = metricTable[name as MetricName] ?? metricTable[name.replace(HISTOGRAM, '') as MetricName]
    if (metric === undefined) return [`no metric ${name}`]
    const known = new Set([...Object.keys(metric.labels), 'instance', 'job', 'le'])
    return [...selector.matchAll(/([a-z_]+)\s*[=!]/g)]
      .map(([, label = '']) => label)
      .filter((label) => !known.has(label))
      .map((label) => `no label ${label} of ${name}`)
  })
}
