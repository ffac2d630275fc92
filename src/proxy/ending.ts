// How a leg ends: what a device is told in its own protocol's terms, and our half of a connection closed behind it.

import type { Socket } from 'node:net'
import type { Version } from '../mqtt/packet.ts'
import { refusal } from '../mqtt/reply.ts'
import type { SessionState } from '../mqtt/session.ts'
import { ByteCount } from '../observe/samples.ts'
import type { Metrics } from '../observe/metrics.ts'

/** The packet that tells a device why, where the state of its session still allows one; it is counted as sent. */
export function lastPacket(
  { brokerLeft, connackCode }: SessionState,
  version: Version,
  reason: number,
  metrics: Metrics,
): Buffer | undefined {
  // The broker has had the last word: nothing may follow its DISCONNECT (MQTT 5.0, 3.14.4) or its refusal (3.2.2.2).
  if (brokerLeft || connackCode > 0) return undefined
  const packet = refusal(version, connackCode >= 0, reason)
  if (packet === undefined) return undefined
  metrics.bytes[ByteCount.deviceSent]! += packet.length
  if (connackCode < 0) metrics.connacks[packet[3]!]! += 1
  return packet
}

/** Ends our side of a leg, once; a stream asked twice makes an error with a stack trace for nobody. */
export function endWith(socket: Socket | undefined, packet?: Buffer): void {
  if (socket === undefined || socket.writableEnded || socket.destroyed) return
  if (packet === undefined) socket.end()
  else socket.end(packet)
}
