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
  uint32,
  type Level,
} from '../help/packets.ts'
import { Conversation, type Specimen, type Wish } from './conversation.ts'
import {
  blob,
  contentOf,
  numberIn,
  properties,
  text,
  topic,
  valueIn,
  without,
  type Properties,
} from './property-lists.ts'
import { fromBroker, fromDevice } from './wishes.ts'

export interface Session {
  readonly version: Level
  readonly packets: readonly Specimen[]
}

/** CONNECT, perhaps AUTH, CONNACK, then what both sides wish to say as far as they may; perhaps a DISCONNECT. */
export const session: Arbitrary<Session> = fc.constantFrom<Level>(3, 4, 5).chain((version) =>
  fc
    .record({
      opening: opening(version),
      wishes: fc.array(fc.oneof(fromDevice(version), fromBroker(version)), { maxLength: 12 }),
      farewell: fc.option(farewell(version), { nil: undefined }),
    })
    .map(({ opening: open, wishes, farewell: last }) => {
      const talk = open()
      for (const wish of last === undefined ? wishes : [...wishes, last]) {
        const said = wish(talk)
        if (said !== undefined) talk.packets.push(said)
      }
      return { version, packets: talk.packets }
    }),
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

/** CONNECT to CONNACK; a function, because a conversation is used up. */
function opening(version: Level): Arbitrary<() => Conversation> {
  const none = fc.constant<Properties>([])
  return fc
    .record({
      connect: connect(version),
      present: fc.boolean(),
      answer: version === 5 ? properties('connack') : none,
      rounds: fc.nat(2),
    })
    .map(({ connect: first, present, answer, rounds }) => () => {
      const sessionPresent = present && (version === 3 || !first.clean)
      const connack = answerTo(first, answer)
      const resumed = version === 3 ? !first.clean : sessionPresent
      const talk = new Conversation({ version, connect: first.properties, connack, resumed })
      talk.packets.push(first.specimen, ...authentication(first.properties, rounds), {
        direction: 'down',
        bytes: connackPacket(version, 0, { sessionPresent, properties: contentOf(connack) }),
        fields: { cmd: 'connack', sessionPresent },
      })
      return talk
    })
}

interface Connect {
  readonly version: Level
  readonly specimen: Specimen
  readonly clientId: string
  readonly clean: boolean
  readonly properties: Properties
}

function connect(version: Level): Arbitrary<Connect> {
  const none = fc.constant<Properties>([])
  return fc
    .record({
      clientId: version === 5 ? text : text.filter((one) => one !== ''),
      clean: fc.boolean(),
      keepAlive: fc.nat(0xffff),
      will: fc.option(
        fc.record({
          topic,
          payload: blob,
          qos: fc.nat(2),
          retain: fc.boolean(),
          properties: version === 5 ? properties('will') : none,
        }),
      ),
      username: fc.option(text),
      password: fc.option(blob),
      properties: version === 5 ? properties('connect') : none,
    })
    .map(({ clientId, clean, keepAlive, will, username, password, properties: wanted }) => {
      const own = valueIn(wanted, 21) === undefined ? without(wanted, 22) : wanted
      // No will waits for longer than its session lasts.
      const ofWill = will?.properties ?? []
      const mayWait = (numberIn(ofWill, 24) ?? 0) <= (numberIn(own, 17) ?? 0)
      const withPassword = password !== null && (username !== null || version === 5)
      const shape = {
        version,
        clientId,
        clean,
        keepAlive,
        properties: contentOf(own),
        ...(will === null
          ? {}
          : { will: { ...will, properties: contentOf(mayWait ? ofWill : without(ofWill, 24)) } }),
        ...(username === null ? {} : { username }),
        ...(withPassword ? { password } : {}),
      }
      const fields = {
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
      }
      const specimen: Specimen = { direction: 'up', bytes: connectPacket(shape), fields }
      return { version, specimen, clientId, clean, properties: own }
    })
}

/** The properties a broker may put into its CONNACK, of those it would like to. */
function answerTo({ version, clientId, properties: asked }: Connect, wanted: Properties): Properties {
  const method = valueIn(asked, 21)
  const mayStand = wanted.filter(([number]) => {
    if (number === 21) return false
    if (number === 22) return method !== undefined
    if (number === 18) return clientId === ''
    return number !== 26 || numberIn(asked, 25) === 1
  })
  // Who brings no identifier is given one (MQTT-3.2.2-16).
  const nameless = version === 5 && clientId === '' && valueIn(mayStand, 18) === undefined
  return [
    ...mayStand,
    ...(method === undefined ? [] : [[21, method] as const]),
    ...(nameless ? [[18, field('given')] as const] : []),
  ]
}

function farewell(version: Level): Arbitrary<Wish> {
  const plain = fc.constant<Wish>(() => ({
    direction: 'up',
    bytes: packet(0xe0),
    fields: { cmd: 'disconnect' },
  }))
  if (version !== 5) return plain
  const reasoned = fc
    .tuple(fc.constantFrom<Direction>('up', 'down'), properties('answer'), fc.nat())
    .map(([direction, own, expiry]): Wish => (talk) => {
      const mayExpire = direction === 'up' && (numberIn(talk.connect, 17) ?? 0) > 0
      const content = [...own, ...(mayExpire ? [[17, uint32(expiry)] as const] : [])]
      const said: Specimen = {
        direction,
        bytes: packet(0xe0, 0x97, block(contentOf(content))),
        fields: { cmd: 'disconnect', reasonCode: 0x97 },
      }
      return talk.fits(said) ? said : undefined
    })
  return fc.oneof(plain, reasoned)
}

/** Rounds of AUTH by the method CONNECT named, before CONNACK. */
function authentication(asked: Properties, rounds: number): Specimen[] {
  const method = valueIn(asked, 21)
  if (method === undefined) return []
  const said = packet(0xf0, 0x18, block(21, method))
  const fields = { cmd: 'auth', reasonCode: 0x18 }
  return Array.from({ length: rounds }, () => [
    { direction: 'down', bytes: said, fields } as const,
    { direction: 'up', bytes: said, fields } as const,
  ]).flat()
}
