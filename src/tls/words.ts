// What certificates say of themselves, as one safe line each: names and moments.

import { printable } from '../printable.ts'

/** Longer names say nothing more about who somebody is. */
const LONGEST = 300

/** A distinguished name, which node gives one attribute a line, on one safe line. */
export function nameLine(distinguishedName: string | undefined): string {
  return printable((distinguishedName ?? '').replaceAll('\n', ', '), LONGEST) || '(no name)'
}

/** A moment as ISO 8601, or that its certificate holds none that can be read. */
export function momentText(moment: Date): string {
  return Number.isNaN(moment.getTime()) ? '(unreadable date)' : moment.toISOString()
}
