// Modes by preset, and devices by the patterns of their identifiers.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { modes } from '../../src/mqtt/rule.ts'
import { classOf, fits, modeNumber, modeOf, modeTable, presets, unclassed } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'

describe('a pattern', () => {
  const character = fc.constantFrom('a', 'b', '-', '.', '^', '$', '\\', 'é', '\n')
  const text = fc.array(character, { maxLength: 8 }).map((all) => all.join(''))
  const pattern = fc.array(fc.oneof(character, fc.constant('*')), { maxLength: 8 }).map((all) => all.join(''))
  const reference = (one: string): RegExp =>
    new RegExp(
      `^${one
        .split('*')
        .map((part) => RegExp.escape(part))
        .join('.*')}$`,
      's',
    )

  test('fits what the same regular expression matches', () => {
    fc.assert(
      fc.property(text, pattern, (given, wanted) => {
        expect(fits(given, wanted)).toBe(reference(wanted).test(given))
      }),
      { numRuns: 10_000 },
    )
  })

  test('fits what it was made from', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), text, (parts, filling) => {
        expect(fits(parts.join(filling), parts.join('*'))).toBe(true)
      }),
    )
  })

  test.each([
    ['a', 'a*a', false],
    ['aa', 'a*a', true],
    ['', '*', true],
    ['', '', true],
    ['x', '', false],
    ['abab', '*ab*ab', true],
    ['aba', 'ab*ba', false],
    ['pump-7', 'pump-*', true],
    ['Pump-7', 'pump-*', false],
  ])('%j on %j: %s', (given, wanted, expected) => {
    expect(fits(given, wanted)).toBe(expected)
  })
})

describe('the class of a device', () => {
  const shared = { maxTopic: 1, maxPayload: 1, maxReceived: 1 }
  const pumps = { name: 'pumps', clientIds: ['pump-*', 'infusion'], ...shared }
  const wards = { name: 'wards', clientIds: ['*-7'], ...shared }

  test('is the first that fits, or none', () => {
    expect(classOf('pump-7', [pumps, wards])).toBe(pumps)
    expect(classOf('pump-7', [wards, pumps])).toBe(wards)
    expect(classOf('infusion', [pumps, wards])).toBe(pumps)
    expect(classOf('monitor', [pumps, wards])).toBe(unclassed)
    expect(classOf('', [])).toBe(unclassed)
  })
})

describe('the mode of a rule', () => {
  test.each(presets)('in %s is its own, that of the preset, or cannot be chosen', (preset) => {
    for (const rule of allRules) {
      for (const own of [undefined, ...modes]) {
        const chosen = own === undefined ? {} : { [rule.id]: own }
        const wanted = own ?? rule.mode[preset === 'strict' ? 'strict' : 'standard']
        const expected = rule.fixed
          ? 'enforce'
          : preset === 'observe' && wanted === 'enforce'
            ? 'report'
            : wanted
        expect(modeOf(rule, preset, chosen), `${rule.id} ${own}`).toBe(expected)
        expect(modeTable(preset, chosen)[rule.index]).toBe(modeNumber[expected])
      }
    }
  })

  test('is enforced in observe for none but the fixed', () => {
    const table = modeTable('observe', Object.fromEntries(allRules.map(({ id }) => [id, 'enforce' as const])))
    for (const { index, fixed } of allRules) expect(table[index] === modeNumber.enforce).toBe(fixed)
  })
})
