// The pins accepted after a rotation: kept whole, bounded, told who did it, and given up where the file is damaged.
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { acceptedFile, acceptPin, readAccepted, revokePin } from '../../src/tls/accepted.ts'
import type { AcceptedPin } from '../../src/tls/accepted.ts'
import { Folder } from '../help/folder.ts'

const pinOf = (number: number): string => `sha256/${Buffer.alloc(32, number).toString('base64')}`
const of = (number: number): AcceptedPin => ({
  upstream: 'hospital',
  pin: pinOf(number),
  at: '2026-11-22T12:00:00.000Z',
  by: 'nurse',
})
const clock = (): number => 1_800_000_000_000

test('what is accepted is there afterwards, private, and so is who did it', async () => {
  await using folder = await Folder.make({})
  const empty = await readAccepted(folder.path, clock)
  expect(empty).toEqual({ pins: [], history: [], warnings: [] })
  const one = await acceptPin(folder.path, empty, of(1))
  const two = await acceptPin(folder.path, one, { ...of(2), by: 'night\nnurse\u202e' })
  // Twice is once, by the later.
  await acceptPin(folder.path, two, { ...of(1), by: 'another' })
  const found = await readAccepted(folder.path, clock)
  expect(found.pins.map(({ pin }) => pin)).toEqual([pinOf(2), pinOf(1)])
  expect(found.pins[1]?.by).toBe('another')
  expect(found.pins[0]?.by).not.toMatch(/[\n\u202e]/)
  expect(found.history.map(({ action }) => action)).toEqual(['accept', 'accept', 'accept'])
  expect((await stat(acceptedFile(folder.path))).mode & 0o777).toBe(0o600)

  expect(await revokePin(folder.path, found, { ...of(2), upstream: 'clinic' })).toBeUndefined()
  await revokePin(folder.path, found, of(2))
  const after = await readAccepted(folder.path, clock)
  expect(after.pins.map(({ pin }) => pin)).toEqual([pinOf(1)])
  expect(after.history.at(-1)).toMatchObject({ action: 'revoke', pin: pinOf(2), by: 'nurse' })
})

test('it is bounded: so many pins, so much history, and the file stays readable', async () => {
  await using folder = await Folder.make({})
  let state: Parameters<typeof acceptPin>[1] = { pins: [], history: [] }
  const long = { by: 'x'.repeat(1000), upstream: `a${'b'.repeat(31)}` }
  for (let number = 0; number < 64; number += 1)
    state = await acceptPin(folder.path, state, { ...of(number), ...long })
  await expect(acceptPin(folder.path, state, of(65))).rejects.toMatchObject({ code: 'accepted-full' })
  for (let round = 0; round < 40; round += 1) {
    state = (await revokePin(folder.path, state, { ...of(3), ...long })) ?? state
    state = await acceptPin(folder.path, state, { ...of(3), ...long })
  }
  const { pins, history, warnings } = await readAccepted(folder.path, clock)
  expect([pins.length, history.length, warnings]).toEqual([64, 128, []])
})

test.each([
  ['no JSON', '{'],
  ['nothing', ''],
  ['another version', '{"version":2,"pins":[],"history":[]}'],
  [
    'a pin that is none',
    JSON.stringify({ version: 1, pins: [{ ...of(1), pin: 'sha256/AAAA' }], history: [] }),
  ],
  ['a pin without a name', JSON.stringify({ version: 1, pins: [{ ...of(1), by: 7 }], history: [] })],
  [
    'an upstream that can be none',
    JSON.stringify({ version: 1, pins: [{ ...of(1), upstream: '../x' }], history: [] }),
  ],
  ['a deed of no kind', JSON.stringify({ version: 1, pins: [], history: [{ ...of(1), action: 'eat' }] })],
  ['too much', ' '.repeat(70_000)],
  [
    'too many',
    JSON.stringify({ version: 1, pins: Array.from({ length: 65 }, (_, number) => of(number)), history: [] }),
  ],
])('a file that holds %s is moved aside, told of, and begun anew', async (_, text) => {
  await using folder = await Folder.make({})
  await mkdir(folder.at('trust'))
  await writeFile(acceptedFile(folder.path), text)
  // Whoever only looks moves nothing.
  expect((await readAccepted(folder.path)).warnings[0]).toContain('it stays where it is')
  const damaged = await readAccepted(folder.path, clock)
  expect(damaged.pins).toEqual([])
  expect(damaged.warnings).toHaveLength(1)
  const [aside = ''] = await readdir(folder.at('trust'))
  expect(aside).toMatch(/^accepted-pins\.json\.broken-2027-01-15T/)
  expect(await readFile(join(folder.at('trust'), aside), 'utf8')).toBe(text)
  expect((await readAccepted(folder.path, clock)).warnings).toEqual([])
  await acceptPin(folder.path, damaged, of(1))
  expect((await readAccepted(folder.path, clock)).pins).toHaveLength(1)
})

test('a file that cannot be read is told of and left alone', async () => {
  await using folder = await Folder.make({})
  await mkdir(join(acceptedFile(folder.path), 'in-the-way'), { recursive: true })
  const { pins, warnings } = await readAccepted(folder.path, clock)
  expect(pins).toEqual([])
  expect(warnings[0]).toContain('cannot be read')
  await expect(acceptPin(folder.path, { pins: [], history: [] }, of(1))).rejects.toMatchObject({
    code: 'file-unwritable',
  })
})
