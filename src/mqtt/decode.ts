// The one door to mqtt-packet: decodes a control packet that passed every check, for those who read its fields.

import mqttPacket, { type Packet, type Parser } from 'mqtt-packet'
import type { Version } from './packet.ts'

export type { Packet } from 'mqtt-packet'

interface Desk {
  readonly parser: Parser
  packet: Packet | undefined
  failed: boolean
}

const desks = new Map<Version, Desk>()

/**
 * Decodes exactly one whole frame. Returns undefined where mqtt-packet cannot read what the standard allows and our
 * checks therefore passed (an MQTT 3.1 user name flag without a user name, say).
 */
export function decode(frame: Buffer, version: Version): Packet | undefined {
  let desk = desks.get(version)
  if (desk === undefined) desks.set(version, (desk = openDesk(version)))
  desk.failed = false
  const left = desk.parser.parse(frame)
  const { packet, failed } = desk
  desk.packet = undefined
  // A parser that failed, or that waits for more, has lost its place. One that read CONNECT has changed its version,
  // and keeps the password. The next frame gets a new one.
  if (failed || left !== 0 || packet?.cmd === 'connect') desks.delete(version)
  return failed ? undefined : packet
}

function openDesk(version: Version): Desk {
  const parser = mqttPacket.parser(version === 0 ? {} : { protocolVersion: version })
  const desk: Desk = { parser, packet: undefined, failed: false }
  parser.on('packet', (packet: Packet) => {
    desk.packet = packet
  })
  parser.on('error', () => {
    desk.failed = true
  })
  return desk
}
