// Whatever is changed, removed or moved in the evidence shows; what Pulseward does itself, and a kill, do not.

import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit, type Audit } from '../../src/evidence/audit.ts'
import { Store } from '../../src/evidence/store.ts'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { makePki } from '../help/pki.ts'
import { inForce, sighting, software } from '../help/sightings.ts'

const limits = { maxSize: 1 << 20, maxIncidents: 4 }
const begin = Date.UTC(2026, 10, 22, 8)

let folder: Folder
/** A store with every kind of line: seven incidents, three of them rotated, and repeats. */
let pristine: string
let files: string[]

beforeAll(async () => {
  const pki = await makePki()
  folder = await Folder.make()
  pristine = folder.at('pristine')
  const { store } = await Store.open(pristine, software, begin)
  for (let number = 0; number < 7; number += 1) {
    const served = [(await pki.issue()).cert, pki.ca.cert]
    const id = await store.add(sighting({ served, at: begin + number * 1000 }), inForce, limits)
    const totals = { count: 2, sessionsHeldBack: 2, applicationBytesSent: 0, at: begin + number * 1000 + 500 }
    await store.repeat({ id, ...totals })
    await store.rotate(limits, begin + number * 1000 + 700)
  }
  const entries = await readdir(pristine, { recursive: true, withFileTypes: true })
  files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(pristine.length + 1))
    .toSorted()
})
afterAll(async () => await folder[Symbol.asyncDispose]())

let copies = 0
async function tampered(change: (at: (name: string) => string) => Promise<void>): Promise<Audit> {
  copies += 1
  const copy = folder.at(`copy-${copies}`)
  await cp(pristine, copy, { recursive: true })
  await change((name) => join(copy, name))
  const found = await audit(copy)
  await rm(copy, { recursive: true })
  return found
}

function places({ breaks, torn }: Audit): string[] {
  return [...breaks, ...torn].map(({ where }) => where)
}

test('as it was written, the store holds, rotation and all', async () => {
  const found = await tampered(async () => {})
  expect(places(found)).toEqual([])
  expect(found.incidents.map(({ told }) => told.rotated)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ])
  expect(files).toHaveLength(2 + 4 * 2)
})

describe('found and named:', () => {
  test('any byte of any file changed, removed or added', async () => {
    const edit = fc.record({
      file: fc.nat(),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      byte: fc.integer({ min: 0, max: 255 }),
      how: fc.constantFrom('change', 'remove', 'add'),
    })
    await fc.assert(
      fc.asyncProperty(edit, async ({ file, at, byte, how }) => {
        const name = files[file % files.length] ?? ''
        const before = await readFile(join(pristine, name))
        const offset = Math.floor(at * before.length)
        const after = Buffer.concat([
          before.subarray(0, offset),
          how === 'remove' ? Buffer.alloc(0) : Buffer.of(byte),
          before.subarray(how === 'add' ? offset : offset + 1),
        ])
        fc.pre(!after.equals(before))
        const found = await tampered(async (path) => await writeFile(path(name), after))
        expect(places(found)).not.toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  test('a byte that UTF-8 cannot hold, in the place of the sign that stands for such bytes', async () => {
    const { store } = await Store.open(folder.at('odd'), software, begin)
    const id = await store.add(sighting({ reasons: ['a \uFFFD in a name'] }), inForce, limits)
    const path = folder.at(`odd/${id}/incident.json`)
    const bytes = await readFile(path)
    const at = bytes.indexOf('\uFFFD')
    await writeFile(path, Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 3)]))
    expect((await readFile(path)).toString()).toBe(bytes.toString())
    expect(places(await audit(folder.at('odd')))).toEqual([`${id}/incident.json`])
  })

  test('any file removed, or put in the place of another', async () => {
    for (const name of files) {
      expect(places(await tampered(async (at) => await rm(at(name)))), name).not.toEqual([])
      for (const other of files.filter((one) => one !== name)) {
        const found = await tampered(async (at) => await cp(at(other), at(name)))
        expect(places(found), `${other} as ${name}`).not.toEqual([])
      }
    }
  })

  test('any folder removed, renamed, added or put in the place of another', async () => {
    const folders = [...new Set(files.filter((name) => name.includes('/')).map((name) => name.slice(0, 23)))]
    expect(folders).toHaveLength(4)
    for (const name of folders) {
      const removed = await tampered(async (at) => await rm(at(name), { recursive: true }))
      expect(places(removed)).toEqual([`${name}/incident.json`])
      const renamed = await tampered(async (at) => await rename(at(name), at(`${name}.bak`)))
      expect(places(renamed)).toEqual([`${name}/incident.json`, `${name}.bak`])
    }
    const [first = '', second = ''] = folders
    const swapped = await tampered(async (at) => {
      await rename(at(first), at('third'))
      await rename(at(second), at(first))
      await rename(at('third'), at(second))
    })
    expect(places(swapped)).toEqual([`${first}/incident.json`, `${second}/incident.json`])
    const added = await tampered(async (at) => await mkdir(at('000009-20261122T080000Z')))
    expect(places(added)).toEqual(['000009-20261122T080000Z'])
    const hidden = await tampered(async (at) => await writeFile(at(`${first}/note.txt`), ''))
    expect(places(hidden)).toEqual([`${first}/note.txt`])
  })

  test('any line of the chain removed, repeated, or moved', async () => {
    const lines = (await readFile(join(pristine, 'chain.jsonl'), 'utf8')).split('\n').slice(0, -1)
    const after = async (changed: readonly string[]): Promise<string[]> =>
      places(
        await tampered(
          async (at) => await writeFile(at('chain.jsonl'), changed.map((one) => `${one}\n`).join('')),
        ),
      )
    for (const [index, line] of lines.entries()) {
      expect(await after(lines.toSpliced(index, 1)), `without ${index}`).not.toEqual([])
      expect(await after(lines.toSpliced(index, 0, line)), `twice ${index}`).not.toEqual([])
      for (const other of lines.keys()) {
        if (other <= index) continue
        const swapped = lines.with(index, lines[other] ?? '').with(other, line)
        expect(await after(swapped), `${index} and ${other}`).toContain(`chain.jsonl:${index + 1}`)
      }
    }
    // Not even all the lines of the last incident together.
    for (let count = 1; count < lines.length; count += 1) {
      expect(await after(lines.slice(0, -count)), `without the last ${count}`).not.toEqual([])
    }
  })
})

test('a proxy that is killed at any moment leaves a store that goes on without a break', async () => {
  await using state = await Folder.make()
  const program = fileURLToPath(new URL('../help/evidence-writer.ts', import.meta.url))
  const seen: number[] = []
  for (let round = 0; round < 12; round += 1) {
    await using child = new Child(process.execPath, [program, state.path, String(round * 10_000)])
    await child.says(/recorded 1\n/)
    // Somewhere in the middle of what takes it a few milliseconds an incident.
    await new Promise((resolve) => setTimeout(resolve, round * 7))
    await child.kill()
    expect(child.stdout.toString()).not.toContain('changed or damaged')
    const found = await audit(state.at('evidence'))
    expect(found.breaks).toEqual([])
    seen.push(found.incidents.length)
  }
  // Nothing that was recorded is lost by the kills that follow.
  expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  expect(seen.at(-1)).toBeGreaterThan(12)
  await Store.open(state.at('evidence'), software, Date.now())
  const found = await audit(state.at('evidence'))
  expect(places(found)).toEqual([])
  expect((await readdir(state.path)).some((name) => name.includes('broken'))).toBe(false)
})
