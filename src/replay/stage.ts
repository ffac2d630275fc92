// What all connections of a capture share: its clock, what they are judged by, and all that comes of it.

import type { Version } from '../mqtt/packet.ts'
import { Churn } from '../mqtt/rate.ts'
import type { Rulebook } from '../mqtt/rulebook.ts'
import { allRules } from '../mqtt/rules.ts'
import type { Court } from '../proxy/judge.ts'
import { Incidents, type Place } from './incidents.ts'
import { Refusals } from './refusals.ts'
import type { TalkKind } from './talk.ts'
import { TlsSightings } from './tls-sightings.ts'

/** A listener of proxy.yaml: what it judges sessions by, and the port devices connect to. */
export type Plan = Court['plan'] & { readonly book: Rulebook; readonly port: number }

/** By convention; plaintext (IANA). */
const mqttPort = 1883

export class Stage {
  readonly incidents = new Incidents()
  readonly refusals = new Refusals()
  readonly tls = new TlsSightings()
  /** Connections, and their payload bytes, by what they spoke. */
  readonly connections = new Map<TalkKind, { count: number; bytes: number }>()
  /** MQTT sessions by version; 0 for those of which no CONNECT passed. */
  readonly versions = new Map<Version, number>()
  /** Payload bytes of TLS that is likely to carry MQTT. */
  mqttOverTlsBytes = 0
  /** Sessions of which bytes are not in the capture, or for which there was no room. */
  gaps = 0
  /** Packets that passed, by direction and type, and reports of rules, as the proxy counts them. */
  readonly counts = new Float64Array(32)
  readonly hits = new Float64Array(allRules.length + 1)
  readonly churn = new Churn()
  /** Bytes of frames that are not whole yet, of all sessions together. */
  heldFrames = 0
  /** Milliseconds since 1970, by the capture. */
  now = 0
  readonly clock = (): number => this.now
  /** For each file, how many packets came before it. */
  readonly #before: number[] = []
  readonly #plans: ReadonlyMap<number, Plan>
  readonly #otherwise: Plan

  constructor(plans: readonly [Plan, ...Plan[]]) {
    this.#plans = new Map(plans.map((plan) => [plan.port, plan]))
    this.#otherwise = plans[0]
  }

  /** What a session with this port is judged by: the listener with the same port, or else the first. */
  planFor(port: number): Plan {
    return this.#plans.get(port) ?? this.#otherwise
  }

  /** Whether devices connect to this port to speak MQTT. */
  isMqttPort(port: number): boolean {
    return port === mqttPort || this.#plans.has(port)
  }

  /** Another file begins, `packets` packets after the first one did. */
  open(packets: number): void {
    this.#before.push(packets)
  }

  /** Where a packet is, by its number among those of all files. */
  place(packet: number): Place {
    const file = this.#before.findLastIndex((before) => before < packet)
    return { file, packet: packet - (this.#before[file] ?? 0) }
  }

  ended(kind: TalkKind, bytes: number): void {
    const sum = this.connections.get(kind)
    if (sum === undefined) this.connections.set(kind, { count: 1, bytes })
    else {
      sum.count += 1
      sum.bytes += bytes
    }
  }
}
