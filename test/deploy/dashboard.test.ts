// The Grafana dashboard: as its panels say, about metrics that exist, with runbooks that exist.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { renderDashboard } from '../../docs/dashboard.ts'
import { sections } from '../../docs/dashboard-panels.ts'
import { unknownIn } from '../help/promql.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const panels = sections.flatMap((section) => section.panels)

interface Placed {
  readonly id: number
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
}

test('deploy/grafana/pulseward.json is up to date: `npm run docs` writes it', () => {
  expect(read('deploy/grafana/pulseward.json')).toBe(renderDashboard())
})

test('panels ask for metrics and labels that exist', () => {
  expect(panels.flatMap(({ queries }) => queries.flatMap(({ expr }) => unknownIn(expr)))).toEqual([])
})

test('every panel says in a sentence what it shows, and leads to a section of the runbooks if to any', () => {
  const anchors = [...read('docs/runbooks.md').matchAll(/^## (\S+)$/gm)].map(([, name]) =>
    name?.toLowerCase(),
  )
  for (const { tells, runbook } of panels) {
    expect(tells).toMatch(/\.$/)
    if (runbook !== undefined) expect(anchors).toContain(runbook)
  }
})

test('no two panels lie on each other, and none outside', () => {
  const placed = (JSON.parse(renderDashboard()) as { panels: Placed[] }).panels
  expect(new Set(placed.map(({ id }) => id)).size).toBe(placed.length)
  const taken = new Set<string>()
  for (const { title, gridPos } of placed) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(taken.has(`${x} ${y}`), title).toBe(false)
        taken.add(`${x} ${y}`)
      }
    }
  }
})

test('what Grafana is provisioned with names the same data source and a folder', () => {
  const source = parse(read('deploy/grafana/provisioning/datasources/prometheus.yml')) as object
  expect(source).toMatchObject({ datasources: [{ type: 'prometheus', uid: 'prometheus' }] })
  const boards = parse(read('deploy/grafana/provisioning/dashboards/pulseward.yml')) as object
  expect(boards).toMatchObject({
    providers: [{ type: 'file', options: { path: expect.stringMatching(/^\//) } }],
  })
})
