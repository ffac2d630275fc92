// The alert rules: tried by promtool, about metrics that exist, each with a runbook.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { rulesFile } from '../help/prometheus.ts'
import { unknownIn } from '../help/promql.ts'
import { describeWith, tool } from '../help/tools.ts'

interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly labels?: { readonly severity: string }
  readonly annotations?: { readonly summary: string; readonly runbook: string }
}

const read = (url: string): string => readFileSync(new URL(url, import.meta.url), 'utf8')
const { groups } = parse(readFileSync(rulesFile, 'utf8')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter((rule) => rule.alert !== undefined)

test('every alert has a severity, one summary and its section among the runbooks, and every section its alert', () => {
  const sections = [...read('../../docs/runbooks.md').matchAll(/^## (\S+)$/gm)].map(([, name]) => name)
  expect(alerts.map(({ alert }) => alert)).toEqual(sections)
  for (const { alert, labels, annotations } of alerts) {
    expect(['info', 'warning', 'critical']).toContain(labels?.severity)
    expect(annotations?.summary).toMatch(/\S/)
    expect(annotations?.runbook).toBe(`docs/runbooks.md#${alert?.toLowerCase()}`)
  }
})

test('rules ask for metrics and labels that exist', () => {
  const recorded = new Set(rules.map(({ record = '' }) => record))
  expect(rules.flatMap(({ expr }) => unknownIn(expr, recorded))).toEqual([])
  expect(unknownIn('sum(pulseward_made_up) + pulseward_connections{host="a"}')).toHaveLength(2)
})

test('every alert is tried', () => {
  const tried = readFileSync(rulesFile.replace('rules.yml', 'rules.test.yml'), 'utf8')
  for (const { alert } of alerts)
    expect(tried).toContain(`alertname: ${alert}\n        exp_alerts:\n          - exp_labels`)
})

describeWith(['promtool'], 'promtool', () => {
  test.each([
    ['check', 'rules.yml'],
    ['test', 'rules.test.yml'],
  ])('%s rules %s', (command, file) => {
    const options = { cwd: dirname(rulesFile), encoding: 'utf8' } as const
    const { status, stdout, stderr } = spawnSync(tool('promtool'), [command, 'rules', file], options)
    expect(status, stdout + stderr).toBe(0)
  })
})
