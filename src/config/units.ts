// Durations and sizes as administrators write them, turned into milliseconds and bytes.
import { PulsewardError } from '../errors.ts'

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES = {
  B: 1,
  kB: 1000,
  KiB: 1024,
  MB: 1_000_000,
  MiB: 1_048_576,
  GB: 1e9,
  GiB: 1_073_741_824,
} as const

/**
 * The longest delay a Node timer keeps; a longer one fires after one millisecond (node:timers, "When delay is
 * larger than 2147483647"), so a deadline of a month would end every session at once.
 */
const LONGEST_TIMER = 2 ** 31 - 1

export const durationPattern = /^(\d{1,15})(ms|s|m|h|d)$/
export const sizePattern = /^(\d{1,15})(B|kB|KiB|MB|MiB|GB|GiB)$/

/**
 * Milliseconds in a text such as `250ms`, `10s`, `5m`, `24h` or `7d`: a whole number and one unit.
 *
 * The message leaves the offender out: only the caller knows whether it may be shown.
 *
 * @throws {PulsewardError} `duration-invalid`, blame `config`.
 */
export function parseDuration(text: string): number {
  const value = parse(text, durationPattern, MILLISECONDS)
  if (value === undefined) throw malformed('duration', text, MILLISECONDS, '"10s"')
  if (value > LONGEST_TIMER) {
    throw new PulsewardError('duration-invalid', 'config', 'expected a duration of at most "24d"')
  }
  return value
}

/**
 * Milliseconds in a text as `parseDuration` takes it, of any length: for what no timer waits for.
 *
 * @throws {PulsewardError} `duration-invalid`, blame `config`; the message leaves the offender out.
 */
export function parseSpan(text: string): number {
  const value = parse(text, durationPattern, MILLISECONDS)
  if (value === undefined) throw malformed('duration', text, MILLISECONDS, '"30d"')
  return value
}

/** Either end of a day is meant where a date says no time. */
export type DayEnd = 'first' | 'last'

/**
 * Milliseconds since 1970 of an ISO 8601 date, or date and time with `Z` or an offset. Days are those of UTC.
 *
 * @throws {PulsewardError} `date-invalid`, blame `config`; the message leaves the offender out.
 */
export function parseDate(text: string, end: DayEnd): number {
  const [, day, time] =
    /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))?$/.exec(text) ?? []
  const start = Date.parse(`${day}T00:00:00Z`)
  // A day that its month does not have becomes one of the next.
  const exists = day !== undefined && !Number.isNaN(start) && new Date(start).toISOString().startsWith(day)
  const value = time === undefined ? start + (end === 'last' ? MILLISECONDS.d - 1 : 0) : Date.parse(text)
  if (exists && !Number.isNaN(value)) return value
  throw new PulsewardError('date-invalid', 'config', 'expected a date such as "2027-01-31"', {
    hint: 'write YYYY-MM-DD, or with a time 2027-01-31T12:00:00Z',
  })
}

/**
 * Bytes in a text such as `512B`, `64KiB` or `1MiB` (powers of 1024), `64kB` or `1MB` (powers of 1000).
 *
 * @throws {PulsewardError} `size-invalid`, blame `config`; the message leaves the offender out.
 */
export function parseSize(text: string): number {
  const value = parse(text, sizePattern, BYTES)
  if (value === undefined) throw malformed('size', text, BYTES, '"64KiB"')
  if (!Number.isSafeInteger(value)) {
    throw new PulsewardError('size-invalid', 'config', 'expected a size that a computer can have')
  }
  return value
}

function parse(text: string, pattern: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const [, amount, unit] = pattern.exec(text) ?? []
  const factor = unit === undefined ? undefined : units[unit]
  return amount === undefined || factor === undefined ? undefined : Number(amount) * factor
}

function malformed(
  what: 'duration' | 'size',
  text: string,
  units: Readonly<Record<string, number>>,
  example: string,
): PulsewardError {
  const known = Object.keys(units).join(', ')
  const hint = /^\d+$/.test(text)
    ? `add the unit, one of ${known}`
    : `write a whole number and one of ${known}, without a space`
  return new PulsewardError(`${what}-invalid`, 'config', `expected a ${what} such as ${example}`, { hint })
}
