// Reads test vectors: bytes by hand, what the core must say of them, and the clause that says so.
//
// A file holds vectors parted by lines of `---`; `#` begins a comment line. A vector is headers, an empty line, and
// the bytes of one packet. The headers:
//
//   version: 3 4            MQTT 3.1, 3.1.1 or 5.0; a vector that names several stands for each
//   direction: up down      from the device, from the broker, or one vector for either
//   expect: pass            or `refuse RULE-ID @OFFSET`, the offset counted from the first byte of the packet
//   clause: MQTT-4.7.3-1    what says so; `3.3 / MQTT-4.7.3-1` gives the section of MQTT 3.1 first
//   comment: …              what is shown
//
// and, where the vector needs more than an ordinary connection:
//
//   connect: 10 …           CONNECT of the device instead of the ordinary one of `pump-7`, clean, without properties
//   connack: 20 …           CONNACK of the broker instead of one that accepts and says no more
//   handshake: connect      CONNACK has not come; `none`: nothing has; `full`, both, where it is left out
//   before-up: 32 …         what the device sent then, and
//   before-down: 40 …       what the broker sent, in the order of the lines
//   earlier: 5              CONNECTs of the same client identifier within the last minute
//   limits: publish=64 resends=2       frame limits and policy limits other than those of the tests
//   class: topic=64 payload=10 received=100   the class of the device: its longest topic, payload and packet

import { readdirSync, readFileSync } from 'node:fs'
import type { Direction } from '../../src/mqtt/packet.ts'
import type { DeviceClass, FrameLimits, PolicyLimits } from '../../src/mqtt/rulebook.ts'
import type { Step } from './judge.ts'
import { openingSteps, parseBytes } from './notation.ts'
import type { Level } from './packets.ts'
import { parseClass, parseCount, parseLimits } from './vector-limits.ts'

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
  /** Those that are not what other tests have. */
  readonly policy: Partial<PolicyLimits>
  readonly classes: readonly DeviceClass[]
  /** CONNECTs of the same client identifier before. */
  readonly earlier: number
  /** What passed on this connection before, handshake included. */
  readonly before: readonly Step[]
  readonly bytes: Buffer
}

/** Small enough to be reached by a vector, large enough for all that do not mean to. */
export const vectorLimits: FrameLimits = { connect: 512, control: 1024, publish: 4096 }

/** All vectors of the `RULE-ID.txt` files of a folder, by rule id. */
export function loadVectors(folder: URL): Map<string, Vector[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'))
  return new Map(
    files.toSorted().map((file) => {
      const rule = file.replace(/\.txt$/, '')
      return [rule, parseVectors(readFileSync(new URL(file, folder), 'utf8'), rule)]
    }),
  )
}

/** The vectors of one file; errors name the file and line. */
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
  'connect',
  'connack',
  'handshake',
  'before-up',
  'before-down',
  'earlier',
  'limits',
  'class',
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
  const own = (key: string): Buffer | undefined =>
    headers.has(key) ? parseBytes(need(key), name) : undefined
  const bytes = parseBytes(gap < 0 ? '' : lines.slice(gap).join('\n'), name)
  if (bytes.length === 0) throw new Error(`${name}: no bytes`)
  const { frames, policy } = parseLimits(headers.get('limits') ?? '', name)
  const shared = {
    rule,
    refuse: parseExpectation(need('expect'), name),
    clause: need('clause'),
    comment: need('comment'),
    limits: { ...vectorLimits, ...frames },
    policy,
    classes: headers.has('class') ? [parseClass(need('class'), name)] : [],
    earlier: parseCount(headers.get('earlier') ?? '0', name),
    bytes,
  }
  const opening = {
    handshake: headers.get('handshake') ?? 'full',
    connect: own('connect'),
    connack: own('connack'),
  }
  const directions = need('direction').split(' ')
  const versions = need('version').split(' ')
  if (opening.connect !== undefined && versions.length > 1)
    throw new Error(`${name}: one CONNECT for several versions`)
  return versions.flatMap((word) => {
    const version = parseVersion(word, name)
    const steps = [...openingSteps(opening, version, name), ...before]
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
