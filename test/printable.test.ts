// printable(): nothing unprintable comes out, nothing printable is changed, nothing grows.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { printable } from '../src/printable.ts'

const anything = fc.string({ unit: 'binary', maxLength: 400 })
const raw = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 400 })
  .map((units) => String.fromCharCode(...units))

describe('printable', () => {
  it.each([
    ['a line feed', 'a\nb', String.raw`a\u{a}b`],
    ['an escape sequence', '\u001b[2J', String.raw`\u{1b}[2J`],
    ['a C1 control', 'a\u009bm', String.raw`a\u{9b}m`],
    ['a bidirectional override', 'abc\u202egnp.exe', String.raw`abc\u{202e}gnp.exe`],
    ['a bidirectional isolate', '\u2066', String.raw`\u{2066}`],
    ['a line separator', 'a\u2028b', String.raw`a\u{2028}b`],
    ['an invisible space', 'a\u200bb\ufeff', String.raw`a\u{200b}b\u{feff}`],
    ['an invisible tag', '\u{e0041}', String.raw`\u{e0041}`],
    ['a lone surrogate', 'a\ud800b', String.raw`a\u{d800}b`],
    ['a noncharacter', '\uffff', String.raw`\u{ffff}`],
  ])('escapes %s', (_, text, expected) => {
    expect(printable(text)).toBe(expected)
  })

  it.each(['infusor-7', 'Überwachung 血圧 🩺', '', 'a "quoted" \\ name'])('leaves %j alone', (text) => {
    expect(printable(text)).toBe(text)
  })

  it('cuts what is too long, never through an escape or a pair of surrogates', () => {
    expect(printable('abcdef', 6)).toBe('abcdef')
    expect(printable('abcdefg', 6)).toBe('abcde…')
    expect(printable('abc\nefg', 6)).toBe('abc…')
    expect(printable('abcd🩺', 6)).toBe('abcd🩺')
    expect(printable('abcd🩺x', 6)).toBe('abcd…')
  })

  it('returns printable text within its limit, and the same when applied again', () => {
    fc.assert(
      fc.property(fc.oneof(anything, raw), fc.integer({ min: 1, max: 300 }), (text, max) => {
        const shown = printable(text, max)
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
        expect(shown.length).toBeLessThanOrEqual(max)
        expect(printable(shown, max)).toBe(shown)
      }),
    )
  })

  it('loses nothing of what fits', () => {
    fc.assert(
      fc.property(fc.oneof(anything, raw), (text) => {
        const plain = text.replaceAll('\\', '/')
        const back = printable(plain, 4000).replaceAll(/\\u\{([\da-f]+)\}/g, (_, hex: string) =>
          String.fromCodePoint(parseInt(hex, 16)),
        )
        expect(back).toBe(plain)
      }),
    )
  })
})
