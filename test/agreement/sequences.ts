// Reads Mosquitto's own packet sequences (its test/broker/data and test/lib/data): what is sent, and who must hang up.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../src/errors.ts'
import type { Level } from '../help/packets.ts'

/** `broker`: sequences of a client towards a broker; `lib`: of a broker towards a client. */
export type Side = 'broker' | 'lib'
export const sides = ['broker', 'lib'] as const

export interface Message {
  /**
   * `send`: by the side under test; `recv`: expected of the other; `external`: another client publishes; `hint`: anything
   * else, such as what a client library is told to do, which shows in what is then expected of it.
   */
  readonly kind: 'send' | 'recv' | 'external' | 'hint'
  readonly bytes: Buffer
  readonly topic: string
  readonly qos: 0 | 1 | 2
}

export interface Sequence {
  readonly side: Side
  /** `broker/PUBLISH, v5.0 PUBLISH, 30 topic 0`. */
  readonly name: string
  readonly version: Level
  /** Whether an ordinary CONNECT comes first, and an ordinary CONNACK. */
  readonly connect: boolean
  readonly connack: boolean
  readonly messages: readonly Message[]
  readonly mustDisconnect: boolean
}

/** The files as they are in Mosquitto's repository; unknown keys are none of our business. */
interface Shared {
  readonly ver?: number
  readonly connect?: boolean
  readonly connack?: boolean
  readonly expect_disconnect?: boolean
}

interface RawMessage {
  readonly type: string
  readonly payload?: string
  readonly topic?: string
  readonly qos?: number
}

interface Test extends Shared {
  readonly name: string
  readonly msgs?: readonly RawMessage[]
}

interface Group extends Shared {
  readonly group: string
  readonly disable?: boolean
  /** What comes of the command the client under test was given first. */
  readonly group_msgs?: readonly RawMessage[]
  readonly tests: readonly Test[]
}

/**
 * All sequences of a folder that holds `broker/` and `lib/`, such as the `test/` of a clone.
 * @throws {RangeError} quoting what cannot be read, with its file.
 */
export function loadSequences(folder: string): Sequence[] {
  return sides.flatMap((side) => {
    const data = dataFolder(join(folder, side))
    const files = readdirSync(data).filter((file) => file.endsWith('.json'))
    return files
      .toSorted()
      .flatMap((file) => parseSequences(side, file, readFileSync(join(data, file), 'utf8')))
  })
}

/** In a clone the files lie in `data/`, beside much else. */
function dataFolder(folder: string): string {
  return readdirSync(folder).includes('data') ? join(folder, 'data') : folder
}

/** The sequences of one file; those that Mosquitto leaves out are left out. */
export function parseSequences(side: Side, file: string, text: string): Sequence[] {
  return readGroups(side, file, text)
    .filter(({ disable }) => disable !== true)
    .flatMap((group) => group.tests.map((test) => parseTest(side, file, group, test)))
}

function readGroups(side: Side, file: string, text: string): Group[] {
  try {
    return JSON.parse(text) as Group[]
  } catch (error) {
    throw new RangeError(`${side}/${file}: ${messageOf(error)}`, { cause: error })
  }
}

function parseTest(side: Side, file: string, group: Group, test: Test): Sequence {
  const version = test.ver ?? group.ver ?? 4
  const title = group.group.replaceAll(/\s+/g, ' ')
  const name = `${side}/${file.replace(/\.json$/, '')}, ${title}, ${test.name}`
  try {
    if (version !== 3 && version !== 4 && version !== 5) throw new RangeError(`not a version: "${version}"`)
    return {
      side,
      name,
      version,
      connect: test.connect ?? group.connect ?? true,
      connack: test.connack ?? group.connack ?? true,
      messages: [...(group.group_msgs ?? []), ...(test.msgs ?? [])].map(parseMessage),
      mustDisconnect: test.expect_disconnect ?? group.expect_disconnect ?? true,
    }
  } catch (error) {
    throw new RangeError(`${name}: ${messageOf(error)}`, { cause: error })
  }
}

function parseMessage({ type, payload = '', topic = '', qos }: RawMessage): Message {
  const isOwn = type === 'send' || type === 'recv'
  const isPublish = type === 'publish' || type === 'external_publish'
  return {
    kind: isOwn ? type : isPublish ? 'external' : 'hint',
    bytes: isOwn ? parsePayload(payload) : Buffer.from(payload),
    topic,
    qos: qos === 1 || qos === 2 ? qos : 0,
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
  if (/^'.*'$/s.test(word)) return Buffer.from(word.slice(1, -1), 'utf8')
  if (/^([0-9a-f]{2})+$/i.test(word)) return Buffer.from(word, 'hex')
  const [, kind, digits] = /^([iHkmsLrv])(\d+)$/.exec(word) ?? []
  if (kind === undefined) throw new RangeError(`not bytes: "${word}"`)
  const number = Number(digits)
  if (kind === 'r' || kind === 'v') return variableByteInteger(number)
  const bytes = Buffer.alloc(kind === 'i' ? 1 : kind === 'L' ? 4 : 2)
  bytes.writeUIntBE(number, 0, bytes.length)
  return bytes
}

/** Of as many bytes as it takes, even beyond the four of the standard. */
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
