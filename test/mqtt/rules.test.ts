import { describe, expect, test } from 'vitest'
import { fault, faultIndex, faultOffset } from '../../src/mqtt/rule.ts'
import { allRules, brokenRule, rules } from '../../src/mqtt/rules.ts'

describe('the rule table', () => {
  test('is numbered from 1 without gaps, and every id is its name in code', () => {
    expect(allRules.map(({ index }) => index)).toEqual(allRules.map((_, index) => index + 1))
    for (const [name, { id }] of Object.entries(rules)) {
      const dashed = name.replaceAll(/[A-Z]|\d+/g, (one) => `-${one.toLowerCase()}`)
      expect(id.replaceAll('-', '')).toBe(dashed.replaceAll('-', ''))
      expect(id).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/)
    }
    expect(new Set(allRules.map(({ id }) => id)).size).toBe(allRules.length)
  })

  test('explains every rule in one sentence, and says where it comes from', () => {
    for (const { clause, explanation, references } of allRules) {
      expect(Object.values(clause).join('')).not.toBe('')
      expect(explanation).toMatch(/^[a-z#+A-Z][^\n]{15,}[^.]$/)
      for (const reference of references) expect(reference).toMatch(/^R\d+$/)
    }
  })
})

describe('a fault', () => {
  test('is a negative number that gives back its rule and offset, up to the largest buffer', () => {
    for (const rule of allRules) {
      for (const offset of [0, 1, 65_535, 2 ** 31, 2 ** 32 - 1]) {
        const outcome = fault(rule, offset)
        expect(outcome).toBeLessThan(0)
        expect(Number.isSafeInteger(outcome)).toBe(true)
        expect(brokenRule(outcome)).toBe(rule)
        expect(faultIndex(outcome)).toBe(rule.index)
        expect(faultOffset(outcome)).toBe(offset)
      }
    }
  })

  test('is not what a passing frame or a stopped stream gives', () => {
    for (const outcome of [0, 17, -1]) expect(() => brokenRule(outcome)).toThrow(RangeError)
  })
})
