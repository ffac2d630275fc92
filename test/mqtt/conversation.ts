// A model of one connection that is plain rather than fast: what each side may say next, so that all of it is valid.

import type { Direction } from '../../src/mqtt/packet.ts'
import type { Step } from '../help/judge.ts'
import type { Level } from '../help/packets.ts'
import { numberIn, type Properties } from './property-lists.ts'

/** A packet and what a reader must find in it, in the names of mqtt-packet. */
export interface Specimen extends Step {
  readonly fields: Readonly<Record<string, unknown>>
}

/** What one side has told the other that it can take. */
interface Limits {
  readonly receiveMaximum: number
  readonly packetSize: number
  readonly aliases: number
}

/** What is waited for under a packet identifier. */
export type Awaited = 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' | 'suback' | 'unsuback'

/** A PUBLISH whose next packet one side owes. */
export interface Owed {
  readonly sender: Direction
  readonly id: number
  readonly awaited: Awaited
}

interface Opening {
  readonly version: Level
  readonly connect: Properties
  readonly connack: Properties
  readonly resumed: boolean
}

export class Conversation {
  readonly version: Level
  readonly connect: Properties
  readonly connack: Properties
  /** Whether messages of an earlier connection may come again. */
  readonly resumed: boolean
  readonly packets: Specimen[] = []
  readonly awaited: Record<Direction, Map<number, Awaited>> = { up: new Map(), down: new Map() }
  /** The QoS asked for each filter, by the packet identifier of its SUBSCRIBE or UNSUBSCRIBE. */
  readonly requests = new Map<number, readonly number[]>()
  readonly aliases: Record<Direction, Set<number>> = { up: new Set(), down: new Set() }
  readonly subscriptionIds = new Set<number>()
  pings = 0
  /** Who owes the next AUTH. */
  authTurn: 'device' | 'broker' | 'nobody' = 'nobody'

  constructor({ version, connect, connack, resumed }: Opening) {
    this.version = version
    this.connect = connect
    this.connack = connack
    this.resumed = resumed
  }

  /** What the receiver of packets that go this way can take. */
  receiver(direction: Direction): Limits {
    const told = direction === 'up' ? this.connack : this.connect
    return {
      receiveMaximum: numberIn(told, 33) ?? 65_535,
      packetSize: numberIn(told, 39) ?? Infinity,
      aliases: numberIn(told, 34) ?? 0,
    }
  }

  fits({ direction, bytes }: Step): boolean {
    return bytes.length <= this.receiver(direction).packetSize
  }

  /** The first packet identifier from this one on that is free. */
  freeId(direction: Direction, wanted: number): number {
    let id = wanted
    while (this.awaited[direction].has(id)) id = (id % 0xffff) + 1
    return id
  }

  /** Whether one more message of QoS 1 or 2 may be in flight this way. */
  hasRoom(direction: Direction): boolean {
    const open = [...this.awaited[direction].values()].filter((one) => one.startsWith('pub'))
    return open.length < this.receiver(direction).receiveMaximum
  }

  /** The packets that this side owes in exchanges of either side. */
  owedBy(direction: Direction): Owed[] {
    const other = direction === 'up' ? 'down' : 'up'
    const of = (sender: Direction): Owed[] =>
      Array.from(this.awaited[sender], ([id, awaited]) => ({ sender, id, awaited }))
    return [
      ...of(direction).filter(({ awaited }) => awaited === 'pubrel'),
      ...of(other).filter(
        ({ awaited }) => awaited === 'puback' || awaited === 'pubrec' || awaited === 'pubcomp',
      ),
    ]
  }

  /** What follows when an owed packet was sent with this reason code. */
  settle({ sender, id, awaited }: Owed, code: number): void {
    const open = this.awaited[sender]
    if (awaited === 'pubrec' && code < 0x80) open.set(id, 'pubrel')
    else if (awaited === 'pubrel') open.set(id, 'pubcomp')
    else open.delete(id)
  }
}

/** Something one side would like to say, if it may; it takes note of what it has said. */
export type Wish = (talk: Conversation) => Specimen | undefined
