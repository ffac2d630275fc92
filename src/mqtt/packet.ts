// The control packets of MQTT 3.1, 3.1.1 and 5.0: their numbers, names and the two directions they travel in.

/** MQTT control packet types as they stand in the high nibble of the first byte (MQTT 5.0, 2.1.2). */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const

export type PacketName = keyof typeof PacketType

/** `up`: from the device to the broker; `down`: from the broker to the device. */
export type Direction = 'up' | 'down'

/** Protocol level of CONNECT: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0; 0 while no CONNECT has been judged. */
export type Version = 0 | 3 | 4 | 5

const names: readonly string[] = ['reserved', ...Object.keys(PacketType)]

/** The name of a type number; `reserved` for 0. */
export function packetName(type: number): string {
  return names[type] ?? 'reserved'
}

export function versionName(version: Version): string {
  return version === 5 ? '5.0' : version === 4 ? '3.1.1' : version === 3 ? '3.1' : 'unknown'
}
