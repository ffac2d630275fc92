// Strings on the wire: UTF-8 encoded strings, topic names and topic filters, checked where they lie.

import { fault, type Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'

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
export function checkString(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const next = checkBinary(bytes, at, end)
  return next < 0 ? next : checkUtf8(bytes, at + 2, next, scope)
}

/** Checks a length-prefixed topic name: at least one character and no wildcard (MQTT-4.7.3-1, MQTT-3.3.2-2). */
export function checkTopicName(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const next = checkBinary(bytes, at, end)
  if (next < 0) return next
  if (next === at + 2) {
    const empty = scope.breaks(rules.topicEmpty, at)
    if (empty < 0) return empty
  }
  return checkTopicCharacters(bytes, at + 2, next, scope)
}

/** Checks the characters of a topic name that is not length-checked here; returns `end`. */
export function checkTopicCharacters(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!
    // Letters, digits, the slash and all other ASCII above the plus sign: nearly every character of nearly every topic.
    if (byte > 0x2b && byte < 0x7f) continue
    if (byte > 0x1f && byte !== 0x23 && byte !== 0x2b && byte < 0x7f) continue
    if (byte === 0x23 || byte === 0x2b) {
      const wildcard = scope.breaks(rules.topicWildcard, at)
      if (wildcard < 0) return wildcard
      continue
    }
    const next = checkUnusual(bytes, at, end, scope)
    if (next < 0) return next
    at = next - 1
  }
  // So short a topic cannot have too many levels.
  if (end - from < scope.mostLevels && !scope.seeksMarkup) return end
  return checkTopicPolicy(bytes, from, end, scope)
}

/** Checks a length-prefixed topic filter, shared or not (MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-4.8.2-1). */
export function checkTopicFilter(
  bytes: Uint8Array,
  at: number,
  end: number,
  shares: boolean,
  scope: Scope,
): Outcome {
  const next = checkString(bytes, at, end, scope)
  if (next < 0) return next
  let from = at + 2
  if (from === next) {
    const empty = scope.breaks(rules.topicEmpty, at)
    return empty < 0 ? empty : next
  }
  if (shares && isShared(bytes, at)) {
    from = checkShareName(bytes, from, next, scope)
    if (from < 0) return from
  }
  const outcome = checkWildcards(bytes, from, next, scope)
  return outcome < 0 ? outcome : checkTopicPolicy(bytes, from, next, scope)
}

/** Whether the length-prefixed filter at `at` starts with `$share/` (MQTT 5.0, 4.8.2); the string was checked. */
export function isShared(bytes: Uint8Array, at: number): boolean {
  return startsWith(bytes, at + 2, at + 2 + uint16(bytes, at), share)
}

/** Where a filter begins behind `$share/{name}/`, or behind the `$queue/` that some brokers have for 3.1.1. */
export function bareFilter(bytes: Uint8Array, from: number, end: number): number {
  if (startsWith(bytes, from, end, queue)) return from + queue.length
  if (!startsWith(bytes, from, end, share)) return from
  let slash = from + share.length
  while (slash < end && bytes[slash] !== 0x2f) slash++
  return slash === end ? from : slash + 1
}

const share = Buffer.from('$share/')
const queue = Buffer.from('$queue/')

function startsWith(bytes: Uint8Array, from: number, end: number, prefix: Uint8Array): boolean {
  if (end - from < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (bytes[from + i] !== prefix[i]) return false
  return true
}

/** Returns where the filter behind `$share/{name}/` begins. */
function checkShareName(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  const name = from + share.length
  let at = name
  while (at < end && bytes[at] !== 0x2f) {
    if (bytes[at] === 0x23 || bytes[at] === 0x2b) {
      const outcome = scope.breaks(rules.shareName, at)
      if (outcome < 0) return outcome
    }
    at++
  }
  if (at > name && at + 1 < end) return at + 1
  const outcome = scope.breaks(rules.shareName, at < end ? at : end - 1)
  return outcome < 0 ? outcome : Math.min(at + 1, end)
}

function checkWildcards(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]
    if (byte !== 0x23 && byte !== 0x2b) continue
    const opens = at === from || bytes[at - 1] === 0x2f
    const closes = at + 1 === end || (byte === 0x2b && bytes[at + 1] === 0x2f)
    if (opens && closes) continue
    const outcome = scope.breaks(rules.filterWildcard, at)
    if (outcome < 0) return outcome
  }
  return end
}

