// The state both directions of one connection share: who may speak now, in which version, and on what terms.

import { AuthFlow } from './auth-flow.ts'
import { readConnect } from './connect.ts'
import { Messages, checkClass } from './messages.ts'
import {
  checkConnackTerms,
  checkConnectTerms,
  checkDisconnectTerms,
  checkProblemInformation,
  checkPublishTerms,
  checkSize,
} from './negotiation.ts'
import { PacketType, type Direction, type Version } from './packet.ts'
import type { PublishView } from './publish.ts'
import { checkDollar } from './dollar.ts'
import { Rate, type Churn } from './rate.ts'
import { fault, type Outcome } from './rule.ts'
import { classOf, unclassed, type DeviceClass, type Rulebook } from './rulebook.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { Terms } from './terms.ts'

const { connect, connack, pubcomp, subscribe, suback, unsubscribe, unsuback } = PacketType
const { pingreq, pingresp, disconnect, auth } = PacketType

/** What a session shares with others of its listener, and the time. */
export interface Surroundings {
  readonly book: Rulebook
  readonly churn: Churn
  /** Milliseconds, monotonic; may be as coarse as a quarter of a second. */
  readonly clock: () => number
}

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
  /** Of the device, by its client identifier. */
  deviceClass: DeviceClass = unclassed
  readonly around: Surroundings
  /** PINGREQs that wait for their answer. */
  #pings = 0
  /** Whether CONNECT was accepted and nobody has said DISCONNECT. */
  #isFlowing = false
  /** Whether the session existed before this connection; before CONNACK nobody knows. */
  #resumed = true
  #terms = ordinary
  #auth: AuthFlow | undefined
  #messages: Messages | undefined
  #rate: Rate | undefined

  constructor(around: Surroundings) {
    this.around = around
  }

  /** Whether one side has had its last word: the connection has to be closed (3.14.4, 3.2.2.2). */
  get isOver(): boolean {
    return this.deviceLeft || this.brokerLeft || this.connackCode > 0
  }

  /** Whether a packet of this type may come now; returns an offset or a fault. Changes nothing. */
  admit(type: number, at: number, scope: Scope): Outcome {
    // Nearly every packet of nearly every session: CONNECT was accepted, and nobody has taken leave.
    if (this.#isFlowing && (anytime & (1 << type)) !== 0) return at
    return scope.direction === 'up' ? this.#admitUp(type, at, scope) : this.#admitDown(type, at, scope)
  }

  /** Judges a packet whose body passed, PUBLISH excepted, by what was said before, and takes note of it. */
  check(type: number, bytes: Buffer, at: number, body: number, end: number, scope: Scope): Outcome {
    if (type === connect) return this.#checkConnect(bytes, body, end, scope)
    if (type === connack) return this.#checkConnack(bytes, at, body, end, scope)
    const { version } = this
    const terms = this.#terms
    let outcome = version === 5 ? this.#checkTerms(type, end - at, at, scope) : 0
    if (outcome < 0) return outcome
    outcome = this.#checkReceived(end - at, at, scope)
    if (outcome < 0 || type === pingreq || type === pingresp) return outcome
    if (type === disconnect)
      return scope.direction === 'up' && version === 5 ? checkDisconnectTerms(terms, bytes, scope) : 0
    if (type === auth) return this.#authFlow().packet(bytes, body, end, this.connackCode >= 0, scope)
    const messages = this.#ofMessages()
    if (type <= pubcomp) return messages.acknowledge(type, bytes, body, end, scope)
    if (type === subscribe || type === unsubscribe)
      return messages.request(type, bytes, body, end, version, terms, scope)
    return type === suback || type === unsuback
      ? messages.answer(type, bytes, body, end, version, scope)
      : outcome
  }

  /** Judges a PUBLISH whose head passed; `end` is where its payload ends, or will. */
  checkPublish(
    view: PublishView,
    bytes: Buffer,
    at: number,
    body: number,
    end: number,
    scope: Scope,
  ): Outcome {
    const { version, deviceClass } = this
    const isUp = scope.direction === 'up'
    let outcome = 0
    if (version === 5) {
      outcome = checkSize(this.#terms, end - at, scope, at)
      if (outcome >= 0 && isUp) outcome = checkPublishTerms(this.#terms, bytes[at]!, scope, at)
      if (outcome >= 0 && view.alias > 0) outcome = this.#ofMessages().resolve(view, this.#terms, scope, body)
    }
    if (outcome >= 0 && deviceClass !== unclassed) {
      outcome = checkClass(view, deviceClass, body, end, scope)
      if (outcome >= 0) outcome = this.#checkReceived(end - at, at, scope)
    }
    if (outcome >= 0 && isUp) outcome = checkDollar(view, body, scope)
    if (outcome >= 0 && scope.countsMessages) outcome = this.#checkRate(scope, at)
    if (outcome < 0 || (isUp && view.qos === 0)) return outcome
    return this.#ofMessages().publish(view, version, this.#terms, end - body, scope, body)
  }

  /** Takes note of a packet that passed every check; `bytes` and `body` point at its variable header. */
  advance(type: number, bytes: Uint8Array, body: number): void {
    if (type === pingreq) this.#pings += 1
    else if (type === pingresp) this.#pings = Math.max(0, this.#pings - 1)
    else if (type === connack) {
      this.connackCode = bytes[body + 1]!
      this.#isFlowing = this.connackCode === 0 && !this.deviceLeft
    } else if (type === connect)
      this.version = bytes[body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)] as Version
  }

  /** Takes note of a DISCONNECT that passed every check. */
  leave(direction: Direction): void {
    this.#isFlowing = false
    if (direction === 'up') this.deviceLeft = true
    else this.brokerLeft = true
  }

  #admitUp(type: number, at: number, scope: Scope): Outcome {
    if (this.version === 0) return type === connect ? at : fault(rules.firstNotConnect, at)
    if (type === connect) return fault(rules.secondConnect, at)
    if (this.deviceLeft) return fault(rules.afterDisconnect, at)
    return this.connackCode < 0 && this.#auth !== undefined ? this.#auth.checkWait(type, scope, at) : at
  }

  #admitDown(type: number, at: number, scope: Scope): Outcome {
    if (this.brokerLeft) return fault(rules.afterDisconnect, at)
    if (this.connackCode < 0) {
      return type === connack || type === auth ? at : fault(rules.firstNotConnack, at)
    }
    if (type === connack) return fault(rules.secondConnack, at)
    if (this.connackCode > 0) return fault(rules.afterRefusal, at)
    return type === pingresp && this.#pings === 0 ? scope.breaks(rules.pingrespUnasked, at) : at
  }

  #checkConnect(bytes: Buffer, body: number, end: number, scope: Scope): Outcome {
    const { version, clientId } = readConnect(bytes, body, end)
    const { book, churn, clock } = this.around
    this.deviceClass = classOf(clientId, book.classes)
    this.#terms = new Terms()
    this.#terms.readConnect(bytes, body, version)
    if (this.#terms.method !== undefined) this.#auth = new AuthFlow(this.#terms.method)
    let outcome = version === 5 ? checkConnectTerms(this.#terms, scope, body) : 0
    const connects = clientId === '' ? 0 : churn.count(clientId, clock())
    if (outcome >= 0 && connects > book.limits.clientIdChurn)
      outcome = scope.breaks(rules.clientIdChurn, body)
    return outcome
  }

  #checkConnack(bytes: Buffer, at: number, body: number, end: number, scope: Scope): Outcome {
    const { version } = this
    const terms = this.#terms
    if (version === 5) terms.readConnack(bytes, body, end)
    let outcome = checkConnackTerms(terms, bytes, body, version, scope)
    if (outcome >= 0 && version === 5) {
      outcome = checkSize(terms, end - at, scope, at)
      if (outcome >= 0 && body + 2 < end) outcome = this.#authFlow().settle(bytes, body, scope)
    }
    if (outcome >= 0) outcome = this.#checkReceived(end - at, at, scope)
    // MQTT 3.1 does not tell whether a session was there; only a clean one certainly was not.
    const resumed = version === 3 ? !terms.clean : (bytes[body]! & 1) === 1
    this.#resumed = resumed
    this.#messages?.begin(resumed)
    // Before MQTT 5.0 there is nothing in them that anybody asks for again.
    if (version !== 5) this.#terms = ordinary
    return outcome
  }

  #checkTerms(type: number, size: number, at: number, scope: Scope): Outcome {
    const outcome = checkSize(this.#terms, size, scope, at)
    return outcome < 0 || scope.direction === 'up'
      ? outcome
      : checkProblemInformation(this.#terms, type, scope, at)
  }

  /** `size` is that of the whole packet. */
  #checkReceived(size: number, at: number, scope: Scope): Outcome {
    if (scope.direction === 'up' || size <= this.deviceClass.maxReceived) return 0
    return scope.breaks(rules.receivedBytes, at)
  }

  #checkRate(scope: Scope, at: number): Outcome {
    this.#rate ??= new Rate()
    const count = this.#rate.count(scope.direction, this.around.clock())
    return count > scope.book.limits.publishRate ? scope.breaks(rules.publishRate, at) : 0
  }

  #authFlow(): AuthFlow {
    return (this.#auth ??= new AuthFlow(undefined))
  }

  #ofMessages(): Messages {
    return (this.#messages ??= new Messages(this.#resumed))
  }
}

/** The terms of who has told none; never written to. */
const ordinary = new Terms()

/** Packets that may come at any time while messages flow. */
const anytime = 0xffff & ~((1 << connect) | (1 << connack) | (1 << pingresp))

/** Whether packets of this type change the state; PUBLISH and its acknowledgements do not. */
export const stateful = (1 << connect) | (1 << connack) | (1 << pingreq) | (1 << pingresp) | (1 << disconnect)
