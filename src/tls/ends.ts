// What of a broker's trust ends soon: certificates of its chain and pins, each named once a day.
import type { X509Certificate } from 'node:crypto'
import type { Pin } from './pinset.ts'
import { nameLine } from './words.ts'

export interface End {
  readonly kind: 'certificate' | 'pin' | 'list'
  /** The same for the same certificate or pin. */
  readonly key: string
  /** One safe line. */
  readonly name: string
  /** Milliseconds since 1970. */
  readonly notAfter: number
}

const DAY = 86_400_000

/** Everything in a verified chain and a set of pins that has an end. */
export function endsOf(path: readonly X509Certificate[], pins: readonly Pin[]): End[] {
  return [
    ...path.map((certificate) => ({
      kind: 'certificate' as const,
      key: certificate.fingerprint256,
      name: nameLine(certificate.subject),
      notAfter: certificate.validToDate.getTime(),
    })),
    ...pins.flatMap(({ pin, notAfter }) =>
      notAfter === undefined ? [] : [{ kind: 'pin' as const, key: pin, name: pin, notAfter }],
    ),
  ]
}

/** Whole days until then, rounded down; negative once it is over. */
export function daysLeft(notAfter: number, now: number): number {
  return Math.floor((notAfter - now) / DAY)
}

/** Which ends are due to be told of: near enough, and not told of within a day. */
export class Reminders {
  readonly #told = new Map<string, number>()

  due<One extends End>(ends: readonly One[], now: number, within: number): One[] {
    for (const [key, at] of this.#told) if (now - at >= DAY) this.#told.delete(key)
    const due = ends.filter(({ key, notAfter }) => notAfter < now + within && !this.#told.has(key))
    for (const { key } of due) this.#told.set(key, now)
    return due
  }
}
