// What the two sides of a session may wish to say between CONNACK and DISCONNECT, packet by packet.

import fc, { type Arbitrary } from 'fast-check'
import type { Direction } from '../../src/mqtt/packet.ts'
import {
  block,
  bytes,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  uint16,
  unsubscribePacket,
  type Level,
  type Part,
} from '../help/packets.ts'
import type { Conversation, Specimen, Wish } from './conversation.ts'
import {
  blob,
  contentOf,
  id,
  numberIn,
  properties,
  topic,
  valueIn,
  varintOf,
  without,
  type Properties,
} from './property-lists.ts'

const level = fc.constantFrom('', 'ward', 'b7', '$x', 'é', '+')
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/'))
  .filter((one) => one !== '')

export function fromDevice(version: Level): Arbitrary<Wish> {
  const ping = fc.constant<Wish>((talk) => {
    const said: Specimen = { direction: 'up', bytes: pingreqPacket, fields: { cmd: 'pingreq' } }
    if (!talk.fits(said)) return undefined
    talk.pings += 1
    return said
  })
  return fc.oneof(
    publish(version, 'up'),
    answer('up'),
    subscribe(version),
    unsubscribe,
    ping,
    ...(version === 5 ? [reauthentication] : []),
  )
}

export function fromBroker(version: Level): Arbitrary<Wish> {
  const ping = fc.constant<Wish>((talk) => {
    if (talk.pings === 0) return undefined
    talk.pings -= 1
    return { direction: 'down', bytes: pingrespPacket, fields: { cmd: 'pingresp' } }
  })
  return fc.oneof(publish(version, 'down'), answer('down'), confirmation, ping)
}

function publish(version: Level, direction: Direction): Arbitrary<Wish> {
  return fc
    .record({
      topic,
      payload: fc.oneof(blob, fc.uint8Array({ minLength: 100, maxLength: 300 })),
      qos: fc.nat(2),
      dup: fc.boolean(),
      retain: fc.boolean(),
      id,
      properties: version === 5 ? properties('publish', direction) : fc.constant<Properties>([]),
    })
    .map((wanted): Wish => (talk) => {
      const mayRetain = direction === 'down' || numberIn(talk.connack, 37) !== 0
      const most = !talk.hasRoom(direction) ? 0 : direction === 'up' ? (numberIn(talk.connack, 36) ?? 2) : 2
      const qos = Math.min(wanted.qos, most) as 0 | 1 | 2
      const messageId = talk.freeId(direction, wanted.id)
      const { list, alias } = mayName(talk, direction, wanted.properties)
      const known = alias !== undefined && talk.aliases[direction].has(alias)
      // A name may stay away where an alias stands in for it.
      const name = known && wanted.topic.length % 3 === 0 ? '' : wanted.topic
      const retain = wanted.retain && mayRetain
      const dup = wanted.dup && qos > 0 && talk.resumed
      const shape = { version, topic: name, payload: wanted.payload, qos, dup, retain, id: messageId }
      const said: Specimen = {
        direction,
        bytes: publishPacket({ ...shape, properties: contentOf(list) }),
        fields: {
          cmd: 'publish',
          topic: name,
          payload: Buffer.from(wanted.payload),
          qos,
          dup,
          retain,
          ...(qos > 0 ? { messageId } : {}),
        },
      }
      if (!talk.fits(said)) return undefined
      if (alias !== undefined) talk.aliases[direction].add(alias)
      if (qos > 0) talk.awaited[direction].set(messageId, qos === 1 ? 'puback' : 'pubrec')
      return said
    })
}

/** The properties of a PUBLISH with an alias its receiver takes, and subscription identifiers it has given. */
function mayName(
  talk: Conversation,
  direction: Direction,
  wanted: Properties,
): { list: Properties; alias: number | undefined } {
  const most = talk.receiver(direction).aliases
  const list = wanted.filter(
    ([number, value]) => number !== 11 || talk.resumed || talk.subscriptionIds.has(varintOf(value)),
  )
  const given = numberIn(list, 35)
  if (given === undefined || most === 0) return { list: without(list, 35), alias: undefined }
  const alias = (given % Math.min(most, 3)) + 1
  return { list: [...without(list, 35), [35, uint16(alias)]], alias }
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP: one of those that this side owes. */
function answer(direction: Direction): Arbitrary<Wish> {
  return fc
    .record({ turn: fc.nat(), refuses: fc.boolean(), form: fc.nat(2), properties: properties('answer') })
    .map(({ turn, refuses, form, properties: own }): Wish => (talk) => {
      const all = talk.owedBy(direction)
      const owed = all[turn % Math.max(1, all.length)]
      if (owed === undefined) return undefined
      const first = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70, suback: 0, unsuback: 0 }[
        owed.awaited
      ]
      // "Quota exceeded" ends an exchange of QoS 2, "no matching subscribers" does not.
      const code = first >= 0x60 ? 0x92 : refuses ? 0x97 : 0x10
      const tail: Part[] =
        talk.version !== 5 || form === 0 ? [] : [code, ...(form > 1 ? [explained(talk, own)] : [])]
      const said: Specimen = {
        direction,
        bytes: packet(first, uint16(owed.id), ...tail),
        fields: { cmd: owed.awaited, messageId: owed.id },
      }
      if (!talk.fits(said)) return undefined
      talk.settle(owed, tail.length > 0 ? code : 0)
      return said
    })
}

