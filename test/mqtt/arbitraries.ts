// Generators of whole MQTT sessions: valid packets of every version in a valid order, and ways to break them.

import fc, { type Arbitrary } from 'fast-check'
import type { Direction } from '../../src/mqtt/packet.ts'
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
  uint32,
  unsubscribePacket,
  varint,
  type Level,
  type Part,
} from '../help/packets.ts'

/** A packet and what a reader must find in it, in the names of mqtt-packet. */
interface Specimen extends Step {
  readonly fields: Readonly<Record<string, unknown>>
}

export interface Session {
  readonly version: Level
  readonly packets: readonly Specimen[]
}

/** CONNECT, CONNACK, then packets of both sides, each PINGRESP behind its PINGREQ; perhaps a DISCONNECT at the end. */
export const session: Arbitrary<Session> = fc.constantFrom<Level>(3, 4, 5).chain((version) =>
  fc
    .record({
      connect: connect(version),
      connack: connack(version),
      traffic: fc.array(fc.oneof(fromDevice(version), fromBroker(version)), { maxLength: 8 }),
      farewell: fc.option(farewell(version)),
    })
    .map(({ connect: first, connack: second, traffic, farewell: last }) => ({
      version,
      packets: [first, second, ...answerablePings(traffic), ...(last === null ? [] : [last])],
    })),
)

/** One way to break a session; every number is taken modulo what it applies to. */
export interface Mutation {
  readonly kind: 'set' | 'flip' | 'insert' | 'remove' | 'truncate' | 'repeat' | 'turn' | 'replace'
  readonly step: number
  readonly at: number
  readonly value: number
  readonly noise: Uint8Array
}

export const mutation: Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'truncate', 'repeat', 'turn', 'replace'),
  step: fc.nat(20),
  // Most of what can be broken lies near the front of a packet.
  at: fc.oneof({ weight: 3, arbitrary: fc.nat(16) }, { weight: 1, arbitrary: fc.nat(200) }),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 0x23, 0x2b, 0x7f, 0x80, 0xff), fc.nat(255)),
  noise: fc.uint8Array({ minLength: 1, maxLength: 24 }),
})

export function mutate(steps: readonly Step[], mutations: readonly Mutation[]): Step[] {
  const broken = [...steps]
  for (const { kind, step, at, value, noise } of mutations) {
    const index = step % broken.length
    const { direction, bytes: old } = broken[index]!
    const place = old.length === 0 ? 0 : at % old.length
    const before = old.subarray(0, place)
    const here = old[place] ?? 0
    const after = old.subarray(place + 1)
    const put = (fresh: Buffer, side: Direction = direction): void => {
      broken[index] = { direction: side, bytes: fresh }
    }
    if (kind === 'set') put(bytes(before, value, after))
    else if (kind === 'flip') put(bytes(before, here ^ (1 << (value % 8)), after))
    else if (kind === 'insert') put(bytes(before, value, here, after))
    else if (kind === 'remove') put(bytes(before, after))
    else if (kind === 'truncate') put(bytes(before))
    else if (kind === 'repeat') broken.splice(index, 0, { direction, bytes: old })
    else if (kind === 'turn') put(old, direction === 'up' ? 'down' : 'up')
    else put(bytes(before, noise, after))
  }
  return broken
}

const sides = fc.constantFrom<Direction>('up', 'down')
const id = fc.integer({ min: 1, max: 0xffff })
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const blob = fc.uint8Array({ maxLength: 20 })
const text = fc
  .oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 8 }))
  .filter((one) => !one.includes('\0'))
