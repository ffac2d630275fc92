// Bytes as test vectors write them, and CONNECT and CONNACK for vectors that bring none of their own.

import type { Step } from './judge.ts'
import { connackPacket, connectPacket, type Level } from './packets.ts'

/** Hex bytes with free white space, `'quoted text'` as UTF-8, and `61*300` for a byte three hundred times. */
export function parseBytes(text: string, name: string): Buffer {
  const parts: Uint8Array[] = []
  for (const [token] of text.matchAll(/'[^'\n]*'|\S+/g)) {
    const [, byte, times] = /^([0-9a-f]{2})\*(\d+)$/i.exec(token) ?? []
    if (token.startsWith("'") && token.endsWith("'") && token.length > 1) {
      parts.push(Buffer.from(token.slice(1, -1), 'utf8'))
    } else if (byte !== undefined) parts.push(Buffer.alloc(Number(times), Number.parseInt(byte, 16)))
    else if (/^([0-9a-f]{2})+$/i.test(token)) parts.push(Buffer.from(token, 'hex'))
    else throw new Error(`${name}: not bytes: "${token}"`)
  }
  return Buffer.concat(parts)
}

interface Opening {
  /** `full`: CONNECT and an accepting CONNACK came first; `connect`: only CONNECT; `none`: nothing. */
  readonly handshake: string
  /** Instead of the ordinary packets. */
  readonly connect: Buffer | undefined
  readonly connack: Buffer | undefined
}

/** What opened the connection. */
export function openingSteps({ handshake, connect, connack }: Opening, version: Level, name: string): Step[] {
  if (handshake === 'none') return []
  const first: Step = { direction: 'up', bytes: connect ?? connectPacket({ version }) }
  if (handshake === 'connect') return [first]
  if (handshake === 'full') return [first, { direction: 'down', bytes: connack ?? connackPacket(version) }]
  throw new Error(`${name}: not a handshake: "${handshake}"`)
}
