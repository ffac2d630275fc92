// One connection of a capture and what becomes of it: its session is judged, its TLS noted, a stranger named.

import type { ClientHello } from '../tls/client-hello.ts'
import type { Side } from './connection.ts'
import { endsOf, type End } from './ends.ts'
import { ReplayedSession } from './session.ts'
import type { Stage } from './stage.ts'
import type { Audience, Conversation, TalkKind } from './talk.ts'

/** By convention; TLS (IANA). */
const mqttsPort = 8883

/** The detector name of findings about connections that begin with neither MQTT nor TLS. */
const firstBytes = 'first-bytes'

export class Hearing implements Audience {
  readonly #stage: Stage
  readonly #ends: readonly [End, End]
  #isMqttOverTls = false

  /** `key` is that of packets from side 0. */
  constructor(stage: Stage, key: string) {
    this.#stage = stage
    this.#ends = endsOf(key)
  }

  /** Whether devices speak MQTT to what this side connects to. */
  isMqttPort(client: Side): boolean {
    return this.#stage.isMqttPort(this.#ends[1 - client]!.port)
  }

  mqtt(client: Side): Conversation {
    const plan = this.#stage.planFor(this.#ends[1 - client]!.port)
    return new ReplayedSession(this.#stage, plan, this.#ends[client].address)
  }

  tls(client: Side, hello: ClientHello): void {
    const { port } = this.#ends[1 - client]!
    this.#isMqttOverTls = port === mqttsPort || this.#stage.isMqttPort(port) || hello.alpn.includes('mqtt')
    this.#stage.tls.add(this.#ends[client].address, hello)
  }

  /** The proxy names such a connection in its log and closes it; the broker never hears of it. */
  stranger(client: Side, name: string, packet: number): void {
    const { incidents, refusals, now } = this.#stage
    const { address } = this.#ends[client]
    const { port } = this.#ends[1 - client]!
    const finding = {
      detector: firstBytes,
      severity: 'warning',
      summary: 'a connection to an MQTT port began with something else',
      evidence: { speaks: name, port },
      references: [],
    } as const
    const action = 'refuse'
    const place = this.#stage.place(packet)
    incidents.add({ finding, action, address, clientId: '', time: now, place })
    refusals.add({ time: now, place, address, clientId: '', reason: name, direction: 'up' })
    refusals.strangers += 1
  }

  gap(): void {
    this.#stage.gaps += 1
  }

  end(kind: TalkKind, bytes: number): void {
    this.#stage.ended(kind, bytes)
    if (this.#isMqttOverTls) this.#stage.mqttOverTlsBytes += bytes
  }
}