/** What no standard demands of a topic name or filter: few enough levels, and no characters of markup. */
function checkTopicPolicy(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  const most = scope.mostLevels
  // So short a topic cannot have so many levels.
  if (end - from >= most) {
    let levels = 1
    for (let at = from; at < end; at++) {
      if (bytes[at] !== 0x2f || ++levels <= most) continue
      const outcome = scope.breaks(rules.topicLevels, at)
      if (outcome < 0) return outcome
      break
    }
  }
  return scope.seeksMarkup ? checkMarkup(bytes, from, end, scope) : end
}

/** Characters that end up in consoles as markup, or in brokers as regular expressions. */
const markup = characterSet('<>"\'`\\^|()[]{}*')

function checkMarkup(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  for (let at = from; at < end; at++) {
    if (markup[bytes[at]!] !== 1) continue
    const outcome = scope.breaks(rules.topicCharacters, at)
    return outcome < 0 ? outcome : end
  }
  return end
}

/** 1 at the code of every character of an ASCII text. */
export function characterSet(text: string): Uint8Array {
  const set = new Uint8Array(256)
  for (const character of text) set[character.charCodeAt(0)] = 1
  return set
}

/** Well-formed UTF-8 without U+0000, as the Unicode standard's table 3-7 has it; returns `end`. */
function checkUtf8(bytes: Uint8Array, from: number, end: number, scope: Scope): Outcome {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!
    if (byte > 0x1f && byte < 0x7f) continue
    const next = checkUnusual(bytes, at, end, scope)
    if (next < 0) return next
    at = next - 1
  }
  return end
}

/** Checks what is not a printable ASCII character; returns the offset behind it, or `end` where the rest is let be. */
function checkUnusual(bytes: Uint8Array, at: number, end: number, scope: Scope): Outcome {
  const byte = bytes[at]!
  const size = byte < 0x80 ? 1 : multibyteSize(bytes, at, end)
  const rule =
    byte === 0
      ? rules.utf8Nul
      : size === 0
        ? rules.utf8Invalid
        : isDiscouraged(bytes, at, size)
          ? rules.utf8Control
          : undefined
  if (rule === undefined) return at + size
  const outcome = scope.breaks(rule, at)
  return outcome < 0 ? outcome : at + Math.max(size, 1)
}

/** The length of one sequence of two to four bytes; 0 for overlong forms, surrogates and what lies beyond U+10FFFF. */
function multibyteSize(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!
  const size =
    lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0
  if (size === 0 || at + size > end) return 0
  const second = bytes[at + 1]!
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return 0
  for (let i = 2; i < size; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0
  return size
}

/** Control characters and noncharacters, which a receiver may refuse (MQTT 5.0, 1.5.4); the sequence is well-formed. */
function isDiscouraged(bytes: Uint8Array, at: number, size: number): boolean {
  const lead = bytes[at]!
  const last = bytes[at + size - 1]!
  if (size === 1) return lead < 0x20 || lead === 0x7f
  if (size === 2) return lead === 0xc2 && last < 0xa0
  // U+xxFFFE and U+xxFFFF of every plane, and U+FDD0 to U+FDEF.
  if (last >= 0xbe && bytes[at + size - 2] === 0xbf)
    return size === 3 ? lead === 0xef : (bytes[at + 1]! & 0x0f) === 0x0f
  return size === 3 && lead === 0xef && bytes[at + 1] === 0xb7 && last >= 0x90 && last <= 0xaf
}
