// Which revocation lists end soon, or have ended: each told once a day, as long before as lists of its kind are renewed.
import type { CrlSource } from './crl-source.ts'
import { issuerLine } from './crl-succession.ts'
import { Reminders } from './ends.ts'

export interface ListEnd {
  readonly ended: boolean
  /** File or URL. */
  readonly crl: string
  /** One safe line. */
  readonly issuer: string
  /** ISO 8601. */
  readonly nextUpdate: string
}

/** CAs publish the next list well before the last quarter of the one before; what gets there was forgotten. */
const LAST = 1 / 4

export class ListReminders {
  readonly #reminders = new Reminders()

  due(sources: Iterable<CrlSource>, now: number): ListEnd[] {
    const ends = Array.from(sources).flatMap(({ name, lists }) =>
      lists.flatMap((crl) => {
        const { thisUpdate, nextUpdate } = crl
        const ended = nextUpdate < now
        if (nextUpdate - now > (nextUpdate - thisUpdate) * LAST) return []
        const issuer = issuerLine(crl)
        const key = `${name} ${issuer} ${nextUpdate} ${ended}`
        return [{ kind: 'list' as const, key, name, notAfter: nextUpdate, issuer, ended }]
      }),
    )
    return this.#reminders.due(ends, now, Infinity).map(({ ended, name, issuer, notAfter }) => ({
      ended,
      crl: name,
      issuer,
      nextUpdate: new Date(notAfter).toISOString(),
    }))
  }
}
