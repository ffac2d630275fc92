// What comes before a sequence, and all of it in order: which bytes each side of the connection says.

import { PacketType, type Direction } from '../../src/mqtt/packet.ts'
import type { Step } from '../help/judge.ts'
import { bytes, connackPacket, connectPacket, uint16, type Level } from '../help/packets.ts'
import type { Sequence } from './sequences.ts'

const { disconnect } = PacketType

/** An ordinary CONNECT. */
export function openingConnect(version: Level): Buffer {
  return connectPacket({ version, clientId: 'agreement' })
}

/**
 * Its answer: in MQTT 5.0 a broker like Mosquitto 2 takes 20 messages at once and 10 topic aliases. The broker of the
 * `lib` sequences names no alias maximum: its clients use an alias nobody allowed, and are to be let alone.
 */
function openingConnack({ side, version }: Sequence): Buffer {
  const aliases = side === 'broker' ? bytes(0x22, uint16(10)) : ''
  return connackPacket(version, 0, { properties: bytes(aliases, 0x21, uint16(20)) })
}

/** Who sends what a sequence says is sent. */
export function senderOf({ side }: Sequence): Direction {
  return side === 'broker' ? 'up' : 'down'
}

/** What is said before the first message of a sequence. A client connects whether or not its broker waits for that. */
export function openingOf(sequence: Sequence): Step[] {
  const { side, version, connect, connack } = sequence
  const asks = side === 'lib' || connect
  const answers = side === 'lib' ? connack : connect
  return [
    ...(asks ? [{ direction: 'up' as const, bytes: openingConnect(version) }] : []),
    ...(answers ? [{ direction: 'down' as const, bytes: openingConnack(sequence) }] : []),
  ]
}

/**
 * The messages of a sequence; what others do shows only in what is then expected. The DISCONNECT by which its
 * receiver would save itself is left out: whoever sits behind Pulseward may be one that does not.
 */
export function messagesOf(sequence: Sequence): Step[] {
  const sender = senderOf(sequence)
  const receiver = sender === 'up' ? 'down' : 'up'
  return sequence.messages
    .filter(({ kind, bytes: said }) => kind === 'send' || (kind === 'recv' && said[0]! >> 4 !== disconnect))
    .map(({ kind, bytes: said }) => ({ direction: kind === 'send' ? sender : receiver, bytes: said }))
}
