// What was found in a capture, folded: one incident for each device and thing it did, however often; bounded.

import type { Finding, Severity } from '../detect/finding.ts'
import { severities } from '../detect/finding.ts'
import type { Action } from '../policy/decide.ts'

/** A packet by its file, counted from 0, and its number in it. */
export interface Place {
  readonly file: number
  readonly packet: number
}

export interface Sighted {
  readonly finding: Finding
  readonly action: Action
  readonly address: string
  /** Empty where none is known. */
  readonly clientId: string
  /** Milliseconds since 1970, by the capture. */
  readonly time: number
  readonly place: Place
}

export interface Incident {
  readonly address: string
  /** The first of them, in the order in which they came. */
  readonly clientIds: ReadonlySet<string>
  readonly hasMoreClientIds: boolean
  readonly first: number
  readonly last: number
  readonly count: number
  readonly severity: Severity
  /** Of the first finding. */
  readonly finding: Finding
  /** The worst that policy makes of it. */
  readonly action: Action
  /** The first of them. */
  readonly places: readonly Place[]
}

type Draft = { -readonly [Name in keyof Incident]: Incident[Name] } & {
  clientIds: Set<string>
  places: Place[]
}

const mostIncidents = 10_000
const mostClientIds = 16
const mostPlaces = 16

export class Incidents {
  /** Findings that belong to no incident, for there are too many. */
  omitted = 0
  /** Undefined while nothing was found. */
  worst: Severity | undefined
  readonly #byKey = new Map<string, Draft>()

  add({ finding, action, address, clientId, time, place }: Sighted): void {
    const { severity } = finding
    if (isWorse(severity, this.worst)) this.worst = severity
    const key = `${address} ${finding.detector} ${String(finding.evidence['rule'])} ${String(finding.evidence['direction'])}`
    let incident = this.#byKey.get(key)
    if (incident === undefined) {
      if (this.#byKey.size === mostIncidents) {
        this.omitted += 1
        return
      }
      incident = {
        address,
        clientIds: new Set(),
        hasMoreClientIds: false,
        first: time,
        last: time,
        count: 0,
        severity,
        finding,
        action,
        places: [],
      }
      this.#byKey.set(key, incident)
    }
    incident.count += 1
    incident.last = time
    if (isWorse(severity, incident.severity)) incident.severity = severity
    if (action === 'refuse') incident.action = action
    if (incident.places.length < mostPlaces) incident.places.push(place)
    if (clientId === '' || incident.clientIds.has(clientId)) return
    if (incident.clientIds.size < mostClientIds) incident.clientIds.add(clientId)
    else incident.hasMoreClientIds = true
  }

  /** By the time of their first finding. */
  list(): readonly Incident[] {
    return [...this.#byKey.values()].toSorted((a, b) => a.first - b.first)
  }
}

function isWorse(one: Severity, other: Severity | undefined): boolean {
  return other === undefined || severities.indexOf(one) > severities.indexOf(other)
}
