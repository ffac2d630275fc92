// The messages of a connection: what is in flight both ways, topic aliases, and what the device has subscribed to.

import { TopicAliases } from './aliases.ts'
import { checkDollarFilter } from './dollar.ts'
import { Filters } from './filters.ts'
import { Flows, isAcknowledgement } from './flows.ts'
import { Stage } from './in-flight.ts'
import { PacketType, type Direction, type Version } from './packet.ts'
import { skipVarint, varintAt } from './properties.ts'
import type { PublishView } from './publish.ts'
import { fault, type Outcome } from './rule.ts'
import type { DeviceClass } from './rulebook.ts'
import { rules } from './rules.ts'
import { Requests } from './requests.ts'
import type { Scope } from './scope.ts'
import type { Terms } from './terms.ts'
import { bareFilter, isShared, uint16 } from './text.ts'

const { pubrel, subscribe, suback } = PacketType

export class Messages {
  /** Whether the session existed before this connection, or may have. */
  #resumed: boolean
  readonly #flows: Record<Direction, Flows | undefined> = { up: undefined, down: undefined }
  readonly #aliases: Record<Direction, TopicAliases | undefined> = { up: undefined, down: undefined }
  #filters: Filters | undefined
  #requests: Requests | undefined

  constructor(resumed: boolean) {
    this.#resumed = resumed
  }

