// Makes a failing case smaller as long as it fails in the same way, and writes it down as a test vector.

import type { Step } from '../help/judge.ts'
import { withRemaining } from './anatomy.ts'
import { frameAt, versionOf, type Script } from './script.ts'

/** How a script fails, undefined where it does not. */
export type Failure = (script: Script) => string | undefined

/** Enough for scripts of a few hundred bytes; the rest is a matter of patience. */
const mostTries = 4000

/** The smallest script found that fails as this one does. */
export function shrink(script: Script, failure: Failure): Script {
  const wanted = failure(script)
  if (wanted === undefined) return script
  let best = script
  let tries = 0
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (const packets of smaller(best.packets)) {
      if (++tries > mostTries) return best
      const candidate = { ...best, packets }
      if (failure(candidate) !== wanted) continue
      best = candidate
      isSmaller = true
      break
    }
  }
  return best
}

/** Scripts with something left out: whole packets, then ever smaller stretches of bytes. */
function* smaller(packets: readonly Step[]): Iterable<Step[]> {
  if (packets.length > 1) for (let i = packets.length - 1; i >= 0; i--) yield packets.toSpliced(i, 1)
  for (let i = packets.length - 1; i >= 0; i--) {
    const { direction, bytes } = packets[i]!
    const body = frameAt(bytes, 0)?.body
    for (let size = bytes.length >> 1; size > 0; size >>= 1) {
      for (let at = 0; at + size <= bytes.length; at += size) {
        const cut = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)])
        if (cut.length === 0) continue
        yield packets.toSpliced(i, 1, { direction, bytes: cut })
        if (body !== undefined && at >= body)
          yield packets.toSpliced(i, 1, { direction, bytes: withRemaining(cut, body) })
      }
    }
  }
}

/** The script as a vector of test/vectors; what to expect of it is for whoever reads it to say. */
export function asVector({ origin, setting, packets }: Script, comment: string): string {
  const last = packets.at(-1)
  if (last === undefined) return ''
  const limits = Object.entries({ ...setting.frames, ...setting.policy }).filter(
    ([, value]) => typeof value === 'number',
  )
  return [
    `version: ${versionOf(packets)}`,
    `direction: ${last.direction}`,
    'expect: pass',
    'clause: ?',
    `comment: ${comment}; from ${origin}`,
    `limits: ${limits.map(([key, value]) => `${key}=${Number(value)}`).join(' ')}`,
    ...(setting.earlier > 0 ? [`earlier: ${setting.earlier}`] : []),
    ...setting.classes
      .slice(0, 1)
      .map(
        ({ maxTopic, maxPayload, maxReceived }) =>
          `class: topic=${maxTopic} payload=${maxPayload} received=${maxReceived}`,
      ),
    'handshake: none',
    ...packets.slice(0, -1).map(({ direction, bytes }) => `before-${direction}: ${spaced(bytes)}`),
    '',
    spaced(last.bytes),
    '',
  ].join('\n')
}

function spaced(bytes: Buffer): string {
  return bytes.toString('hex').replaceAll(/(..)(?=.)/g, '$1 ')
}
