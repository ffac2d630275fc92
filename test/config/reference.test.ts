import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { renderJsonSchema, renderReference } from '../../src/config/reference.ts'
import { makePki } from '../help/pki.ts'

const root = join(import.meta.dirname, '../..')

test.each([
  ['docs/proxy-yaml.md', renderReference],
  ['docs/proxy.schema.json', renderJsonSchema],
])('%s is what the schema says; "npm run docs" renews it', async (file, render) => {
  expect(await readFile(join(root, file), 'utf8')).toBe(render())
})

test('every option is in the reference, with its meaning', () => {
  const rows = renderReference()
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  expect(rows.length).toBeGreaterThan(40)
  for (const row of rows) expect(row).toMatch(/^\| `[\w-]+` \| \S.* \| \S.* \| [A-Z`+].*\. \|$/)
})

test('the JSON Schema has a meaning for every option, allows no other, and none of the words only the reference needs', () => {
  const visit = (shape: unknown, path: string): void => {
    if (typeof shape !== 'object' || shape === null) return
    if ('properties' in shape) {
      expect(shape, path).toMatchObject({ additionalProperties: false })
      for (const [key, option] of Object.entries(shape.properties as object)) {
        if (key !== 'kind') expect(option, `${path}.${key}`).toHaveProperty('description')
        visit(option, `${path}.${key}`)
      }
    }
    for (const [key, inner] of Object.entries(shape)) if (key !== 'properties') visit(inner, `${path}/${key}`)
  }
  const schema = renderJsonSchema()
  visit(JSON.parse(schema), '')
  expect(schema).not.toMatch(/"(range|otherwise)":/)
})

test('the example in the reference is a configuration without a warning', async () => {
  const [, example = ''] = /```yaml\n(.*?)```/s.exec(renderReference()) ?? []
  expect(await warningsOf(example)).toEqual([])
})

test('the shipped proxy.yaml names its schema and is a configuration without a warning', async () => {
  const shipped = await readFile(join(root, 'proxy.yaml'), 'utf8')
  expect(shipped).toMatch(/^# yaml-language-server: \$schema=docs\/proxy\.schema\.json\n/)
  expect(await warningsOf(shipped)).toEqual([])
})

test('the upstream that proxy.yaml has in comments is one, once its # are taken away', async () => {
  const shipped = await readFile(join(root, 'proxy.yaml'), 'utf8')
  const [, block = ''] = /^(# upstreams:\n(?:# .*\n)*)/m.exec(shipped) ?? []
  const used = shipped
    .replace(block, block.replaceAll(/^# /gm, ''))
    .replace('upstream: embedded', 'upstream: hospital')
  expect(used).toMatch(/^ {2}hospital:$/m)
  expect(await warningsOf(used, { 'hospital-ca.pem': (await makePki()).ca.cert })).toEqual([])
})

async function warningsOf(text: string, files: Readonly<Record<string, string>> = {}) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'pulseward-reference-'))
  for (const [name, content] of Object.entries({ ...files, 'proxy.yaml': text })) {
    await writeFile(join(folder.path, name), content)
  }
  return loadConfig('proxy.yaml', {}, folder.path).warnings
}
