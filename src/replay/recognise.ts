// What a connection in a capture speaks, told by its first bytes on any port; where none of ours listens, more is asked of them.

import { sniff, type Sniffed } from '../net/sniff.ts'

const names = ['MQTT', 'MQIsdp']

/**
 * As `sniff`, but a first byte in which many a protocol could begin is taken for that of CONNECT only where the name of
 * the protocol follows.
 */
export function recognise(bytes: Uint8Array): Sniffed {
  const sniffed = sniff(bytes)
  if (sniffed === 'more' || sniffed.kind !== 'mqtt') return sniffed
  let at = 1
  while (at < 5 && (bytes[at] ?? 0) >= 0x80) at++
  at++
  let undecided = false
  for (const name of names) {
    const wanted = `\0${String.fromCharCode(name.length)}${name}`
    let i = 0
    while (i < wanted.length && at + i < bytes.length && bytes[at + i] === wanted.charCodeAt(i)) i++
    if (i === wanted.length) return sniffed
    if (at + i >= bytes.length) undecided = true
  }
  return undecided ? 'more' : unknown
}

const unknown: Sniffed = { kind: 'other', name: 'unknown' }
