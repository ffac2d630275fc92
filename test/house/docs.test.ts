// The documents hold: docs/rules.md is the rule table, links lead somewhere, the README's proxy.yaml is a good one.

import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { renderAttackers } from '../../docs/attackers.ts'
import { renderCertificates } from '../../docs/certificates.ts'
import { renderPatches } from '../../docs/patches.ts'
import { renderRulesReference } from '../../docs/rules.ts'
import { loadConfig } from '../../src/config/load.ts'
import { patches } from '../../src/mqtt/patches.ts'
import { makeIdentity } from '../../src/pair/keys.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { attackers } from '../help/attackers.ts'
import { Folder } from '../help/folder.ts'
import { makePki } from '../help/pki.ts'
import { cases } from '../tls/cases.ts'

const root = join(import.meta.dirname, '../..')

test('docs/rules.md is up to date: `npm run docs` writes it', async () => {
  expect(await readFile(join(root, 'docs/rules.md'), 'utf8')).toBe(renderRulesReference(allRules))
})

test('docs/rules.md has every rule once, with a clause and its sentence', () => {
  const rows = renderRulesReference(allRules)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  expect(rows.map((row) => /^\| `([a-z0-9-]+)` \|/.exec(row)?.[1])).toEqual(allRules.map(({ id }) => id))
  for (const row of rows)
    expect(row).toMatch(/ \| (device|broker|either) \| .*[\d`].* \| `0x[0-9a-f]{2}` \| [A-Z+].*\. \|/)
})

test('docs/certificates.md is up to date: `npm run docs` writes it', async () => {
  expect(await readFile(join(root, 'docs/certificates.md'), 'utf8')).toBe(renderCertificates(cases))
})

test('docs/attackers.md is up to date: `npm run docs` writes it', async () => {
  const text = await readFile(join(root, 'docs/attackers.md'), 'utf8')
  expect(text).toBe(renderAttackers(Object.values(attackers)))
})

test('every attacker of docs/attackers.md is played by a test', async () => {
  const folder = join(root, 'test/e2e')
  const files = (await readdir(folder)).filter((name) => name.startsWith('attackers-'))
  const texts = await Promise.all(files.map(async (name) => await readFile(join(folder, name), 'utf8')))
  for (const name of Object.keys(attackers)) expect(texts.join('')).toContain(`'${name}'`)
})

test('docs/virtual-patches.md is up to date: `npm run docs` writes it', async () => {
  expect(await readFile(join(root, 'docs/virtual-patches.md'), 'utf8')).toBe(renderPatches(patches))
})

test('docs/virtual-patches.md has every CVE once, with what stops it and in which mode', () => {
  const text = renderPatches(patches)
  const rows = text.split('\n').filter((line) => line.startsWith('| ['))
  expect(rows.map((row) => /^\| \[(CVE-[\d-]+)\]/.exec(row)?.[1])).toEqual(patches.map(({ id }) => id))
  for (const row of rows) {
    expect(row).toMatch(
      / \| (device|broker|either) \| [A-Z].*\.\*? \| .*`[a-z0-9-]+` \| (enforce|report|off|always|no class) \| (enforce|report|off|always|no class) \| (published|from the fix|inferred) \|$/,
    )
  }
  const modes = rows.map((row) => row.split(' | ').at(-3))
  const said = [
    / (\d+) of them are enforced/,
    / (\d+) only reported/,
    /\n(\d+) off/,
    / (\d+) wait/,
    / (\d+) need no/,
  ]
  const counted = ['enforce', 'report', 'off', 'no class', 'always'].map(
    (mode) => modes.filter((one) => one === mode).length,
  )
  expect(said.map((one) => Number(one.exec(text)?.[1]))).toEqual(counted)
})

test('docs/rules.md names the CVEs each rule stops', () => {
  const row = renderRulesReference(allRules)
    .split('\n')
    .find((line) => line.startsWith('| `will-delay` |'))
  expect(row).toContain('[CVE-2019-11778](https://www.cve.org/CVERecord?id=CVE-2019-11778)')
})

test('every relative link of the documents leads to a file', async () => {
  const pages = ['README.md', 'CHANGELOG.md', ...(await documents('docs')), ...(await documents('docs/adr'))]
  const dead: string[] = []
  for (const page of pages) {
    const text = await readFile(join(root, page), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      const found = await stat(join(root, dirname(page), target)).catch(() => undefined)
      if (found === undefined) dead.push(`${page}: ${target}`)
    }
  }
  expect(dead).toEqual([])
})

test('decisions are numbered without gaps, and each says context, decision and consequences', async () => {
  const pages = await documents('docs/adr')
  expect(pages.map((page) => /(\d{4})-[a-z0-9-]+\.md$/.exec(page)?.[1])).toEqual(
    pages.map((_, index) => String(index + 1).padStart(4, '0')),
  )
  for (const page of pages) {
    const text = await readFile(join(root, page), 'utf8')
    expect(text, page).toMatch(/^# \d+\. .+\n\n## Context\n\n[^]+## Decision\n\n[^]+## Consequences\n\n/)
  }
})

test('the proxy.yaml of the README passes `pulseward check`', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [, yaml = ''] = /```yaml\n([^]*?)```/.exec(readme) ?? []
  expect(yaml).toContain('listeners:')
  const { ca } = await makePki()
  await using folder = await Folder.make({ 'proxy.yaml': yaml, 'hospital-ca.pem': ca.cert })
  const { config, warnings } = loadConfig(folder.at('proxy.yaml'), {}, folder.path)
  expect(warnings).toEqual([])
  expect(config.upstreams['hospital']?.tls.pins).toHaveLength(2)
})

test('the proxy.yaml of both ends in docs/paired-mode.md pass `pulseward check`', async () => {
  const text = await readFile(join(root, 'docs/paired-mode.md'), 'utf8')
  const blocks = Array.from(text.matchAll(/```yaml\n([^]*?)```/g), ([, yaml = '']) => yaml)
  expect(blocks).toHaveLength(2)
  const { ca } = await makePki()
  for (const yaml of blocks) {
    const files = { 'proxy.yaml': yaml, 'far-ca.pem': ca.cert, 'state/pair/identity.pem': makeIdentity() }
    await using folder = await Folder.make(files)
    expect(loadConfig(folder.at('proxy.yaml'), {}, folder.path).warnings).toEqual([])
  }
})

async function documents(folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder))
  return names
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => `${folder}/${name}`)
}
