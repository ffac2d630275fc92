// Every source file opens with the sentence that says what room it is, and stays small enough to be read in one go.

import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { renderMap } from '../../docs/map.ts'

const root = join(import.meta.dirname, '../..')
const ceiling = 300
/** Files above the ceiling, each with its own, which may only be lowered. */
const exceptions: Readonly<Record<string, number>> = {
  'src/proxy/session.ts': 380,
}

const files = await sourceFiles()

test('every source file opens with the sentence that says what it is', () => {
  expect(files.length).toBeGreaterThan(50)
  const silent = files.filter(({ first }) => !/^\/\/ [\p{L}`"].{10,125}\.$/u.test(first))
  expect(silent.map(({ path, first }) => `${path}: ${first}`)).toEqual([])
})

test('docs/map.md is up to date: `npm run docs` writes it', async () => {
  const mapped = files.map(({ path, first }) => ({ path, sentence: first.replace(/^\/\/ /, '') }))
  expect(await readFile(join(root, 'docs/map.md'), 'utf8')).toBe(renderMap(mapped))
})

test('no two files say the same', () => {
  expect(new Set(files.map(({ first }) => first)).size).toBe(files.length)
})

test(`no source file is longer than ${ceiling} lines, but for those named here, and they do not grow`, () => {
  const long = files.filter(({ path, lines }) => lines > (exceptions[path] ?? ceiling))
  expect(long.map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([])
  const excused = files.filter(({ path, lines }) => path in exceptions && lines > ceiling)
  expect(excused.map(({ path }) => path)).toEqual(Object.keys(exceptions).toSorted())
})

async function sourceFiles(): Promise<{ path: string; first: string; lines: number }[]> {
  const entries = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  return await Promise.all(
    paths.toSorted().map(async (path) => {
      const lines = (await readFile(join(root, path), 'utf8')).split('\n')
      return { path, first: lines[0] ?? '', lines: lines.length - 1 }
    }),
  )
}
