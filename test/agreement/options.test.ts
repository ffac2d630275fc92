// The command line of the agreement run.

import { expect, test } from 'vitest'
import { readOptions } from './options.ts'

test('a folder is enough', () => {
  expect(readOptions(['clone/test'])).toEqual({
    folder: 'clone/test',
    live: false,
    preset: 'standard',
    write: false,
  })
})

test('everything may be asked for', () => {
  expect(readOptions(['--live', '--preset', 'strict', 'clone/test', '--write'])).toEqual({
    folder: 'clone/test',
    live: true,
    preset: 'strict',
    write: true,
  })
})

test.each([
  [[], 'no folder'],
  [['a', 'b'], 'one folder too many: "b"'],
  [['a', '--preset', 'lax'], 'not a preset: "lax"'],
  [['a', '--fast'], '--fast'],
])('%j is refused', (argv, message) => {
  expect(() => readOptions(argv)).toThrow(RangeError)
  expect(() => readOptions(argv)).toThrow(message)
})
