// Topic filters against the plainest matcher there is: split at the slashes, and compare level by level.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Filters, matches, type Match } from '../../src/mqtt/filters.ts'

/** 4.7.1 of MQTT 5.0, word for word; what it says of `$` is left to the caller. */
function fitsLevels(filter: readonly string[], topic: readonly string[]): boolean {
  const [wanted, ...filters] = filter
  const [given, ...topics] = topic
  if (wanted === '#') return true
  if (wanted === undefined || given === undefined) return wanted === undefined && given === undefined
  if (wanted !== '+' && wanted !== given) return false
  // The parent level is part of what # stands for.
  if (topics.length === 0 && filters.length === 1 && filters[0] === '#') return true
  return fitsLevels(filters, topics)
}

function fits(filter: string, topic: string): boolean {
  return fitsLevels(filter.split('/'), topic.split('/'))
}

const level = fc.constantFrom('', 'a', 'b', 'ab', '$a', '$', 'é')
const topics = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'))
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/'))
  .filter((one) => one !== '')
const prefix = fc.constantFrom('', '', '$share/g/', '$share/group/', '$queue/')

/** Bytes with something on either side, as they lie in a packet. */
function placed(text: string): [bytes: Buffer, from: number, to: number] {
  const bytes = Buffer.from(`x/${text}/y`)
  return [bytes, 2, bytes.length - 2]
}

function subscribed(...all: readonly string[]): Filters {
  const session = new Filters()
  for (const filter of all) session.add(...placed(filter))
  return session
}

describe('a filter', () => {
  test('matches what the standard says it does', () => {
    fc.assert(
      fc.property(filters, topics, (filter, topic) => {
        expect(matches(Buffer.from(filter), ...placed(topic))).toBe(fits(filter, topic))
      }),
      { numRuns: 20_000 },
    )
  })

  test.each([
    ['sport/#', 'sport', true],
    ['sport/#', 'sport/', true],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/#', 'sport', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['+/+', '/finance', true],
    ['sport/tennis/#', 'sport/tennisball', false],
    ['sport/#', 'sports', false],
    ['#', '/', true],
    ['a/+/#', 'a', false],
    ['a/+/#', 'a/', true],
  ])('%s on %s: %s', (filter, topic, expected) => {
    expect(fits(filter, topic)).toBe(expected)
    expect(matches(Buffer.from(filter), ...placed(topic))).toBe(expected)
  })
})

describe('the filters of a session', () => {
  test('match by any of them, shared or not, and $ only where a filter spells it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(prefix, filters), { maxLength: 6 }), topics, (all, topic) => {
        fc.pre(topic !== '')
        const session = subscribed(...all.map(([shared, filter]) => shared + filter))
        const fitting = all.map(([, filter]) => filter).filter((filter) => fits(filter, topic))
        const spelled = fitting.filter((filter) => !topic.startsWith('$') || filter.startsWith('$'))
        const expected: Match = spelled.length > 0 ? 'filter' : fitting.length > 0 ? 'dollar' : 'none'
        expect(session.match(...placed(topic))).toBe(expected)
      }),
      { numRuns: 5000 },
    )
  })

  test('tell when one is held both shared and plain', () => {
    const session = new Filters()
    const add = (filter: string): boolean => session.add(...placed(filter))
    expect([add('a/+'), add('a/+'), add('$share/g/b'), add('$share/h/b')]).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect([add('$share/g/a/+'), add('$queue/a/+'), add('b')]).toEqual([true, true, true])
    session.remove(...placed('$share/g/a/+'))
    expect(add('a/+')).toBe(false)
    session.remove(...placed('never/heard/of'))
  })

  test('take $share without a filter for a name like any other', () => {
    expect(subscribed('$share/g').match(...placed('$share/g'))).toBe('filter')
    expect(subscribed('$share/g').match(...placed('g'))).toBe('none')
  })

  test('are 64; a session that has more is not watched', () => {
    const session = subscribed(...Array.from({ length: 64 }, (_, index) => `a/${index}`))
    // Known ones count once.
    for (let index = 0; index < 64; index++) session.add(...placed(`$share/g/a/${index}`))
    expect(session.match(...placed('b'))).toBe('none')
    session.add(...placed('a/64'))
    expect(session.match(...placed('b'))).toBe('filter')
  })

  test('take 8 KiB; a session whose filters are longer is not watched', () => {
    const session = subscribed('a'.repeat(8 * 1024))
    expect(session.incomplete).toBe(false)
    session.add(...placed('b'))
    expect(session.incomplete).toBe(true)
  })

  test('have up to 64 identifiers; a session that has more is not watched', () => {
    const session = new Filters()
    for (let identifier = 1; identifier <= 64; identifier++) session.addIdentifier(identifier)
    session.addIdentifier(64)
    expect([session.hasIdentifier(64), session.hasIdentifier(65)]).toEqual([true, false])
    session.addIdentifier(65)
    expect(session.hasIdentifier(66)).toBe(true)
  })
})
