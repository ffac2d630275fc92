// What the two sides of an MQTT 5.0 connection have told each other in CONNECT and CONNACK: their limits and wishes.

import { PacketType, type Version } from './packet.ts'
import { behindValue, skipVarint, varintAt } from './properties.ts'
import { uint16 } from './text.ts'

const { connect, connack } = PacketType

/** What one side can take. */
interface Limits {
  receiveMaximum: number
  /** Bytes of a packet, its fixed header included. */
  maximumPacketSize: number
  /** -1 where it was not told, which means none (3.1.2.11.5, 3.2.2.3.8). */
  topicAliasMaximum: number
}

export class Terms {
  readonly device: Limits = { receiveMaximum: 65_535, maximumPacketSize: Infinity, topicAliasMaximum: -1 }
  readonly broker: Limits = { receiveMaximum: 65_535, maximumPacketSize: Infinity, topicAliasMaximum: -1 }
  /** Clean Session before MQTT 5.0, Clean Start in it. */
  clean = true
  hasClientId = true
  wantsResponseInformation = false
  wantsProblemInformation = true
  /** Seconds the session outlives the connection; of CONNECT. */
  sessionExpiry = 0
  willDelay = 0
  /** The authentication method CONNECT named. */
  method: Buffer | undefined
  maximumQos = 2
  retainAvailable = true
  wildcardAvailable = true
  subscriptionIdsAvailable = true
  sharedAvailable = true
  /** Whether CONNACK carries these: assigned client identifier, response information, authentication method. */
  assignedClientId = false
  responseInformation = false

  /** Reads a CONNECT that passed its checks; `body` is where its variable header begins. */
  readConnect(bytes: Buffer, body: number, version: Version): void {
    const name = body + 2 + uint16(bytes, body)
    const flags = bytes[name + 1]!
    this.clean = (flags & 0x02) !== 0
    let at = name + 4
    if (version === 5) at = this.#readBlock(bytes, at, connect)
    this.hasClientId = uint16(bytes, at) > 0
    if (version === 5 && (flags & 0x04) !== 0) this.#readBlock(bytes, at + 2 + uint16(bytes, at), 0)
  }

  /** Reads a CONNACK of MQTT 5.0 that passed its checks. */
  readConnack(bytes: Buffer, body: number, end: number): void {
    if (body + 2 < end) this.#readBlock(bytes, body + 2, connack)
  }

  /** Returns the offset behind the block. */
  #readBlock(bytes: Buffer, from: number, place: number): number {
    let at = skipVarint(bytes, from, bytes.length)
    const stop = at + varintAt(bytes, from)
    while (at < stop) {
      const id = bytes[at]!
      const next = behindValue(bytes, at + 1, id)
      if (place === connect) this.#readWish(id, bytes, at + 1, next)
      else if (place === connack) this.#readOffer(id, bytes, at + 1)
      else if (id === 24) this.willDelay = bytes.readUInt32BE(at + 1)
      at = next
    }
    return stop
  }

  // What may not stand where it stands, or has a value that it may not have, and was let pass, is not told at all.

  #readWish(id: number, bytes: Buffer, at: number, next: number): void {
    switch (id) {
      case 17:
        this.sessionExpiry = bytes.readUInt32BE(at)
        break
      case 21:
        // A copy: the packet it lies in is not kept.
        this.method = Buffer.from(bytes.subarray(at + 2, next))
        break
      case 23:
        this.wantsProblemInformation = bytes[at] !== 0
        break
      case 25:
        this.wantsResponseInformation = bytes[at] !== 0
        break
      default:
        readLimit(id, bytes, at, this.device)
    }
  }

  #readOffer(id: number, bytes: Buffer, at: number): void {
    switch (id) {
      case 18:
        this.assignedClientId = true
        break
      case 26:
        this.responseInformation = true
        break
      case 36:
        this.maximumQos = bytes[at]!
        break
      case 37:
        this.retainAvailable = bytes[at] !== 0
        break
      case 40:
        this.wildcardAvailable = bytes[at] !== 0
        break
      case 41:
        this.subscriptionIdsAvailable = bytes[at] !== 0
        break
      case 42:
        this.sharedAvailable = bytes[at] !== 0
        break
      default:
        readLimit(id, bytes, at, this.broker)
    }
  }
}

function readLimit(id: number, bytes: Buffer, at: number, limits: Limits): void {
  if (id === 33) limits.receiveMaximum = uint16(bytes, at) || limits.receiveMaximum
  else if (id === 34) limits.topicAliasMaximum = uint16(bytes, at)
  else if (id === 39) limits.maximumPacketSize = bytes.readUInt32BE(at) || limits.maximumPacketSize
}
