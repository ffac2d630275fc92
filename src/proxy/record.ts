// What is told of a session: its lines in the log, its counts, and the one reason for which it ended.

import { messageOf, type Blame } from '../errors.ts'
import { versionName, type Direction, type Version } from '../mqtt/packet.ts'
import type { SessionState } from '../mqtt/session.ts'
import type { ClientHello } from '../tls/client-hello.ts'
import type { Caller } from './departure.ts'
import type { Hub } from './hub.ts'
import type { Judge } from './judge.ts'
import type { Connected } from './upstream.ts'

/** Where a session comes from, known before its first packet. */
export interface Origin {
  readonly address: string
  readonly transport: 'plain' | 'tls'
  readonly hello: ClientHello | undefined
  /** What brokers are told or shown of the device; undefined where that is nothing. */
  readonly caller: Caller | undefined
  /** The key by which a near end proved itself. */
  readonly pairedWith: string | undefined
  /** Milliseconds, by the sweep's clock. */
  readonly openedAt: number
}

/** Where a packet broke a rule. */
export interface Breach {
  /** In the version the device speaks. */
  readonly clause: string
  /** Byte of the packet. */
  readonly offset: number
  readonly references: readonly string[]
}

export type LegName = 'device' | 'broker'

export class SessionRecord {
  /** Bytes that passed. */
  bytesUp = 0
  bytesDown = 0
  readonly #hub: Hub
  readonly #state: SessionState
  readonly #judge: Judge
  readonly #origin: Origin
  #server = ''
  #reason = ''

  constructor(hub: Hub, state: SessionState, judge: Judge, origin: Origin) {
    this.#hub = hub
    this.#state = state
    this.#judge = judge
    this.#origin = origin
  }

  /** The device's protocol version as far as CONNECT tells, even one that was refused. */
  get version(): Version {
    const { version, claimed } = this.#state
    return version === 0 ? (this.#judge.connect?.version ?? claimed) : version
  }

  /** The first reason is the one that counts; what follows are its consequences. */
  because(reason: string): void {
    if (this.#reason === '') this.#reason = reason
  }

  opened({ server, facts, pairedWith }: Omit<Connected, 'socket' | 'answered'>): void {
    const { protocol, cipher, group, resumed } = facts
    const { metrics, plan, log } = this.#hub
    this.#server = server
    metrics.sessionOpened(plan.name, this.#origin.transport)
    const tls = protocol === 'none' ? undefined : { protocol, cipher, group, resumed, pairedWith }
    log.info({ ...this.#identity(), server, tls }, 'session opened')
  }

  /** `blame`: whose doing, or whose silence, led to it; `breach`: where a rule was broken, its code being `code`. */
  refused(code: string, detail: string, blame: Blame, breach?: Breach): void {
    const { metrics, plan, limited } = this.#hub
    this.because(code)
    metrics.rejected(plan.name, code)
    const direction = DIRECTIONS.get(blame)
    limited(
      'warn',
      code,
      { ...this.#identity(), reason: code, detail, direction, blame, ...breach },
      'session refused',
    )
  }

  failed(leg: LegName, error: Error): void {
    this.because(`${leg}-reset`)
    this.#hub.log.debug({ ...this.#identity(), leg, error: messageOf(error) }, 'connection failed')
  }

  crashed(error: unknown): void {
    const stack = error instanceof Error ? error.stack : String(error)
    this.#hub.log.error({ ...this.#identity(), stack }, 'a defect in Pulseward; only this session is closed')
  }

  /** Once both sockets are closed. A session that never reached a broker has been told of by its refusal. */
  closed(): void {
    const { metrics, plan, log } = this.#hub
    const { transport, openedAt } = this.#origin
    metrics.connectionClosed(plan.name)
    this.#judge.over()
    if (this.#server === '') return
    metrics.sessionClosed(plan.name, transport)
    if (this.#reason.startsWith('broker-')) plan.upstream.doubt()
    const fields = {
      ...this.#identity(),
      server: this.#server,
      reason: this.#reason,
      connack: this.#state.connackCode,
      bytes: { up: this.bytesUp, down: this.bytesDown },
      seconds: Math.round(performance.now() - openedAt) / 1000,
    }
    log.info(fields, 'session closed')
  }

  #identity() {
    const facts = this.#judge.connect
    const { address, transport, hello, caller, pairedWith } = this.#origin
    return {
      listener: this.#hub.plan.name,
      address,
      transport,
      clientId: facts?.clientId,
      version: versionName(this.version),
      keepAlive: facts?.keepAlive,
      ja4: hello?.ja4,
      proxyId: caller?.id,
      pairedWith,
    }
  }
}

/** Whose packets go that way. */
export function senderOf(direction: Direction): LegName {
  return direction === 'up' ? 'device' : 'broker'
}

/** What is neither side's doing has no direction. */
const DIRECTIONS: ReadonlyMap<Blame, Direction> = new Map([
  ['device', 'up'],
  ['broker', 'down'],
])
