// What a device is told when it is refused: CONNACK or DISCONNECT in its own protocol version, where there is one.

import { PacketType, type Version } from './packet.ts'
import { reasonAllowed } from './reasons.ts'

/** Why a device is refused, in the terms of MQTT 5.0 reason codes (table 2-6). */
export const Reason = {
  unspecified: 0x80,
  malformed: 0x81,
  protocolError: 0x82,
  unsupportedVersion: 0x84,
  clientIdNotValid: 0x85,
  badCredentials: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  keepAliveTimeout: 0x8d,
  packetTooLarge: 0x95,
} as const

/** CONNACK return codes of MQTT 3.1.1 (table 3.1) for the reasons that have one. */
const returnCodes: Readonly<Record<number, number>> = {
  [Reason.unsupportedVersion]: 1,
  [Reason.clientIdNotValid]: 2,
  [Reason.serverUnavailable]: 3,
  [Reason.serverBusy]: 3,
  [Reason.serverShuttingDown]: 3,
  [Reason.badCredentials]: 4,
  [Reason.notAuthorized]: 5,
}

/**
 * The bytes to send before closing. `answered`: whether CONNACK has gone to the device already. Before MQTT 5.0 a
 * malformed CONNECT is closed without a word (MQTT-3.1.4-1) and there is no DISCONNECT from a server.
 */
export function refusal(version: Version, answered: boolean, reason: number): Buffer | undefined {
  if (version === 5) {
    return answered
      ? Buffer.from([0xe0, 0x02, reasonFor(PacketType.disconnect, reason), 0x00])
      : Buffer.from([0x20, 0x03, 0x00, reasonFor(PacketType.connack, reason), 0x00])
  }
  const code = returnCodes[reason]
  return answered || code === undefined ? undefined : Buffer.from([0x20, 0x02, 0x00, code])
}

/** What stands in for a reason that CONNACK, or DISCONNECT, does not have. */
const standIns: Readonly<Record<number, number>> = {
  [Reason.serverShuttingDown]: Reason.serverUnavailable,
  [Reason.serverUnavailable]: Reason.serverShuttingDown,
  [Reason.badCredentials]: Reason.notAuthorized,
}

/** The reason itself where a packet of this type may carry it, else the nearest one it may. */
function reasonFor(type: number, reason: number): number {
  const near = [reason, standIns[reason] ?? Reason.unspecified]
  return near.find((code) => reasonAllowed(code, type, 5, 'down')) ?? Reason.unspecified
}
