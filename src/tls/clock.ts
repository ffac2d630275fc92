// Whether certificates are out of date, or the clock of this machine is.
import type { X509Certificate } from 'node:crypto'
import { releasedAt } from '../version.ts'
import type { Objection } from './verdict.ts'
import { momentText } from './words.ts'

/** Nobody serves a chain that ended this long ago, so a clock that says so is the likelier fault: a year. */
const FAR = 365 * 86_400_000

const DATES: ReadonlySet<Objection['cause']> = new Set(['expired', 'not-yet-valid'])

/** A further reason where dates are objected to and the clock that says so is doubtful. */
export function doubtClock(
  at: number,
  found: readonly Objection[],
  path: readonly X509Certificate[],
): Objection[] {
  const cause = found.find((one) => DATES.has(one.cause))?.cause
  if (cause === undefined) return []
  if (at < releasedAt) {
    const reason = `the clock of this machine may be wrong: it says ${momentText(new Date(at))}, and this Pulseward is of ${momentText(new Date(releasedAt))}`
    return [{ cause, reason }]
  }
  const perfect = path.length > 0 && found.every((one) => DATES.has(one.cause))
  const ended = Math.max(...path.map(({ validToDate }) => validToDate.getTime()))
  if (!perfect || !(at > ended + FAR)) return []
  const reason = `the clock of this machine may be wrong: it says ${momentText(new Date(at))}, and all of an otherwise perfect chain ended by ${momentText(new Date(ended))}`
  return [{ cause, reason }]
}
