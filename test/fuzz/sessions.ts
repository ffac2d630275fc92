// Valid sessions, drawn at random: every packet of every version, in an order a device and its broker could keep.

import type { Step } from '../help/judge.ts'
import {
  block,
  bytes,
  connackPacket,
  connectPacket,
  field,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  uint16,
  unsubscribePacket,
  varint,
  type Level,
  type Part,
} from '../help/packets.ts'
import type { Random } from './random.ts'
import {
  drawConnackProperties,
  drawConnectProperties,
  drawPublishProperties,
  drawWill,
  reason,
  some,
  topics,
  userProperty,
} from './session-properties.ts'

const filters = [
  'ward/#',
  'a',
  '+/3/#',
  '#',
  'vitals/+/spo2',
  '$share/g/ward/#',
  '$SYS/#',
  'a/+/c/+',
  'ward/3/pump',
]
const clientIds = ['pump-7', 'pump-7', 'c', 'überwachung', '']

/** CONNECT and CONNACK, whole exchanges of both sides, and perhaps a DISCONNECT. */
export function drawSession(random: Random): Step[] {
  const version = random.pick<Level>([3, 4, 5, 5])
  return new Draft(random, version).draw()
}

class Draft {
  readonly #random: Random
  readonly #version: Level
  readonly #steps: Step[] = []
  #method: string | undefined
  #nextId = 1

  constructor(random: Random, version: Level) {
    this.#random = random
    this.#version = version
    if (random.once(4)) this.#nextId = random.between(250, 65_000)
  }

  draw(): Step[] {
    const random = this.#random
    if (!this.#handshake()) return this.#steps
    const exchanges = [
      () => this.#publish('up'),
      () => this.#publish('up'),
      () => this.#subscribe(),
      () => this.#publish('down'),
      () => this.#unsubscribe(),
      () => this.#ping(),
      () => this.#authenticate(),
    ]
    for (let left = random.below(7); left > 0; left--) random.pick(exchanges)()
    if (random.once(3)) this.#leave()
    return this.#steps
  }

  /** False where the broker refused, after which nothing may come. */
  #handshake(): boolean {
    const random = this.#random
    const version = this.#version
    const isFive = version === 5
    if (isFive && random.once(4)) this.#method = random.pick(['SCRAM-SHA-256', 'X'])
    const clientId = version === 3 ? 'pump-7' : random.pick(clientIds)
    const clean = clientId === '' || !random.once(3)
    const hasUser = random.once(2)
    this.#up(
      connectPacket({
        version,
        clientId,
        clean,
        keepAlive: random.pick([0, 60, 3600, 65_535]),
        ...(hasUser ? { username: random.pick(['nurse', '']) } : {}),
        ...(hasUser && random.once(2) ? { password: random.bytes(random.below(9)) } : {}),
        ...(random.once(3) ? { will: drawWill(random, version) } : {}),
        ...(isFive ? { properties: drawConnectProperties(random, this.#method) } : {}),
      }),
    )
    if (this.#method !== undefined && random.once(2)) {
      this.#down(this.#auth(0x18))
      this.#up(this.#auth(0x18))
    }
    const code = random.once(12) ? (isFive ? 0x87 : 5) : 0
    const sessionPresent = !clean && version !== 3 && code === 0 && random.once(2)
    const properties = isFive ? drawConnackProperties(random, this.#method, clientId === '') : ''
    this.#down(connackPacket(version, code, { sessionPresent, properties }))
    return code === 0
  }

  #publish(direction: 'up' | 'down'): void {
    const random = this.#random
    const qos = random.pick<0 | 1 | 2>([0, 1, 2])
    const id = this.#id()
    const isAliased = this.#version === 5 && random.once(3)
    const alias = random.between(1, 4)
    const shape = {
      version: this.#version,
      topic: random.pick(topics),
      qos,
      retain: random.once(3),
      payload: random.bytes(random.once(12) ? random.between(900, 3000) : random.below(40)),
    }
    const properties = this.#version === 5 ? drawPublishProperties(random, direction) : Buffer.alloc(0)
    const aliased = isAliased ? bytes(properties, 35, uint16(alias)) : properties
    this.#say(direction, publishPacket({ ...shape, id, properties: aliased }))
    this.#acknowledge(direction, qos, id)
    // Again, by its alias alone.
    if (!isAliased || random.once(3)) return
    const next = this.#id()
    this.#say(direction, publishPacket({ ...shape, topic: '', id: next, properties: aliased }))
    this.#acknowledge(direction, qos, next)
  }

  /** Now and then the answer stays away. */
  #acknowledge(direction: 'up' | 'down', qos: number, id: number): void {
    const random = this.#random
    const other = direction === 'up' ? 'down' : 'up'
    if (qos === 0 || random.once(8)) return
    if (qos === 1) return this.#say(other, this.#answer(0x40, id, 0x10))
    this.#say(other, this.#answer(0x50, id, 0x10))
    if (random.once(8)) return
    this.#say(direction, this.#answer(0x62, id, 0x92))
    this.#say(other, this.#answer(0x70, id, 0x92))
  }

  #answer(first: number, id: number, code: number): Buffer {
    const random = this.#random
    if (this.#version !== 5 || random.once(2)) return packet(first, uint16(id))
    const given = random.once(2) ? 0 : code
    if (random.once(2)) return packet(first, uint16(id), given)
    return packet(first, uint16(id), given, block(some(random, [() => reason(), () => userProperty(random)])))
  }

  #subscribe(): void {
    const random = this.#random
    const isFive = this.#version === 5
    const id = this.#id()
    const asked = Array.from({ length: random.between(1, 4) }, () => {
      const filter = random.pick(filters)
      const extras = isFive ? random.pick([0, 0x08, 0x10, 0x20]) : 0
      return [filter, random.below(3) | extras] as const
    })
    const properties = isFive
      ? some(random, [() => bytes(11, varint(random.pick([1, 200]))), () => userProperty(random)])
      : ''
    this.#up(subscribePacket(this.#version, id, asked, properties))
    const codes = asked.map(([, options]) => (random.once(5) ? 0x80 : random.between(0, options & 3)))
    if (!random.once(8))
      this.#down(packet(0x90, uint16(id), isFive ? block(some(random, [() => reason()])) : '', ...codes))
  }

