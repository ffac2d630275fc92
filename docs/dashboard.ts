// The Grafana dashboard, made from its panels; deploy/grafana/pulseward.json is what this returns.

import { good, sections, type Panel } from './dashboard-panels.ts'

/** The dashboard as Grafana 10 and later import it. */
export function renderDashboard(): string {
  const dashboard = {
    uid: 'pulseward',
    title: 'Pulseward',
    tags: ['mqtt', 'security'],
    editable: true,
    refresh: '30s',
    schemaVersion: 39,
    time: { from: 'now-6h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' },
        {
          name: 'runbooks',
          type: 'textbox',
          label: 'Runbooks are at',
          query: runbooksAt,
          current: { text: runbooksAt, value: runbooksAt },
        },
        variable('instance', 'pulseward_build_info'),
        variable('upstream', 'pulseward_upstream_trusted{instance=~"$instance"}'),
        variable('listener', 'pulseward_connections_limit{instance=~"$instance"}'),
      ],
    },
    panels: placed(),
  }
  return `${JSON.stringify(dashboard, undefined, 2)}\n`
}

function variable(name: string, metric: string) {
  const query = { query: `label_values(${metric}, ${name})`, refId: name }
  const all = { includeAll: true, multi: true, current: { text: 'All', value: '$__all' } }
  return { name, type: 'query', datasource, query, refresh: 2, sort: 1, ...all }
}

const datasource = { type: 'prometheus', uid: '${datasource}' }
const columns = 24
/** Wherever the hospital keeps docs/runbooks.md. */
const runbooksAt = 'https://wiki.example/pulseward/runbooks'

function placed() {
  const panels: object[] = []
  let y = 0
  for (const section of sections) {
    panels.push({
      type: 'row',
      title: section.title,
      id: panels.length + 1,
      gridPos: { x: 0, y, w: columns, h: 1 },
    })
    y += 1
    let x = 0
    let height = 0
    for (const panel of section.panels) {
      if (x + panel.width > columns) {
        x = 0
        y += height
      }
      height = panel.kind === 'stat' ? 4 : 8
      panels.push({ id: panels.length + 1, gridPos: { x, y, w: panel.width, h: height }, ...drawn(panel) })
      x += panel.width
    }
    y += height
  }
  return panels
}

function drawn({ title, kind, tells, runbook, unit, steps, queries }: Panel) {
  const isNow = kind !== 'timeseries'
  const thresholds = {
    mode: 'absolute',
    steps: (steps ?? [[good, null] as const]).map(([color, value]) => ({ color, value })),
  }
  return {
    type: kind,
    title,
    description: tells,
    datasource,
    fieldConfig: {
      defaults: {
        ...(unit !== undefined && { unit }),
        thresholds,
        ...(kind === 'table' && { custom: { cellOptions: { type: 'color-text' } } }),
      },
      overrides: [],
    },
    ...(runbook !== undefined && {
      links: [{ title: 'runbook', url: `\${runbooks}#${runbook}`, targetBlank: true }],
    }),
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource,
      expr,
      legendFormat: legend,
      ...(isNow && { instant: true }),
      ...(kind === 'table' && { format: 'table' }),
    })),
  }
}
