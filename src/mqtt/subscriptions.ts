// SUBSCRIBE, UNSUBSCRIBE and their acknowledgements, checked in place.

import { finish } from './answers.ts'
import { PacketType, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { reasonAllowed } from './reasons.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { checkTopicFilter, isShared, uint16 } from './text.ts'

/** Checks the body of SUBSCRIBE or UNSUBSCRIBE from `at` to `end`; returns `end` or a fault. */
export function checkFilters(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  scope: Scope,
): Outcome {
  const from = checkHead(bytes, at, end, type, version, scope)
  if (from < 0) return from
  if (from === end) return scope.breaks(rules.noFilter, from)
  let cursor = from
  let filters = 0
  while (cursor < end) {
    if (++filters > scope.book.limits.filters) {
      const outcome = scope.breaks(rules.filterCount, cursor)
      if (outcome < 0) return outcome
    }
    // Shared subscriptions came with MQTT 5.0; before it `$share` is a name like any other, though brokers extend it.
    const next = checkTopicFilter(bytes, cursor, end, version === 5, scope)
    if (next < 0) return next
    // What checkTopicFilter returns is where the string ends, whatever was wrong inside.
    const behind = cursor + 2 + uint16(bytes, cursor)
    if (type === PacketType.subscribe) {
      if (behind >= end) return fault(rules.fieldPastEnd, behind)
      const shared = version === 5 && isShared(bytes, cursor)
      const options = checkOptions(bytes[behind]!, behind, version, shared, scope)
      if (options < 0) return options
      cursor = behind + 1
    } else cursor = behind
  }
  return cursor
}

/** Checks the body of SUBACK or UNSUBACK from `at` to `end`; returns `end` or a fault. */
export function checkFilterAnswers(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  scope: Scope,
): Outcome {
  const from = checkHead(bytes, at, end, type, version, scope)
  if (from < 0) return from
  if (type === PacketType.unsuback && version !== 5) return finish(from, end, scope)
  const isSuback = type === PacketType.suback
  if (from === end) return scope.breaks(isSuback ? rules.noReasonCode : rules.unsubackCodes, from)
  for (let cursor = from; cursor < end; cursor++) {
    if (reasonAllowed(bytes[cursor]!, type, version, 'down')) continue
    const outcome = scope.breaks(isSuback ? rules.reasonCode : rules.unsubackCodes, cursor)
    return outcome < 0 ? outcome : end
  }
  return end
}

function checkHead(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  scope: Scope,
): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  if (uint16(bytes, at) === 0) {
    const outcome = scope.breaks(rules.packetIdZero, at)
    if (outcome < 0) return outcome
  }
  return version === 5 ? checkProperties(bytes, at + 2, end, type, scope) : at + 2
}

/** Subscription options: bits 0–1 QoS, and in MQTT 5.0 bit 2 No Local, 3 Retain As Published, 4–5 Retain Handling. */
function checkOptions(options: number, at: number, version: Version, shared: boolean, scope: Scope): Outcome {
  const reserved = version === 5 ? 0xc0 : 0xfc
  const legal =
    (options & reserved) === 0 &&
    (options & 3) !== 3 &&
    (version !== 5 || (options & 0x30) !== 0x30) &&
    !(shared && (options & 0x04) !== 0) // MQTT-3.8.3-4
  return legal ? at : scope.breaks(rules.subscriptionOptions, at)
}
