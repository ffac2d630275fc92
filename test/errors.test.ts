// Errors carry a code, the party to blame and a hint; a message is one line, whatever was thrown.

import { expect, test } from 'vitest'
import { messageOf, PulsewardError } from '../src/errors.ts'

test('an error says who is to blame and what to do', () => {
  const cause = new Error('EADDRINUSE')
  const error = new PulsewardError('listen-failed', 'config', 'cannot listen', { hint: 'look', cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'PulsewardError',
    code: 'listen-failed',
    blame: 'config',
    message: 'cannot listen',
    hint: 'look',
    cause,
  })
})

test('without a hint or a cause it has none', () => {
  const error = new PulsewardError('x', 'proxy', 'y')
  expect(error.hint).toBeUndefined()
  expect(Object.hasOwn(error, 'cause')).toBe(false)
})

test.each([
  [new Error(' two\n  lines\t'), 'two lines'],
  ['text', 'text'],
  [undefined, 'undefined'],
  [null, 'null'],
  [42, '42'],
  [{ toString: () => 'an\r\nobject' }, 'an object'],
])('the message of %j is one line', (thrown, message) => {
  expect(messageOf(thrown)).toBe(message)
})
