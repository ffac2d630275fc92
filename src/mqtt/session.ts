// The state both directions of one connection share: who may speak now, and in which protocol version.

import { PacketType, type Direction, type Version } from './packet.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'

const { connect, connack, pingreq, pingresp, disconnect, auth } = PacketType

export class SessionState {
  /** Set by the device's CONNECT. */
  version: Version = 0
  /** The version a CONNECT laid claim to that did not pass. */
  claimed: Version = 0
  /** Whether the broker has answered CONNECT, and how: -1 not yet, 0 accepted, else the code of the refusal. */
  connackCode = -1
  /** Whether this side has said DISCONNECT. */
  deviceLeft = false
  brokerLeft = false
  /** PINGREQs that wait for their answer. */
  #pings = 0

  /** Whether a packet of this type may come now; returns `at` or a fault. Changes nothing. */
  admit(type: number, direction: Direction, at: number): Outcome {
    return direction === 'up' ? this.#admitUp(type, at) : this.#admitDown(type, at)
  }

  /** Takes note of a packet that passed every check; `bytes` and `body` point at its variable header. */
  advance(type: number, bytes: Uint8Array, body: number): void {
    if (type === pingreq) this.#pings += 1
    else if (type === pingresp) this.#pings -= 1
    else if (type === connack) this.connackCode = bytes[body + 1]!
    else if (type === connect)
      this.version = bytes[body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)] as Version
  }

  /** Takes note of a DISCONNECT that passed every check. */
  leave(direction: Direction): void {
    if (direction === 'up') this.deviceLeft = true
    else this.brokerLeft = true
  }

  #admitUp(type: number, at: number): Outcome {
    if (this.version === 0) return type === connect ? at : fault(rules.firstNotConnect, at)
    if (type === connect) return fault(rules.secondConnect, at)
    return this.deviceLeft ? fault(rules.afterDisconnect, at) : at
  }

  #admitDown(type: number, at: number): Outcome {
    if (this.brokerLeft) return fault(rules.afterDisconnect, at)
    if (this.connackCode < 0) {
      return type === connack || type === auth ? at : fault(rules.firstNotConnack, at)
    }
    if (type === connack) return fault(rules.secondConnack, at)
    if (this.connackCode > 0) return fault(rules.afterRefusal, at)
    if (type === pingresp && this.#pings === 0) return fault(rules.pingrespUnasked, at)
    return at
  }
}

/** Whether packets of this type change the state; PUBLISH and its acknowledgements do not. */
export const stateful = (1 << connect) | (1 << connack) | (1 << pingreq) | (1 << pingresp) | (1 << disconnect)
