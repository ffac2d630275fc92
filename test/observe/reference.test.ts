// docs/metrics.md is the rendering of the table, and the rendering misses nothing.
import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { renderMetricsReference } from '../../src/observe/reference.ts'
import { metricTable } from '../../src/observe/table.ts'

it('docs/metrics.md is up to date: `npm run docs` writes it', async () => {
  const written = await readFile(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  expect(written).toBe(renderMetricsReference())
})

it('has every metric with its help and every label once', () => {
  const reference = renderMetricsReference()
  for (const [name, { help, labels }] of Object.entries(metricTable)) {
    const section = reference.split(`### ${name}\n`)
    expect(section, name).toHaveLength(2)
    const body = section[1]?.split('\n#')[0] ?? ''
    expect(body).toContain(help)
    expect([...body.matchAll(/^\| `(\w+)` \|/gm)].map(([, label]) => label)).toEqual(Object.keys(labels))
  }
})
