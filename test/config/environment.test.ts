import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fillIn } from '../../src/config/environment.ts'

test.each([
  ['${HOST}', 'broker'],
  ['mqtts://${HOST}:${PORT}', 'mqtts://broker:8883'],
  ['${NOWHERE:-here}', 'here'],
  ['${EMPTY:-here}', 'here'],
  ['${HOST:-here}', 'broker'],
  ['${NOWHERE:-}', ''],
  ['$${HOST}', '${HOST}'],
  ['$$', '$$'],
  ['$HOST', '$HOST'],
  ['${NESTED}', '${HOST}'],
])('%s becomes %s', (text, filled) => {
  const environment = { HOST: 'broker', PORT: '8883', EMPTY: '', NESTED: '${HOST}' }
  expect(fillIn(text, environment)).toEqual({ text: filled })
})

test.each([
  '${NOWHERE}',
  '${EMPTY}',
  '${',
  '${}',
  '${1A}',
  '${A-b}',
  '${A:-',
  '${toString}',
  'ok ${HOST} ${NOWHERE}',
])('%s is refused, without a value', (text) => {
  const filled = fillIn(text, { HOST: 'hunter2', EMPTY: '' })
  expect(filled).toEqual({ message: expect.any(String), hint: expect.any(String) })
  expect(JSON.stringify(filled)).not.toContain('hunter2')
})

test('a text without "${" is left as it is', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(!text.includes('${'))
      expect(fillIn(text, {})).toEqual({ text })
    }),
  )
})

test('what a text becomes is bounded, however often it names a long variable', () => {
  const filled = fillIn('${LONG}'.repeat(100), { LONG: 'x'.repeat(1000) })
  expect(filled).toMatchObject({ message: 'expected at most 65536 characters' })
})
