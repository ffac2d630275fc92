// Two peers and a proxy between them: publishing in one direction, with everything that may be on its way at once.

import { Flows } from '../../src/mqtt/flows.ts'
import { Stage } from '../../src/mqtt/in-flight.ts'
import { PacketType, type Version } from '../../src/mqtt/packet.ts'
import type { PolicyLimits } from '../../src/mqtt/rulebook.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { scopeOf } from '../help/scope.ts'

const { publish, puback, pubrec, pubrel, pubcomp, subscribe, suback } = PacketType

export interface Habits {
  readonly version: Version
  /** Whether the receiver says PUBREC again by itself after a reconnect, as some brokers do. */
  readonly echoes: boolean
  /** Identifiers the sender uses, from 1. */
  readonly window: number
  /** Whether the sender forgets all that was in flight when a connection ends. */
  readonly forgets?: boolean
  readonly limits?: Partial<PolicyLimits>
}

export interface Turn {
  readonly kind:
    | 'publish'
    | 'subscribe'
    | 'retry'
    | 'from sender'
    | 'to receiver'
    | 'from receiver'
    | 'to sender'
    | 'reconnect'
  readonly pick: number
}

interface Packet {
  readonly type: number
  readonly id: number
  readonly qos: number
  readonly dup: boolean
  readonly code: number
  readonly size: number
}

/** What the sender waits for under an identifier, and how to say it again. */
interface Waiting {
  readonly for: number
  readonly last: Packet
}

const nothing = { qos: 0, dup: false, code: 0, size: 0 }

export class Network {
  flows = new Flows()
  readonly faults: string[] = []
  readonly #habits: Habits
  readonly #sending = scopeOf()
  readonly #receiving
  /** In the order in which they were said: sender to proxy, proxy to receiver, and back. */
  readonly #lines: [Packet[], Packet[], Packet[], Packet[]] = [[], [], [], []]
  readonly #waiting = new Map<number, Waiting>()
  /** QoS 2 messages the receiver has and that were not released. */
  readonly #received = new Set<number>()

  constructor(habits: Habits) {
    this.#habits = habits
    const wanted = habits.limits === undefined ? {} : { limits: habits.limits }
    this.#sending = scopeOf(wanted)
    this.#receiving = scopeOf({ direction: 'down', ...wanted })
  }

  get reports(): string[] {
    return [...this.#sending.reports, ...this.#receiving.reports]
  }

  take({ kind, pick }: Turn): void {
    switch (kind) {
      case 'publish':
        return this.#publish(pick)
      case 'subscribe':
        return this.#subscribe(pick)
      case 'retry':
        return this.#retry(pick)
      case 'from sender':
        return this.#move(0, (packet) => this.#judge(packet), 1)
      case 'to receiver':
        return this.#move(1, (packet) => this.#receive(packet))
      case 'from receiver':
        return this.#move(2, (packet) => this.#judge(packet), 3)
      case 'to sender':
        return this.#move(3, (packet) => this.#hear(packet, pick))
      case 'reconnect':
        return this.#reconnect()
    }
  }

  /** Lets everything arrive that is on its way. */
  settle(): void {
    const kinds = ['from sender', 'to receiver', 'from receiver', 'to sender'] as const
    while (this.#lines.some((line) => line.length > 0)) for (const kind of kinds) this.take({ kind, pick: 0 })
  }

  #move(line: 0 | 1 | 2 | 3, arrive: (packet: Packet) => void, next?: 1 | 3): void {
    const packet = this.#lines[line].shift()
    if (packet === undefined) return
    arrive(packet)
    if (next !== undefined) this.#lines[next].push(packet)
  }

  #say(packet: Packet, awaited: number): void {
    this.#lines[0].push(packet)
    this.#waiting.set(packet.id, { for: awaited, last: packet })
  }

  #publish(pick: number): void {
    const id = this.#freeId(pick)
    if (id === undefined) return
    const qos = (pick & 1) + 1
    this.#say({ ...nothing, type: publish, id, qos, size: 10 + (pick >> 1) }, qos === 1 ? puback : pubrec)
  }

  #subscribe(pick: number): void {
    const id = this.#freeId(pick)
    if (id !== undefined) this.#say({ ...nothing, type: subscribe, id }, suback)
  }

  #freeId(pick: number): number | undefined {
    const { window } = this.#habits
    const ids = Array.from({ length: window }, (_, index) => ((index + pick) % window) + 1)
    return ids.find((id) => !this.#waiting.has(id))
  }

  /** A timer ran out: what waits is said again. */
  #retry(pick: number): void {
    const all = [...this.#waiting]
    const [id, waiting] = all[pick % Math.max(1, all.length)] ?? []
    if (id === undefined || waiting === undefined) return
    this.#say({ ...waiting.last, dup: true }, waiting.for)
  }

  #receive({ type, id, qos, size }: Packet): void {
    const answer = (first: number, code = 0): void => {
      this.#lines[2].push({ ...nothing, type: first, id, code })
    }
    if (type === subscribe) answer(suback)
    else if (type === pubrel) {
      this.#received.delete(id)
      answer(pubcomp)
    } else if (qos === 1) answer(puback)
    else if (this.#habits.version === 5 && size === 13 && !this.#received.has(id)) answer(pubrec, 0x97)
    else {
      this.#received.add(id)
      answer(pubrec)
    }
  }

  #hear({ type, id, code }: Packet, pick: number): void {
    const waiting = this.#waiting.get(id)
    if (type === pubrec && code < 0x80) {
      const release = { ...nothing, type: pubrel, id }
      if (waiting?.for === pubrec || waiting?.for === pubcomp) this.#say(release, pubcomp)
      // Nobody knows of it: some ignore it, some release it all the same.
      else if (waiting === undefined && this.#habits.forgets === true && pick % 2 === 1)
        this.#lines[0].push(release)
    } else if (waiting?.for === type) this.#waiting.delete(id)
  }

  #reconnect(): void {
    for (const line of this.#lines) line.length = 0
    this.flows = new Flows()
    this.flows.resumes = true
    const pending = [...this.#waiting]
    this.#waiting.clear()
    if (this.#habits.echoes)
      for (const id of this.#received) this.#lines[2].push({ ...nothing, type: pubrec, id })
    if (this.#habits.forgets === true) return
    for (const [, { for: awaited, last }] of pending)
      if (last.type !== subscribe) this.#say({ ...last, dup: last.type === publish }, awaited)
  }

  #judge({ type, id, qos, dup, code, size }: Packet): void {
    const { flows } = this
    const from = type === publish || type === pubrel || type === subscribe ? this.#sending : this.#receiving
    const outcome =
      type === publish
        ? flows.publish({ packetId: id, qos, dup }, this.#habits.version, this.#habits.window, size, from, 0)
        : type === pubrel
          ? flows.release(id, from, 0)
          : type === subscribe
            ? flows.request(id, Stage.suback, from, 0)
            : type === suback
              ? flows.answer(id, type, from, 0)
              : flows.acknowledge(id, type, code, from, 0)
    if (outcome < 0) this.faults.push(brokenRule(outcome).id)
  }
}
