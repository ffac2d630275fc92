// Topic aliases against a Map of texts, within their limits and beyond.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TopicAliases } from '../../src/mqtt/aliases.ts'

const limits = { topicAliases: 3, topicAliasBytes: 12 }

describe('topic aliases', () => {
  test('stand for the last topic there was room for, and say so where there was none', () => {
    const topic = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 })
    const move = fc.tuple(fc.integer({ min: 1, max: 5 }), topic)
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        const aliases = new TopicAliases()
        const model = new Map<number, string>()
        const forgotten = new Set<number>()
        for (const [alias, text] of moves) {
          const packet = Buffer.from(`..${text}..`)
          const others = [...model].filter(([other]) => other !== alias).map(([, one]) => one)
          const fits =
            others.length < limits.topicAliases &&
            others.join('').length + text.length <= limits.topicAliasBytes
          expect(aliases.set(alias, packet, 2, 2 + text.length, limits)).toBe(fits)
          // What is kept is a copy.
          packet.fill(0)
          model.delete(alias)
          forgotten.delete(alias)
          if (fits) model.set(alias, text)
          else forgotten.add(alias)
          for (let one = 1; one <= 5; one++) {
            expect(aliases.get(one)?.toString()).toBe(model.get(one))
            expect(aliases.isForgotten(one)).toBe(forgotten.has(one))
          }
        }
      }),
    )
  })

  test('take no memory for a topic that is said again', () => {
    const aliases = new TopicAliases()
    const topic = Buffer.from('ward/7')
    aliases.set(9, topic, 0, 6, limits)
    const kept = aliases.get(9)
    aliases.set(9, Buffer.from('xward/7x'), 1, 7, limits)
    expect(aliases.get(9)).toBe(kept)
  })

  test('keep no more than their limits, whatever is asked of them', () => {
    const aliases = new TopicAliases()
    const topic = Buffer.from('ab')
    for (let alias = 1; alias < 65_536; alias++) aliases.set(alias, topic, 0, 2, limits)
    const kept = Array.from({ length: 65_535 }, (_, index) => aliases.get(index + 1)).filter(Boolean)
    expect(kept).toHaveLength(3)
    expect([aliases.isForgotten(3), aliases.isForgotten(4), aliases.isForgotten(65_535)]).toEqual([
      false,
      true,
      true,
    ])
  })

  test('may be none at all', () => {
    const aliases = new TopicAliases()
    expect(aliases.isForgotten(1)).toBe(false)
    expect(aliases.set(1, Buffer.from('a'), 0, 1, { topicAliases: 0, topicAliasBytes: 0 })).toBe(false)
    expect(aliases.get(1)).toBeUndefined()
  })
})
