// SUBSCRIBE, UNSUBSCRIBE and their acknowledgements, checked in place.

import { PacketType, type Version } from './packet.ts'
import { checkProperties } from './properties.ts'
import { reasonAllowed } from './reasons.ts'
import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import { checkTopicFilter, isShared, uint16 } from './text.ts'

/** Checks the body of SUBSCRIBE or UNSUBSCRIBE from `at` to `end`; returns `end` or a fault. */
export function checkFilters(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
): Outcome {
  const from = checkHead(bytes, at, end, type, version, 'up')
  if (from < 0) return from
  if (from === end) return fault(rules.noFilter, from)
  let cursor = from
  while (cursor < end) {
    // Shared subscriptions came with MQTT 5.0; before it `$share` is a name like any other, though brokers extend it.
    const next = checkTopicFilter(bytes, cursor, end, version === 5)
    if (next < 0) return next
    if (type === PacketType.subscribe) {
      if (next >= end) return fault(rules.fieldPastEnd, next)
      const options = checkOptions(bytes[next]!, next, version, version === 5 && isShared(bytes, cursor))
      if (options < 0) return options
      cursor = next + 1
    } else cursor = next
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
): Outcome {
  const from = checkHead(bytes, at, end, type, version, 'down')
  if (from < 0) return from
  if (type === PacketType.unsuback && version !== 5)
    return from < end ? fault(rules.trailingBytes, from) : from
  if (from === end) return fault(rules.noReasonCode, from)
  for (let cursor = from; cursor < end; cursor++) {
    if (!reasonAllowed(bytes[cursor]!, type, version, 'down')) return fault(rules.reasonCode, cursor)
  }
  return end
}

function checkHead(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  version: Version,
  direction: 'up' | 'down',
): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  if (uint16(bytes, at) === 0) return fault(rules.packetIdZero, at)
  return version === 5 ? checkProperties(bytes, at + 2, end, type, direction) : at + 2
}

/** Subscription options: bits 0–1 QoS, and in MQTT 5.0 bit 2 No Local, 3 Retain As Published, 4–5 Retain Handling. */
function checkOptions(options: number, at: number, version: Version, shared: boolean): Outcome {
  const reserved = version === 5 ? 0xc0 : 0xfc
  if ((options & reserved) !== 0 || (options & 3) === 3) return fault(rules.subscriptionOptions, at)
  if (version === 5 && (options & 0x30) === 0x30) return fault(rules.subscriptionOptions, at)
  if (shared && (options & 0x04) !== 0) return fault(rules.subscriptionOptions, at) // MQTT-3.8.3-4
  return at
}