  #unsubscribe(): void {
    const random = this.#random
    const isFive = this.#version === 5
    const id = this.#id()
    const given = Array.from({ length: random.between(1, 3) }, () => random.pick(filters))
    this.#up(
      unsubscribePacket(this.#version, id, given, isFive ? some(random, [() => userProperty(random)]) : ''),
    )
    const codes: Part[] = isFive ? [block(), ...given.map(() => random.pick([0, 0x11]))] : []
    if (!random.once(8)) this.#down(packet(0xb0, uint16(id), ...codes))
  }

  #ping(): void {
    this.#up(pingreqPacket)
    if (!this.#random.once(8)) this.#down(pingrespPacket)
  }

  #authenticate(): void {
    if (this.#method === undefined) return
    this.#up(this.#auth(0x19))
    this.#down(this.#auth(0x18))
    this.#up(this.#auth(0x18))
    this.#down(this.#random.once(4) ? packet(0xf0) : this.#auth(0x00))
  }

  #auth(code: number): Buffer {
    return packet(0xf0, code, block(21, field(this.#method ?? ''), 22, field(this.#random.bytes(3))))
  }

  #leave(): void {
    const random = this.#random
    if (this.#version !== 5) return this.#up(packet(0xe0))
    const say = random.once(2) ? packet(0xe0) : packet(0xe0, 0x81, block(some(random, [() => reason()])))
    this.#say(random.pick(['up', 'down']), say)
  }

  #id(): number {
    const id = this.#nextId
    this.#nextId = (id % 65_535) + 1
    return id
  }

  #up(one: Buffer): void {
    this.#say('up', one)
  }

  #down(one: Buffer): void {
    this.#say('down', one)
  }

  #say(direction: 'up' | 'down', one: Buffer): void {
    this.#steps.push({ direction, bytes: one })
  }
}
