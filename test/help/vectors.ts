// Reads test vectors: bytes by hand, what the core must say of them, and the clause that says so.

import { readdirSync, readFileSync } from 'node:fs'
import type { FrameLimits } from '../../src/mqtt/rulebook.ts'
import type { Direction } from '../../src/mqtt/packet.ts'
import type { Step } from './judge.ts'
import { connackPacket, connectPacket, type Level } from './packets.ts'

export interface Vector {
  /** `topic-empty:12 v5 up`: the file's rule, the line where the vector begins, version and direction. */
  readonly name: string
  /** The rule its file is named after. */
  readonly rule: string
  readonly version: Level
  readonly direction: Direction
  /** Undefined where the bytes must pass. */
  readonly refuse: { readonly rule: string; readonly at: number } | undefined
  readonly clause: string
  readonly comment: string
  readonly limits: FrameLimits
  /** What passed on this connection before, handshake included. */
  readonly before: readonly Step[]
  readonly bytes: Buffer
}

/** Small enough to be reached by a vector, large enough for all that do not mean to. */
export const vectorLimits: FrameLimits = { connect: 512, control: 1024, publish: 4096 }

/** All vectors of a folder of `RULE-ID.txt` files, by rule id. */
export function loadVectors(folder: URL): Map<string, Vector[]> {
  const files = readdirSync(folder).toSorted()
  return new Map(
    files.map((file) => {
      const rule = file.replace(/\.txt$/, '')
      return [rule, parseVectors(readFileSync(new URL(file, folder), 'utf8'), rule)]
    }),
  )
}

/**
 * A file holds vectors parted by lines of `---`. A vector is headers, an empty line, and bytes; `#` begins a comment
 * line. One that names several versions or directions stands for each of them. Errors name the file and line.
 */
export function parseVectors(text: string, rule: string): Vector[] {
  const vectors: Vector[] = []
  let lines: string[] = []
  let start = 1
  const all = [...text.split('\n'), '---']
  all.forEach((line, index) => {
    if (line !== '---') lines.push(line.startsWith('#') ? '' : line)
    else {
      if (lines.some((one) => one !== '')) vectors.push(...parseVector(lines, rule, start))
      lines = []
      start = index + 2
    }
  })
  return vectors
}

const known = new Set([
  'version',
  'direction',
  'expect',
  'clause',
  'comment',
  'limits',
  'handshake',
  'before-up',
  'before-down',
])

function parseVector(lines: readonly string[], rule: string, start: number): Vector[] {
  const from = lines.findIndex((line) => line !== '')
  const gap = lines.indexOf('', from)
  const name = `${rule}:${start + from}`
  const headers = new Map<string, string>()
  const before: Step[] = []
  for (const line of lines.slice(from, gap < 0 ? undefined : gap)) {
    const [, key = '', value = ''] = /^([a-z-]+): *(.*)$/.exec(line) ?? []
    if (!known.has(key)) throw new Error(`${name}: not a header: "${line}"`)
    if (key === 'before-up') before.push({ direction: 'up', bytes: parseBytes(value, name) })
    else if (key === 'before-down') before.push({ direction: 'down', bytes: parseBytes(value, name) })
    else if (headers.has(key)) throw new Error(`${name}: header twice: "${key}"`)
    else headers.set(key, value)
  }
  const need = (key: string): string => {
    const value = headers.get(key)
    if (value === undefined || value === '') throw new Error(`${name}: no header "${key}"`)
    return value
  }
  const bytes = parseBytes(gap < 0 ? '' : lines.slice(gap).join('\n'), name)
  if (bytes.length === 0) throw new Error(`${name}: no bytes`)
  const shared = {
    rule,
    refuse: parseExpectation(need('expect'), name),
    clause: need('clause'),
    comment: need('comment'),
    limits: parseLimits(headers.get('limits') ?? '', name),
    bytes,
  }
  const directions = need('direction').split(' ')
  return need('version')
    .split(' ')
    .flatMap((word) => {
      const version = parseVersion(word, name)
      const steps = [...handshake(headers.get('handshake') ?? 'full', version, name), ...before]
      return directions.map((direction) => ({
        ...shared,
        name: `${name} v${word} ${direction}`,
        version,
        direction: parseDirection(direction, name),
        before: steps,
      }))
    })
}

function parseVersion(word: string, name: string): Level {
  if (word === '3' || word === '4' || word === '5') return Number(word) as Level
  throw new Error(`${name}: not a version: "${word}"`)
}

function parseDirection(word: string, name: string): Direction {
  if (word === 'up' || word === 'down') return word
  throw new Error(`${name}: not a direction: "${word}"`)
}

function parseExpectation(text: string, name: string): Vector['refuse'] {
  if (text === 'pass') return undefined
  const [, rule, at] = /^refuse ([a-z0-9-]+) @(\d+)$/.exec(text) ?? []
  if (rule === undefined) throw new Error(`${name}: not an expectation: "${text}"`)
  return { rule, at: Number(at) }
}

/** `connect=40 publish=64`. */
function parseLimits(text: string, name: string): FrameLimits {
  const given = text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => {
      const [, key = '', value] = /^(connect|control|publish)=(\d+)$/.exec(word) ?? []
      if (key === '') throw new Error(`${name}: not a limit: "${word}"`)
      return [key, Number(value)] as const
    })
  return { ...vectorLimits, ...Object.fromEntries(given) }
}

/** `full`: CONNECT and an accepting CONNACK came first; `connect`: only CONNECT; `none`: nothing. */
function handshake(text: string, version: Level, name: string): Step[] {
  const connect: Step = { direction: 'up', bytes: connectPacket({ version }) }
  if (text === 'none') return []
  if (text === 'connect') return [connect]
  if (text === 'full') return [connect, { direction: 'down', bytes: connackPacket(version) }]
  throw new Error(`${name}: not a handshake: "${text}"`)
}

/** Hex bytes with free white space, `'quoted text'` as UTF-8, and `61*300` for a byte three hundred times. */
function parseBytes(text: string, name: string): Buffer {
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
