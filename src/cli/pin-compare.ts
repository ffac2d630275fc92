// What `pulseward pin` says of a broker beside proxy.yaml: which pin is whose, what changed, and how long it lasts.
import type { X509Certificate } from 'node:crypto'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { printable } from '../printable.ts'
import { daysLeft } from '../tls/ends.ts'
import { pinOf } from '../tls/pins.ts'
import { answersTo, isInForce, pinsIn } from '../tls/pinset.ts'
import type { Pin } from '../tls/pinset.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'

export interface Compared {
  readonly plan: UpstreamPlan
  /** As given on the command line. */
  readonly file: string
}

interface Row {
  /** `pins[0]` of proxy.yaml, `accepted`, or `first use`. */
  readonly source: string
  readonly pin: string
  /** In effect, by what was seen: a pin in no certificate of the chain is the backup (RFC 7469, 4.3). */
  readonly role: 'current' | 'backup'
  /** What proxy.yaml says. */
  readonly markedBackup: boolean
  readonly inForce: boolean
  readonly matches: readonly string[]
  readonly notBefore: string | undefined
  readonly notAfter: string | undefined
  readonly daysLeft: number | undefined
  readonly comment: string | undefined
}

export interface Comparison {
  readonly upstream: string
  readonly file: string
  readonly pinMode: 'enforce' | 'report'
  readonly pins: readonly Row[]
  readonly changes: readonly string[]
}

export function comparePins(
  { plan, file }: Compared,
  { at, served }: HandshakeFacts,
  { path }: Verdict,
): Comparison {
  const { pins, pinMode = 'enforce' } = plan.trust
  const rows = pins.map((pin, index) => rowOf(pin, index, { at, served, path }))
  const changes = pins.length === 0 ? ['no pins are configured'] : changesIn(rows, pins, { served, path })
  return { upstream: plan.name, file, pinMode, pins: rows, changes }
}

export function comparisonLines({ upstream, file, pinMode, pins, changes }: Comparison): string[] {
  return [
    `compared with upstreams.${upstream} of ${file}${pinMode === 'report' ? ' (pinMode: report)' : ''}`,
    ...pins.flatMap(({ source, pin, role, matches, inForce, notAfter, daysLeft: days, comment }) => [
      `  ${source}  ${pin}`,
      `    ${role}: ${matches.length === 0 ? 'matches nothing here' : `matches ${matches.join(', ')}`}${inForce ? '' : '; outside its dates'}`,
      ...(notAfter === undefined ? [] : [`    until ${notAfter} (${days} days left)`]),
      ...(comment === undefined ? [] : [`    ${printable(comment)}`]),
    ]),
    ...changes.map((change) => `  ! ${change}`),
    '',
  ]
}

interface Seen {
  readonly served: readonly X509Certificate[]
  readonly path: readonly X509Certificate[]
}

function rowOf(pin: Pin, index: number, { at, served, path }: Seen & { readonly at: number }): Row {
  const anchor = path.at(-1)
  const matches = [
    ...served.flatMap((certificate, position) => {
      if (!answersTo(certificate, pin)) return []
      const verified = path.some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256)
      return [verified ? `served ${position}` : `served ${position} (not in the verified chain)`]
    }),
    ...(anchor !== undefined && !holds(served, anchor) && answersTo(anchor, pin) ? ['anchor'] : []),
  ]
  return {
    source: sourceOf(pin, index),
    pin: pin.pin,
    role: pinsIn(path, [pin]).length > 0 ? 'current' : 'backup',
    markedBackup: pin.backup === true,
    inForce: isInForce(pin, at),
    matches,
    notBefore: dateOf(pin.notBefore),
    notAfter: dateOf(pin.notAfter),
    daysLeft: pin.notAfter === undefined ? undefined : daysLeft(pin.notAfter, at),
    comment: pin.comment,
  }
}

function sourceOf({ accepted, firstUse }: Pin, index: number): string {
  if (firstUse !== undefined) return 'first use'
  return accepted === true ? 'accepted' : `pins[${index}]`
}

function changesIn(rows: readonly Row[], pins: readonly Pin[], { served, path }: Seen): string[] {
  const [leaf] = served
  const current = rows.filter(({ role }) => role === 'current')
  return [
    ...(current.length === 0 && leaf !== undefined
      ? [`no pin is in its verified chain; the key it uses now is ${keyOf(leaf)}`]
      : []),
    ...(current.length > 0 && leaf !== undefined && pinsIn([leaf], pins).length === 0
      ? ['its own key is not pinned: another certificate of its chain is']
      : []),
    ...current
      .filter(({ markedBackup }) => markedBackup)
      .map(({ source }) => `${source} is marked backup and in use now: pin the next spare key`),
    ...current
      .filter(({ source }) => source === 'accepted')
      .map(({ pin }) => `${pin} is only accepted: move it into proxy.yaml, then revoke it`),
    ...current
      .filter(({ source }) => source === 'first use')
      .map(({ pin }) => `${pin} stands on first use alone: have it confirmed, then put it into proxy.yaml`),
    ...rows
      .filter(({ role, markedBackup }) => path.length > 0 && role === 'backup' && !markedBackup)
      .map(
        ({ source }) =>
          `${source} is in no certificate of the chain, so in effect a backup: mark or remove it`,
      ),
    ...(current.length === rows.length
      ? ['no pin is a backup in effect: a new chain locks every device out']
      : []),
  ]
}

function keyOf(certificate: X509Certificate): string {
  try {
    return pinOf(certificate)
  } catch {
    return 'of a kind this OpenSSL cannot read'
  }
}

function holds(certificates: readonly X509Certificate[], wanted: X509Certificate): boolean {
  return certificates.some(({ fingerprint256 }) => fingerprint256 === wanted.fingerprint256)
}

function dateOf(moment: number | undefined): string | undefined {
  return moment === undefined ? undefined : new Date(moment).toISOString()
}