const topic = text.map((one) => one.replaceAll(/[+#]/g, '/')).filter((one) => one !== '')
const level = fc.constantFrom('', 'ward', 'b7', '$x', 'é', '+')
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/'))
  .filter((one) => one !== '')

function specimen(direction: Direction, bytes8: Buffer, fields: Readonly<Record<string, unknown>>): Specimen {
  return { direction, bytes: bytes8, fields }
}

function connect(version: Level): Arbitrary<Specimen> {
  return fc
    .record({
      clientId: version === 5 ? text : text.filter((one) => one !== ''),
      clean: fc.boolean(),
      keepAlive: fc.nat(0xffff),
      will: fc.option(
        fc.record({
          topic,
          payload: blob,
          qos,
          retain: fc.boolean(),
          properties: version === 5 ? properties('will') : fc.constant(bytes()),
        }),
      ),
      username: fc.option(text),
      password: fc.option(blob),
      properties: version === 5 ? properties('connect') : fc.constant(bytes()),
    })
    .map(({ clientId, clean, keepAlive, will, username, password, properties: own }) => {
      const withPassword = password !== null && (username !== null || version === 5)
      const shape = {
        version,
        clientId,
        clean,
        keepAlive,
        properties: own,
        ...(will === null ? {} : { will }),
        ...(username === null ? {} : { username }),
        ...(withPassword ? { password } : {}),
      }
      return specimen('up', connectPacket(shape), {
        cmd: 'connect',
        protocolVersion: version,
        clientId,
        clean,
        keepalive: keepAlive,
        ...(username === null ? {} : { username }),
        ...(withPassword ? { password: Buffer.from(password) } : {}),
        ...(will === null
          ? {}
          : { will: { topic: will.topic, qos: will.qos, payload: Buffer.from(will.payload) } }),
      })
    })
}

function connack(version: Level): Arbitrary<Specimen> {
  const accepted = fc
    .tuple(fc.boolean(), version === 5 ? properties('connack') : fc.constant(bytes()))
    .map(([sessionPresent, own]) =>
      specimen('down', connackPacket(version, 0, { sessionPresent, properties: own }), {
        cmd: 'connack',
        sessionPresent,
      }),
    )
  const exchange = fc.constant(
    specimen('down', packet(0xf0, 0x18, block(0x15, field('m'))), { cmd: 'auth', reasonCode: 0x18 }),
  )
  // An authentication exchange that never ends; what follows it would be refused, so it is rare.
  return version === 5 ? fc.oneof({ weight: 30, arbitrary: accepted }, exchange) : accepted
}

function publish(version: Level, direction: Direction): Arbitrary<Specimen> {
  return fc
    .record({
      topic,
      payload: fc.oneof(blob, fc.uint8Array({ minLength: 100, maxLength: 300 })),
      qos,
      dup: fc.boolean(),
      retain: fc.boolean(),
      id,
      properties: version === 5 ? properties('publish', direction) : fc.constant(bytes()),
    })
    .map(({ topic: name, payload, qos: quality, dup, properties: own, ...rest }) => {
      // A name may stay away where an alias stands in for it.
      const topicName = hasAlias(own) && name.length % 3 === 0 ? '' : name
      const shape = { version, topic: topicName, payload, qos: quality, dup: dup && quality > 0, ...rest }
      return specimen(direction, publishPacket({ ...shape, properties: own }), {
        cmd: 'publish',
        topic: topicName,
        payload: Buffer.from(payload),
        qos: quality,
        retain: rest.retain,
        ...(quality > 0 ? { messageId: rest.id } : {}),
      })
    })
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP. */
function answer(version: Level, direction: Direction): Arbitrary<Specimen> {
  return fc
    .record({
      first: fc.constantFrom(0x40, 0x50, 0x62, 0x70),
      id,
      reasoned: fc.constantFrom(0, 1, 2),
      properties: properties('answer'),
    })
    .map(({ first, id: messageId, reasoned, properties: own }) => {
      const reason = first < 0x60 ? 0x10 : 0x92
      const tail: Part[] =
        version !== 5 || reasoned === 0 ? [] : [reason, ...(reasoned > 1 ? [block(own)] : [])]
      const cmd = { 0x40: 'puback', 0x50: 'pubrec', 0x62: 'pubrel', 0x70: 'pubcomp' }[first]
      return specimen(direction, packet(first, uint16(messageId), ...tail), { cmd, messageId })
    })
}

function fromDevice(version: Level): Arbitrary<Specimen> {
  const options = version === 5 ? fc.constantFrom(0, 1, 2, 0x08, 0x2e) : fc.constantFrom(0, 1, 2)
  const subscribe = fc
    .tuple(id, fc.array(fc.tuple(filter, options), { minLength: 1, maxLength: 4 }), properties('subscribe'))
    .map(([messageId, filters, own]) =>
      specimen('up', subscribePacket(version, messageId, filters, own), {
        cmd: 'subscribe',
        messageId,
        subscriptions: filters.map(([name, given]) => ({ topic: name, qos: given & 3 })),
      }),
    )
  const unsubscribe = fc
    .tuple(id, fc.array(filter, { minLength: 1, maxLength: 4 }), properties('unsubscribe'))
    .map(([messageId, filters, own]) =>
      specimen('up', unsubscribePacket(version, messageId, filters, own), {
        cmd: 'unsubscribe',
        messageId,
        unsubscriptions: filters,
      }),
    )
  const ping = fc.constant(specimen('up', pingreqPacket, { cmd: 'pingreq' }))
  return fc.oneof(publish(version, 'up'), answer(version, 'up'), subscribe, unsubscribe, ping)
}

function fromBroker(version: Level): Arbitrary<Specimen> {
  const codes = version === 5 ? [0, 1, 2, 0x87, 0xa2] : [0, 1, 2, 0x80]
  const suback = fc
    .tuple(id, fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 4 }), properties('answer'))
    .map(([messageId, granted, own]) =>
      specimen('down', packet(0x90, uint16(messageId), version === 5 ? block(own) : '', ...granted), {
        cmd: 'suback',
        messageId,
        granted,
      }),
    )
  const unsuback = fc.tuple(id, properties('answer')).map(([messageId, own]) =>
    specimen('down', packet(0xb0, uint16(messageId), ...(version === 5 ? [block(own), 0x11] : [])), {
      cmd: 'unsuback',
      messageId,
    }),
  )
  const ping = fc.constant(specimen('down', pingrespPacket, { cmd: 'pingresp' }))
  return fc.oneof(publish(version, 'down'), answer(version, 'down'), suback, unsuback, ping)
}

function farewell(version: Level): Arbitrary<Specimen> {
  const plain = fc.constant(specimen('up', packet(0xe0), { cmd: 'disconnect' }))
  if (version !== 5) return plain
  const reasoned = fc
    .tuple(sides, properties('answer'))
    .map(([direction, own]) =>
      specimen(direction, packet(0xe0, 0x97, block(own)), { cmd: 'disconnect', reasonCode: 0x97 }),
    )
  return fc.oneof(plain, reasoned)
}

type Place = 'connect' | 'will' | 'connack' | 'publish' | 'subscribe' | 'unsubscribe' | 'answer'

/** Property identifiers with generators of their values, by where they may stand; user properties go everywhere. */
const catalogue: readonly (readonly [id: number, value: Arbitrary<Buffer>, places: readonly Place[]])[] = [
  [1, fc.nat(1).map((one) => bytes(one)), ['publish', 'will']],
  [2, fc.nat().map(uint32), ['publish', 'will']],
  [3, text.map((one) => field(one)), ['publish', 'will']],
  [8, topic.map((one) => field(one)), ['publish', 'will']],
  [9, blob.map((one) => field(one)), ['publish', 'will']],
  [11, fc.integer({ min: 1, max: 268_435_455 }).map((one) => varint(one)), ['subscribe']],
  [17, fc.nat().map(uint32), ['connect', 'connack']],
  [18, text.map((one) => field(one)), ['connack']],
  [19, fc.nat(0xffff).map(uint16), ['connack']],
  [21, text.map((one) => field(one)), ['connect', 'connack']],
  [23, fc.nat(1).map((one) => bytes(one)), ['connect']],
  [24, fc.nat().map(uint32), ['will']],
  [25, fc.nat(1).map((one) => bytes(one)), ['connect']],
  [26, text.map((one) => field(one)), ['connack']],
  [28, text.map((one) => field(one)), ['connack']],
  [31, text.map((one) => field(one)), ['connack', 'answer']],
  [33, id.map(uint16), ['connect', 'connack']],
  [34, fc.nat(0xffff).map(uint16), ['connect', 'connack']],
  [35, id.map(uint16), ['publish']],
  [36, fc.nat(1).map((one) => bytes(one)), ['connack']],
  [39, fc.integer({ min: 1, max: 0x7fffffff }).map(uint32), ['connect', 'connack']],
  [42, fc.nat(1).map((one) => bytes(one)), ['connack']],
]
const userProperty = fc.tuple(text, text).map(([name, value]) => bytes(38, field(name), field(value)))
const subscriptionIdentifier = fc.integer({ min: 1, max: 20_000 }).map((one) => bytes(11, varint(one)))

/** The content of a property block: some of what may stand there, once, with user properties, in any order. */
function properties(place: Place, direction: Direction = 'up'): Arbitrary<Buffer> {
  const singles = catalogue
    .filter(([, , places]) => places.includes(place))
    .map(([number, value]) => value.map((one) => bytes(number, one)))
  const once = fc.tuple(...singles.map((one) => fc.option(one, { freq: 1, nil: undefined })))
  const often =
    place === 'publish' && direction === 'down' ? [userProperty, subscriptionIdentifier] : [userProperty]
  return fc
    .tuple(once, fc.array(fc.oneof(...often), { maxLength: 2 }), fc.nat(6), fc.nat(2))
    .map(([some, repeated, turn, thin]) => {
      const kept = some.filter((one): one is Buffer => one !== undefined)
      const all = [...kept.filter((_, index) => index % (thin + 1) === 0), ...repeated]
      const cut = all.length === 0 ? 0 : turn % all.length
      return bytes(...all.slice(cut), ...all.slice(0, cut))
    })
}

/** Whether property content made here holds a topic alias; reads it the slow, obvious way. */
function hasAlias(content: Uint8Array): boolean {
  const rest = [...content]
  const skipField = (): void => void rest.splice(0, 2 + rest[0]! * 256 + rest[1]!)
  while (rest.length > 0) {
    const number = rest.shift()
    if (number === 35) return true
    if (number === 1) rest.splice(0, 1)
    else if (number === 2) rest.splice(0, 4)
    else if (number === 11) while (rest.shift()! >= 0x80);
    else if (number === 38) {
      skipField()
      skipField()
    } else skipField()
  }
  return false
}

/** Leaves out each PINGRESP that answers nothing. */
function answerablePings(traffic: readonly Specimen[]): Specimen[] {
  let open = 0
  return traffic.filter(({ fields }) => {
    if (fields.cmd === 'pingreq') open += 1
    if (fields.cmd !== 'pingresp') return true
    open -= 1
    if (open >= 0) return true
    open = 0
    return false
  })
}
