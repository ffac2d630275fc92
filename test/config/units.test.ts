import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDuration, parseSize } from '../../src/config/units.ts'
import { PulsewardError } from '../../src/errors.ts'

const LONGEST_TIMER = 2 ** 31 - 1

describe('durations', () => {
  test.each([
    ['0s', 0],
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['2147483647ms', LONGEST_TIMER],
  ])('%s is %d ms', (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds))

  test('a bare number is refused, and told what it lacks', () => {
    expect(() => parseDuration('10')).toThrow(
      expect.objectContaining({ hint: 'add the unit, one of ms, s, m, h, d' }),
    )
  })

  test.each(['2147483648ms', '25d', '999999999999999d'])('%s is longer than a timer can be', (text) => {
    expect(() => parseDuration(text)).toThrow('expected a duration of at most "24d"')
  })

  test('any amount of any unit is that many times the unit, or refused as too long', () => {
    const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
    fc.assert(
      fc.property(fc.nat(3_000_000), fc.constantFrom(...Object.entries(units)), (amount, [unit, factor]) => {
        const text = `${amount}${unit}`
        if (amount * factor > LONGEST_TIMER) expect(() => parseDuration(text)).toThrow(PulsewardError)
        else expect(parseDuration(text)).toBe(amount * factor)
      }),
    )
  })
})

describe('sizes', () => {
  test.each([
    ['512B', 512],
    ['64kB', 64_000],
    ['64KiB', 65_536],
    ['1MB', 1_000_000],
    ['1MiB', 1_048_576],
    ['2GB', 2_000_000_000],
    ['2GiB', 2_147_483_648],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes))

  test('bits, lower case and bare numbers are refused', () => {
    for (const text of ['1Mb', '1kb', '1mib', '1KB', '1K'])
      expect(() => parseSize(text)).toThrow(PulsewardError)
    expect(() => parseSize('65536')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('add the unit') }),
    )
  })

  test('no size is beyond what a number holds exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }), (amount) => {
        const exact = amount * 1_073_741_824n
        if (exact > BigInt(Number.MAX_SAFE_INTEGER))
          expect(() => parseSize(`${amount}GiB`)).toThrow(PulsewardError)
        else expect(BigInt(parseSize(`${amount}GiB`))).toBe(exact)
      }),
    )
  })
})

test.each([
  ['durations', parseDuration, /^\d{1,15}(ms|s|m|h|d)$/],
  ['sizes', parseSize, /^\d{1,15}(B|kB|KiB|MB|MiB|GB|GiB)$/],
])('any other text is refused by %s with a hint', (_, parse, wellFormed) => {
  const almost = fc
    .array(fc.constantFrom('1', '0', '9', 'ms', 's', 'h', 'KiB', 'B', ' ', '.', '-', '+', 'e', '\n', '٣'), {
      maxLength: 6,
    })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(fc.string(), almost), (text) => {
      fc.pre(!wellFormed.test(text))
      const refused = expect.objectContaining({ blame: 'config', hint: expect.stringMatching(/./) })
      expect(() => parse(text)).toThrow(refused)
    }),
  )
})

test('what was written is not repeated: it may have come from the environment', () => {
  for (const parse of [parseDuration, parseSize]) {
    for (const text of ['hunter2', '31337', '99999999d']) {
      expect(() => parse(text)).toThrow(
        expect.objectContaining({
          message: expect.not.stringContaining(text),
          hint: expect.toSatisfy((hint: string | undefined) => hint?.includes(text) !== true),
        }),
      )
    }
  }
})
