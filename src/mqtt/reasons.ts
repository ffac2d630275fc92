// The return and reason codes each packet may carry, by version and direction.

import { PacketType, type Direction, type Version } from './packet.ts'

const publishAcks = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const releases = [0x00, 0x92]

const connackV5 = codes([
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a,
  0x9b, 0x9c, 0x9d, 0x9f,
])
const connackV3 = codes([0, 1, 2, 3, 4, 5])
const subackV5 = codes([0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2])
const subackV3 = codes([0, 1, 2, 0x80])
const unsubackV5 = codes([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91])
const publishAckV5 = codes(publishAcks)
const releaseV5 = codes(releases)
// Table 2-6 gives 0x8c, bad authentication method, to DISCONNECT; the table in 3.14.2.1 leaves it out. It may stand.
const disconnectUp = codes([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x8c, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])
const disconnectDown = codes([
  0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
  0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
])
const authUp = codes([0x18, 0x19])
const authDown = codes([0x00, 0x18])

/** Whether `code` may stand in a packet of this type (MQTT 5.0, table 2-6; MQTT 3.1.1, 3.2.2.3 and 3.9.3). */
export function reasonAllowed(code: number, type: number, version: Version, direction: Direction): boolean {
  return setFor(type, version, direction)[code] === 1
}

function setFor(type: number, version: Version, direction: Direction): Uint8Array {
  switch (type) {
    case PacketType.connack:
      return version === 5 ? connackV5 : connackV3
    case PacketType.suback:
      return version === 5 ? subackV5 : subackV3
    case PacketType.unsuback:
      return unsubackV5
    case PacketType.puback:
    case PacketType.pubrec:
      return publishAckV5
    case PacketType.pubrel:
    case PacketType.pubcomp:
      return releaseV5
    case PacketType.disconnect:
      return direction === 'up' ? disconnectUp : disconnectDown
    default:
      return direction === 'up' ? authUp : authDown
  }
}

function codes(list: readonly number[]): Uint8Array {
  const set = new Uint8Array(256)
  for (const code of list) set[code] = 1
  return set
}