  /** CONNACK came: messages and subscriptions of earlier connections live on, or they do not. */
  begin(resumed: boolean): void {
    this.#resumed = resumed
    for (const flows of [this.#flows.up, this.#flows.down]) if (flows !== undefined) flows.resumes = resumed
  }

  /** Resolves the alias of a PUBLISH that passed its own checks; `body` is where its topic begins. */
  resolve(view: PublishView, terms: Terms, scope: Scope, body: number): Outcome {
    const { alias } = view
    if (alias === 0) return 0
    const { direction } = scope
    const most = direction === 'up' ? terms.broker.topicAliasMaximum : terms.device.topicAliasMaximum
    let outcome = 0
    if (alias > most) {
      outcome = scope.breaks(most > 0 ? rules.topicAliasRange : rules.topicAliasUnasked, body)
      if (outcome < 0) return outcome
    }
    const aliases = (this.#aliases[direction] ??= new TopicAliases())
    if (view.to > view.from) {
      const kept = aliases.set(alias, view.topic, view.from, view.to, scope.book.limits)
      return kept ? 0 : scope.breaks(rules.topicAliasLimit, body)
    }
    // There was no room for it, and that is let pass: the topic stays empty, and nothing is judged by it.
    if (aliases.isForgotten(alias)) return 0
    const topic = aliases.get(alias)
    // Fixed: who does not know the topic cannot judge the message, and its receiver must not guess either.
    if (topic === undefined) return fault(rules.topicAliasUnknown, body)
    view.topic = topic
    view.from = 0
    view.to = topic.length
    return 0
  }

  /** A PUBLISH whose alias is resolved. */
  publish(
    view: PublishView,
    version: Version,
    terms: Terms,
    size: number,
    scope: Scope,
    at: number,
  ): Outcome {
    const { direction } = scope
    if (direction === 'down') {
      const outcome = this.#deliver(view, scope, at)
      if (outcome < 0) return outcome
    }
    if (view.qos === 0 || view.packetId === 0) return 0
    const receiver = direction === 'up' ? terms.broker : terms.device
    return this.#of(direction).publish(view, version, receiver.receiveMaximum, size, scope, at)
  }

  /** PUBACK, PUBREC, PUBREL or PUBCOMP; `body` is where its packet identifier lies. */
  acknowledge(type: number, bytes: Buffer, body: number, end: number, scope: Scope): Outcome {
    const id = uint16(bytes, body)
    if (id === 0) return 0
    if (type === pubrel) return this.#of(scope.direction).release(id, scope, body)
    const code = end - body > 2 ? bytes[body + 2]! : 0
    const sender = scope.direction === 'up' ? 'down' : 'up'
    return isAcknowledgement(type) ? this.#of(sender).acknowledge(id, type, code, scope, body) : 0
  }

  /** SUBSCRIBE or UNSUBSCRIBE. */
  request(
    type: number,
    bytes: Buffer,
    body: number,
    end: number,
    version: Version,
    terms: Terms,
    scope: Scope,
  ): Outcome {
    const id = uint16(bytes, body)
    const isSubscribe = type === subscribe
    const from = behindProperties(bytes, body, end, version)
    if (id !== 0) {
      const stage = isSubscribe ? Stage.suback : Stage.unsuback
      const outcome = this.#of('up').request(id, stage, scope, body)
      if (outcome < 0) return outcome
      this.#requests ??= new Requests()
      this.#requests.add(id, type, bytes, from, end)
    }
    return this.#noteFilters(bytes, from, end, isSubscribe, version, terms, scope)
  }

  /** SUBACK or UNSUBACK. */
  answer(type: number, bytes: Buffer, body: number, end: number, version: Version, scope: Scope): Outcome {
    const id = uint16(bytes, body)
    if (id === 0) return 0
    const outcome = this.#of('up').answer(id, type, scope, body)
    if (outcome < 0 || this.#requests === undefined) return outcome
    const from = behindProperties(bytes, body, end, version)
    if (type === suback || (version === 5 && from < end))
      return this.#requests.settle(id, type, bytes, from, end, scope)
    // UNSUBACK has no codes before MQTT 5.0; in it, the lack of any was told of already.
    this.#requests.answered(id)
    return outcome
  }

  #noteFilters(
    bytes: Buffer,
    from: number,
    end: number,
    isSubscribe: boolean,
    version: Version,
    terms: Terms,
    scope: Scope,
  ): Outcome {
    const filters = (this.#filters ??= new Filters())
    if (isSubscribe && scope.subscriptionId > 0) {
      filters.addIdentifier(scope.subscriptionId)
      if (!terms.subscriptionIdsAvailable) {
        const outcome = scope.breaks(rules.subscriptionIdNotSupported, from)
        if (outcome < 0) return outcome
      }
    }
    for (let at = from; at < end;) {
      const to = at + 2 + uint16(bytes, at)
      if (!isSubscribe) filters.remove(bytes, at + 2, to)
      else {
        const outcome = this.#noteFilter(bytes, at, to, version, terms, scope)
        if (outcome < 0) return outcome
      }
      at = isSubscribe ? to + 1 : to
    }
    return end
  }

  #noteFilter(bytes: Buffer, at: number, to: number, version: Version, terms: Terms, scope: Scope): Outcome {
    const bare = bareFilter(bytes, at + 2, to)
    const dollar = checkDollarFilter(bytes, bare, to, bare, scope)
    if (dollar < 0) return dollar
    const both = this.#filters!.add(bytes, at + 2, to)
    let outcome = both ? scope.breaks(rules.sharedAndPlain, at) : 0
    if (outcome < 0 || version !== 5) return outcome
    if (!terms.sharedAvailable && isShared(bytes, at)) outcome = scope.breaks(rules.sharedNotSupported, at)
    if (outcome >= 0 && !terms.wildcardAvailable && hasWildcard(bytes, bare, to))
      outcome = scope.breaks(rules.wildcardNotSupported, at)
    return outcome
  }

  /** What a broker delivers has to have been asked for, as far as anybody here can know. */
  #deliver(view: PublishView, scope: Scope, at: number): Outcome {
    if (this.#resumed || view.to === view.from) return 0
    if (scope.subscriptionId > 0 && this.#filters?.hasIdentifier(scope.subscriptionId) !== true) {
      const outcome = scope.breaks(rules.subscriptionIdUnknown, at)
      if (outcome < 0) return outcome
    }
    if (!scope.watches(rules.deliveryUnasked) && !scope.watches(rules.deliveryByWildcard)) return 0
    const match = this.#filters?.match(view.topic, view.from, view.to) ?? 'none'
    if (match === 'filter') return 0
    return scope.breaks(match === 'dollar' ? rules.deliveryByWildcard : rules.deliveryUnasked, at)
  }

  #of(sender: Direction): Flows {
    let flows = this.#flows[sender]
    if (flows === undefined) {
      flows = this.#flows[sender] = new Flows()
      flows.resumes = this.#resumed
    }
    return flows
  }
}

/** What the class of a device allows of a PUBLISH; `end` is where its payload ends. */
export function checkClass(
  view: PublishView,
  deviceClass: DeviceClass,
  body: number,
  end: number,
  scope: Scope,
): Outcome {
  let outcome = 0
  if (view.to - view.from > deviceClass.maxTopic) outcome = scope.breaks(rules.topicBytes, body)
  if (outcome >= 0 && end - view.payload > deviceClass.maxPayload)
    outcome = scope.breaks(rules.payloadBytes, body)
  return outcome
}

function behindProperties(bytes: Buffer, body: number, end: number, version: Version): number {
  const at = body + 2
  return version === 5 ? skipVarint(bytes, at, end) + varintAt(bytes, at) : at
}

function hasWildcard(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] === 0x23 || bytes[at] === 0x2b) return true
  return false
}
