// Reads Mosquitto's own packet sequences (its test/broker/data and test/lib/data): what is sent, and who must hang up.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Level } from '../help/packets.ts'

/** `broker`: sequences of a client towards a broker; `lib`: of a broker towards a client. */
export type Side = 'broker' | 'lib'

export interface Message {
  /** `send`: by the side under test; `recv`: expected of the other; `external`: another client publishes. */
  readonly kind: 'send' | 'recv' | 'external'
  readonly bytes: Buffer
  readonly topic: string
  readonly qos: 0 | 1 | 2
}

export interface Sequence {
  readonly side: Side
  /** `PUBLISH.json, v5.0 PUBLISH, 30 topic 0`. */
  readonly name: string
  readonly version: Level
  /** Whether an ordinary CONNECT comes first, and an ordinary CONNACK. */
  readonly connect: boolean
  readonly connack: boolean
  /** What the client under test of a `lib` sequence does first: `subscribe`, `unsubscribe`, `publish-1`, …. */
  readonly command: string | undefined
  readonly messages: readonly Message[]
  readonly mustDisconnect: boolean
}

/** The files as they are in Mosquitto's repository; unknown keys are none of our business. */
interface Test {
  readonly name: string
  readonly ver?: number
  readonly connect?: boolean
  readonly connack?: boolean
  readonly expect_disconnect?: boolean
  readonly msgs?: readonly { readonly type: string; readonly payload: string; topic?: string; qos?: number }[]
}

interface Group extends Omit<Test, 'name' | 'msgs'> {
  readonly group: string
  readonly command?: string
  readonly group_msgs?: Test['msgs']
  readonly tests: readonly Test[]
}

/** All sequences of a folder that holds `broker/` and `lib/`. */
export function loadSequences(folder: string): Sequence[] {
  return (['broker', 'lib'] as const).flatMap((side) =>
    readdirSync(join(folder, side))
      .filter((file) => file.endsWith('.json'))
      .toSorted()
      .flatMap((file) => {
        const groups = JSON.parse(readFileSync(join(folder, side, file), 'utf8')) as Group[]
        return groups.flatMap((group) => group.tests.map((test) => sequence(side, file, group, test)))
      }),
  )
}

function sequence(side: Side, file: string, group: Group, test: Test): Sequence {
  const version = test.ver ?? group.ver ?? 4
  if (version !== 3 && version !== 4 && version !== 5) throw new RangeError(`version ${version} in ${file}`)
  return {
    side,
    name: `${file}, ${group.group.replaceAll(/\s+/g, ' ')}, ${test.name}`,
    version,
    connect: test.connect ?? group.connect ?? true,
    connack: test.connack ?? group.connack ?? true,
    command: group.command,
    messages: [...(group.group_msgs ?? []), ...(test.msgs ?? [])].map(({ type, payload, topic, qos }) => ({
      kind: type === 'send' || type === 'recv' ? type : 'external',
      bytes: type === 'send' || type === 'recv' ? parsePayload(payload) : Buffer.from(payload),
      topic: topic ?? '',
      qos: qos === 1 || qos === 2 ? qos : 0,
    })),
    mustDisconnect: test.expect_disconnect ?? group.expect_disconnect ?? true,
  }
}

/**
 * Words parted by spaces: hex bytes; `iN` one byte; `HN`, `kN`, `mN`, `sN` two bytes; `LN` four; `rN`, `vN` a variable
 * byte integer; `'text'` its UTF-8 bytes.
 */
export function parsePayload(text: string): Buffer {
  return Buffer.concat(Array.from(text.matchAll(/'[^']*'|\S+/g), ([word]) => parseWord(word)))
}

function parseWord(word: string): Buffer {
  if (word.startsWith("'")) return Buffer.from(word.slice(1, -1), 'utf8')
  const number = Number(word.slice(1))
  switch (word[0]) {
    case 'i':
      return Buffer.of(number)
    case 'H':
    case 'k':
    case 'm':
    case 's':
      return Buffer.of(number >> 8, number & 0xff)
    case 'L': {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(number)
      return bytes
    }
    case 'r':
    case 'v':
      return variableByteInteger(number)
    default:
      if (!/^([0-9a-f]{2})+$/i.test(word)) throw new RangeError(`not bytes: "${word}"`)
      return Buffer.from(word, 'hex')
  }
}

function variableByteInteger(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  do {
    const digit = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? digit | 0x80 : digit)
  } while (left > 0)
  return Buffer.from(bytes)
}
