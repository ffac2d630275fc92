import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../src/mqtt/rule.ts'
import { faultOffset } from '../../src/mqtt/rule.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { checkString, checkTopicFilter, checkTopicName, isShared } from '../../src/mqtt/text.ts'
import { bytes, field } from '../help/packets.ts'
import { scopeOf } from '../help/scope.ts'

/** Stateless between checks of one kind: nothing here reads what the last one met. */
const scope = scopeOf()
/** Null, control characters and noncharacters. */
const discouraged = /\p{Cc}|\p{Noncharacter_Code_Point}/u
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that are nearly UTF-8: whole characters, edges of the ranges, and noise. */
const nearlyUtf8 = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }).map((one) => Buffer.from(one, 'utf8')),
      fc
        .constantFrom(
          'c080',
          'c1bf',
          'e09fbf',
          'eda080',
          'edbfbf',
          'f08fbfbf',
          'f48fbfbf',
          'f4908080',
          'efbfbf',
        )
        .map((hex) => Buffer.from(hex, 'hex')),
      fc.uint8Array({ minLength: 1, maxLength: 3 }),
    ),
    { maxLength: 5 },
  )
  .map((parts) => Buffer.concat(parts))

/** Words that filters are made of, good and bad. */
const filterText = fc
  .array(fc.constantFrom('/', '/', '+', '#', 'a', '$share', 'é', '$'), { maxLength: 8 })
  .map((words) => words.join(''))

describe('strings', () => {
  test('are well-formed just where the platform decodes them, and hold no control or noncharacter', () => {
    fc.assert(
      fc.property(nearlyUtf8, (content) => {
        expect(passes(checkString(field(content), 0, content.length + 2, scope))).toBe(
          decodes(content) && !discouraged.test(content.toString()),
        )
      }),
      { numRuns: 3000 },
    )
  })

  test('of two bytes are judged right, all of them', () => {
    const wrong: string[] = []
    for (let first = 0; first < 256; first++) {
      for (let second = 0; second < 256; second++) {
        const content = Buffer.from([first, second])
        const ours = passes(checkString(field(content), 0, 4, scope))
        if (ours !== (decodes(content) && !discouraged.test(content.toString())))
          wrong.push(content.toString('hex'))
      }
    }
    expect(wrong).toEqual([])
  })

  test('are not read beyond their end', () => {
    const around = bytes(0xff, field('ab'), 0xff)
    expect(checkString(around, 1, 5, scope)).toBe(5)
    // The second byte of a character lies behind the string.
    const outcome = checkString(bytes(0, 2, 'a', 0xc3, 0xa9), 0, 5, scope)
    expect({ rule: brokenRule(outcome).id, at: faultOffset(outcome) }).toEqual({
      rule: 'utf8-invalid',
      at: 3,
    })
  })

  test('name the byte where they go wrong', () => {
    const outcome = checkString(bytes(0, 5, 'ab', 0xff, 'de'), 0, 7, scope)
    expect({ rule: brokenRule(outcome).id, at: faultOffset(outcome) }).toEqual({
      rule: 'utf8-invalid',
      at: 4,
    })
  })

  test.each([
    ['null', 'utf8-nul', '00'],
    ['U+0001', 'utf8-control', '01'],
    ['U+001F', 'utf8-control', '1f'],
    ['U+007F', 'utf8-control', '7f'],
    ['U+0080', 'utf8-control', 'c280'],
    ['U+009F', 'utf8-control', 'c29f'],
    ['U+FDD0', 'utf8-control', 'efb790'],
    ['U+FDEF', 'utf8-control', 'efb7af'],
    ['U+FFFE', 'utf8-control', 'efbfbe'],
    ['U+FFFF', 'utf8-control', 'efbfbf'],
    ['U+1FFFE', 'utf8-control', 'f09fbfbe'],
    ['U+10FFFF', 'utf8-control', 'f48fbfbf'],
  ])('do not hold %s, and are read on behind it where that is only reported', (_, rule, hex) => {
    const content = bytes('a', Buffer.from(hex, 'hex'), 'b')
    const strict = checkString(field(content), 0, content.length + 2, scope)
    expect({ rule: brokenRule(strict).id, at: faultOffset(strict) }).toEqual({ rule, at: 3 })
    const lenient = scopeOf({ preset: 'observe' })
    expect(checkString(field(content), 0, content.length + 2, lenient)).toBe(content.length + 2)
    expect(lenient.reports).toEqual([`${rule} @3`])
  })

  test.each([
    ['U+0020', '20'],
    ['U+007E', '7e'],
    ['U+00A0', 'c2a0'],
    ['U+FDCF', 'efb78f'],
    ['U+FDF0', 'efb7b0'],
    ['U+FFFD', 'efbfbd'],
    ['U+BFFE, whose last bytes look like those of a noncharacter', 'ebbfbe'],
    ['U+FEFF', 'efbbbf'],
    ['U+10FFFD', 'f48fbfbd'],
  ])('hold %s', (_, hex) => {
    const content = Buffer.from(hex, 'hex')
    expect(checkString(field(content), 0, content.length + 2, scope)).toBe(content.length + 2)
  })
})

describe('topic names', () => {
  test('are any string of at least one character without wildcards', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          nearlyUtf8,
          filterText.map((one) => Buffer.from(one)),
        ),
        (content) => {
          const text = content.toString()
          const legal =
            decodes(content) && content.length > 0 && !discouraged.test(text) && !/[+#]/.test(text)
          expect(passes(checkTopicName(field(content), 0, content.length + 2, scope))).toBe(legal)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('topic filters', () => {
  test('are what a naive reader of the standard takes them for', () => {
    fc.assert(
      fc.property(filterText, fc.boolean(), (text, shares) => {
        const content = field(text)
        expect(passes(checkTopicFilter(content, 0, content.length, shares, scope))).toBe(
          isFilter(text, shares),
        )
      }),
      { numRuns: 5000 },
    )
  })

  test.each([
    ['$share/g/a', true],
    ['$share/', true],
    ['$share', false],
    ['$sharex/', false],
    ['$SHARE/g/a', false],
    ['', false],
  ])('%s is shared: %s', (text, shared) => {
    expect(isShared(field(text), 0)).toBe(shared)
  })
})

function passes(outcome: Outcome): boolean {
  return outcome >= 0
}

function decodes(content: Uint8Array): boolean {
  try {
    decoder.decode(content)
    return true
  } catch {
    return false
  }
}

/** MQTT 5.0, 4.7.1 and 4.8.2, level by level. */
function isFilter(text: string, shares: boolean): boolean {
  if (shares && text.startsWith('$share/')) {
    const [name = '', ...filter] = text.slice('$share/'.length).split('/')
    return name !== '' && !/[+#]/.test(name) && isFilter(filter.join('/'), false)
  }
  const levels = text.split('/')
  return (
    text !== '' &&
    levels.every(
      (level, index) => level === '+' || (level === '#' ? index === levels.length - 1 : !/[+#]/.test(level)),
    )
  )
}
