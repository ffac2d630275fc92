// What passed, read by somebody else: mqtt-packet has to find the frames and the fields that the core found.

import { decode, type Packet } from '../../src/mqtt/decode.ts'
import { PacketType, packetName, type Direction } from '../../src/mqtt/packet.ts'
import { splitFrames } from './script.ts'
import { Broken, type Sight } from './side.ts'
import type { Trial } from './trial.ts'

/** A frame mqtt-packet refuses although the standard allows it, and the core is right to let it pass. */
interface Exemption {
  readonly reason: string
  readonly applies: (frame: Buffer, sight: Sight) => boolean
}

const { connect, connack, publish, pubrel, subscribe, unsubscribe, disconnect, auth } = PacketType

export const exemptions: readonly Exemption[] = [
  {
    reason: 'AUTH without a body means success (MQTT 5.0, 3.15.2.1)',
    applies: (frame, { type }) => type === auth && frame.length === 2,
  },
  {
    reason:
      'MQTT 3.1 does not use the flags in the fixed header of CONNECT, nor the lowest CONNECT flag (3.1)',
    applies: (_, { type, fields }) => type === connect && fields.version === 3,
  },
  {
    reason: 'MQTT 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE carry DUP (3.6, 3.8, 3.10)',
    applies: (frame, { type, version }) =>
      version === 3 &&
      (type === pubrel || type === subscribe || type === unsubscribe) &&
      (frame[0]! & 8) !== 0,
  },
  {
    reason: 'MQTT 3.1 does not use the first byte of CONNACK (3.2)',
    applies: (frame, { type, version }) => version === 3 && type === connack && frame[2]! > 1,
  },
  {
    reason:
      'reason code 0x8c stands in table 2-6 of MQTT 5.0 for DISCONNECT, but not in the table of 3.14.2.1',
    applies: (frame, { type, version }) => version === 5 && type === disconnect && frame[2] === 0x8c,
  },
]

/** Compares every frame that passed with what mqtt-packet reads in it; returns how many were compared. */
export function compareReaders(trial: Trial): number {
  let compared = 0
  for (const direction of ['up', 'down'] as const) {
    const { frames, rest } = splitFrames(trial.passed[direction])
    const sights = trial.sights.filter((sight) => sight.direction === direction)
    const streaming = sights.length - frames.length
    if (streaming !== (rest.length > 0 ? 1 : 0))
      throw new Broken('what passed is not the frames that were seen')
    if (streaming > 0 && sights.at(-1)?.type !== publish) throw new Broken('half a packet passed')
    const aliases = new Map<number, string>()
    frames.forEach((frame, index) => compare(frame, sights[index]!, aliases))
    compared += frames.length
  }
  checkCounts(trial)
  return compared
}

function compare(frame: Buffer, sight: Sight, aliases: Map<number, string>): void {
  const { type, version, excused, fields } = sight
  const name = packetName(type)
  const packet = decode(frame, version)
  if (packet === undefined) {
    if (excused || exemptions.some(({ applies }) => applies(frame, sight))) return
    throw new Broken(`mqtt-packet refuses a ${name} that broke no rule`)
  }
  if (packet.cmd !== name) throw new Broken(`mqtt-packet takes a ${name} for a ${packet.cmd}`)
  const theirs =
    packet.cmd === 'publish'
      ? fieldsOfPublish(packet, frame, sight, aliases)
      : packet.cmd === 'connect'
        ? fieldsOfConnect(packet)
        : {}
  for (const [key, value] of Object.entries(theirs)) {
    if (fields[key] !== value) throw new Broken(`mqtt-packet reads another ${key} in a ${name}`)
  }
}

function fieldsOfPublish(
  { topic, qos, dup, retain, messageId = 0, properties, payload }: Extract<Packet, { cmd: 'publish' }>,
  frame: Buffer,
  { forgets }: Sight,
  aliases: Map<number, string>,
): Sight['fields'] {
  // Where it stands twice and that is only reported, the last one is taken; mqtt-packet makes a list of them.
  const alias = [properties?.topicAlias ?? 0].flat().at(-1) ?? 0
  if (topic !== '' && alias > 0) aliases.set(alias, forgets ? '' : topic)
  const resolved = topic === '' ? (aliases.get(alias) ?? '') : topic
  return {
    topic: resolved,
    qos,
    dup,
    retain,
    packetId: messageId,
    alias,
    payload: frame.length - payload.length,
  }
}

function fieldsOfConnect(packet: Extract<Packet, { cmd: 'connect' }>): Sight['fields'] {
  const { protocolVersion, clientId, keepalive, clean, username, password, will } = packet
  return {
    version: protocolVersion ?? 0,
    clientId,
    keepAlive: keepalive ?? 0,
    clean: clean ?? false,
    hasUsername: username !== undefined,
    hasPassword: password !== undefined,
    hasWill: will !== undefined,
  }
}

/** The counters behind the metrics count just what passed. */
function checkCounts({ counts, sights }: Trial): void {
  const expected = new Float64Array(32)
  for (const { direction, type } of sights) expected[base(direction) + type]! += 1
  if (!expected.every((count, index) => count === counts[index])) throw new Broken('frames are miscounted')
}

function base(direction: Direction): number {
  return direction === 'up' ? 0 : 16
}