function subscribe(version: Level): Arbitrary<Wish> {
  const options = version === 5 ? fc.constantFrom(0, 1, 2, 0x08, 0x2e) : fc.constantFrom(0, 1, 2)
  return fc
    .record({
      id,
      filters: fc.array(fc.tuple(filter, options), { minLength: 1, maxLength: 4 }),
      properties: properties('subscribe'),
    })
    .map(({ id: wanted, filters, properties: own }): Wish => (talk) => {
      const wild = filters.some(([name]) => /[+#]/.test(name))
      if (wild && numberIn(talk.connack, 40) === 0) return undefined
      const messageId = talk.freeId('up', wanted)
      const list = numberIn(talk.connack, 41) === 0 ? without(own, 11) : own
      const said: Specimen = {
        direction: 'up',
        bytes: subscribePacket(version, messageId, filters, contentOf(list)),
        fields: {
          cmd: 'subscribe',
          messageId,
          subscriptions: filters.map(([name, given]) => ({ topic: name, qos: given & 3 })),
        },
      }
      if (!talk.fits(said)) return undefined
      const identifier = valueIn(list, 11)
      if (identifier !== undefined) talk.subscriptionIds.add(varintOf(identifier))
      talk.awaited.up.set(messageId, 'suback')
      talk.requests.set(
        messageId,
        filters.map(([, given]) => given & 3),
      )
      return said
    })
}

const unsubscribe: Arbitrary<Wish> = fc
  .record({
    id,
    filters: fc.array(filter, { minLength: 1, maxLength: 4 }),
    properties: properties('unsubscribe'),
  })
  .map(({ id: wanted, filters, properties: own }): Wish => (talk) => {
    const messageId = talk.freeId('up', wanted)
    const said: Specimen = {
      direction: 'up',
      bytes: unsubscribePacket(talk.version, messageId, filters, contentOf(own)),
      fields: { cmd: 'unsubscribe', messageId, unsubscriptions: filters },
    }
    if (!talk.fits(said)) return undefined
    talk.awaited.up.set(messageId, 'unsuback')
    talk.requests.set(
      messageId,
      filters.map(() => 0),
    )
    return said
  })

/** SUBACK or UNSUBACK to one of the requests that wait, with a code for each filter. */
const confirmation: Arbitrary<Wish> = fc
  .record({
    turn: fc.nat(),
    codes: fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }),
    properties: properties('answer'),
  })
  .map(({ turn, codes, properties: own }): Wish => (talk) => {
    const waiting = [...talk.requests]
    const [messageId, asked] = waiting[turn % Math.max(1, waiting.length)] ?? []
    if (messageId === undefined || asked === undefined) return undefined
    const isSuback = talk.awaited.up.get(messageId) === 'suback'
    const granted = asked.map((most, index) => (codes[index] === 3 ? 0x80 : Math.min(most, codes[index]!)))
    const content = isSuback ? granted : talk.version === 5 ? asked.map(() => 0x11) : []
    const head = talk.version === 5 ? explained(talk, own) : bytes()
    const said: Specimen = {
      direction: 'down',
      bytes: packet(isSuback ? 0x90 : 0xb0, uint16(messageId), head, ...content),
      fields: isSuback ? { cmd: 'suback', messageId, granted } : { cmd: 'unsuback', messageId },
    }
    if (!talk.fits(said)) return undefined
    talk.requests.delete(messageId)
    talk.awaited.up.delete(messageId)
    return said
  })

/** The next AUTH of a device or broker that authenticates again, in turns. */
const reauthentication: Arbitrary<Wish> = fc.boolean().map((goesOn): Wish => (talk) => {
  const method = valueIn(talk.connect, 21)
  if (method === undefined) return undefined
  const direction: Direction = talk.authTurn === 'broker' ? 'down' : 'up'
  const reasonCode = talk.authTurn === 'nobody' ? 0x19 : direction === 'up' || goesOn ? 0x18 : 0x00
  const said: Specimen = {
    direction,
    bytes: packet(0xf0, reasonCode, block(21, method)),
    fields: { cmd: 'auth', reasonCode },
  }
  if (!talk.fits(said)) return undefined
  talk.authTurn = direction === 'up' ? 'broker' : goesOn ? 'device' : 'nobody'
  return said
})

/** A property block; a device that wants no explanations is given none (MQTT-3.1.2-29). */
function explained(talk: Conversation, own: Properties): Buffer {
  return block(contentOf(numberIn(talk.connect, 23) === 0 ? [] : own))
}
