// Strings on the wire: UTF-8 encoded strings, topic names and topic filters, checked where they lie.

import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'

/** Reads a two-byte length at `at`; the caller has made sure that both bytes lie inside the packet. */
export function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** Checks a length-prefixed field of any bytes; returns the offset behind it. */
export function checkBinary(bytes: Uint8Array, at: number, end: number): Outcome {
  if (at + 2 > end) return fault(rules.fieldPastEnd, at)
  const next = at + 2 + uint16(bytes, at)
  return next > end ? fault(rules.fieldPastEnd, at) : next
}

/** Checks a UTF-8 encoded string (MQTT 5.0, 1.5.4); returns the offset behind it. */
export function checkString(bytes: Uint8Array, at: number, end: number): Outcome {
  const next = checkBinary(bytes, at, end)
  return next < 0 ? next : checkUtf8(bytes, at + 2, next)
}

/** Checks a length-prefixed topic name: at least one character and no wildcard (MQTT-4.7.3-1, MQTT-3.3.2-2). */
export function checkTopicName(bytes: Uint8Array, at: number, end: number): Outcome {
  const next = checkBinary(bytes, at, end)
  if (next < 0) return next
  if (next === at + 2) return fault(rules.topicEmpty, at)
  return checkTopicCharacters(bytes, at + 2, next)
}

/** Checks the characters of a topic name that is not length-checked here; returns `end`. */
export function checkTopicCharacters(bytes: Uint8Array, from: number, end: number): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!
    // Letters, digits, the slash and all other ASCII above the plus sign: nearly every character of nearly every topic.
    if (byte > 0x2b && byte < 0x80) continue
    if (byte === 0x23 || byte === 0x2b) return fault(rules.topicWildcard, at)
    if (byte === 0) return fault(rules.utf8Nul, at)
    if (byte >= 0x80) {
      const next = checkMultibyte(bytes, at, end)
      if (next < 0) return next
      at = next - 1
    }
  }
  return end
}

/** Checks a length-prefixed topic filter, shared or not (MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-4.8.2-1). */
export function checkTopicFilter(bytes: Uint8Array, at: number, end: number, shares: boolean): Outcome {
  const next = checkString(bytes, at, end)
  if (next < 0) return next
  let from = at + 2
  if (from === next) return fault(rules.topicEmpty, at)
  if (shares && isShared(bytes, at)) {
    const filter = checkShareName(bytes, from, next)
    if (filter < 0) return filter
    from = filter
  }
  return checkWildcards(bytes, from, next)
}

/** Whether the length-prefixed filter at `at` starts with `$share/` (MQTT 5.0, 4.8.2); the string was checked. */
export function isShared(bytes: Uint8Array, at: number): boolean {
  if (uint16(bytes, at) < share.length) return false
  for (let i = 0; i < share.length; i++) if (bytes[at + 2 + i] !== share[i]) return false
  return true
}

const share = Buffer.from('$share/')

/** Returns where the filter behind `$share/{name}/` begins. */
function checkShareName(bytes: Uint8Array, from: number, end: number): Outcome {
  const name = from + share.length
  let at = name
  while (at < end && bytes[at] !== 0x2f) {
    if (bytes[at] === 0x23 || bytes[at] === 0x2b) return fault(rules.shareName, at)
    at++
  }
  if (at === name || at + 1 >= end) return fault(rules.shareName, at < end ? at : end - 1)
  return at + 1
}

function checkWildcards(bytes: Uint8Array, from: number, end: number): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]
    if (byte !== 0x23 && byte !== 0x2b) continue
    const opens = at === from || bytes[at - 1] === 0x2f
    const closes = at + 1 === end || (byte === 0x2b && bytes[at + 1] === 0x2f)
    if (!opens || !closes) return fault(rules.filterWildcard, at)
  }
  return end
}

/** Well-formed UTF-8 without U+0000, as the Unicode standard's table 3-7 has it; returns `end`. */
function checkUtf8(bytes: Uint8Array, from: number, end: number): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!
    if (byte === 0) return fault(rules.utf8Nul, at)
    if (byte >= 0x80) {
      const next = checkMultibyte(bytes, at, end)
      if (next < 0) return next
      at = next - 1
    }
  }
  return end
}

/** Checks one sequence of two to four bytes; overlong forms, surrogates and what lies beyond U+10FFFF are refused. */
function checkMultibyte(bytes: Uint8Array, at: number, end: number): Outcome {
  const lead = bytes[at]!
  const size =
    lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0
  if (size === 0 || at + size > end) return fault(rules.utf8Invalid, at)
  const second = bytes[at + 1]!
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return fault(rules.utf8Invalid, at)
  for (let i = 2; i < size; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return fault(rules.utf8Invalid, at)
  return at + size
}
