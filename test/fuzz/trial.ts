// One run of a script through both directions of a fresh session, with all that must hold of any bytes whatever.

import type { Direction } from '../../src/mqtt/packet.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { Rule } from '../../src/mqtt/rule.ts'
import { modeNumber, type Rulebook } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { SessionState } from '../../src/mqtt/session.ts'
import type { Step } from '../help/judge.ts'
import { Broken, Side, type Sight } from './side.ts'

export interface Trial {
  /** `pass`, or the rule that ended the session. */
  readonly verdict: string
  readonly rule: Rule | undefined
  readonly side: Direction | undefined
  /** Offset of the fault inside its frame, -1 without one. */
  readonly at: number
  readonly passed: Readonly<Record<Direction, Buffer>>
  readonly held: Readonly<Record<Direction, number>>
  readonly sights: readonly Sight[]
  readonly reports: readonly string[]
  readonly hits: Float64Array
  readonly counts: Float64Array
}

interface Terms {
  readonly book: Rulebook
  /** Milliseconds that pass between two turns. */
  readonly tick: number
  /** CONNECTs of the same client identifier before. */
  readonly earlier: number
}

export type Cut = (bytes: Buffer) => Iterable<Buffer>

/** Judges turns of both sides in their order, cut into chunks, and stops at the first fault, as a session does. */
export function run(turns: readonly Step[], { book, tick, earlier }: Terms, cut: Cut): Trial {
  let now = 0
  const churn = new Churn()
  for (let i = 0; i < earlier; i++) churn.count('pump-7', 0)
  const session = new SessionState({ book, churn, clock: () => now })
  const counts = new Float64Array(32)
  const reports: string[] = []
  const sights: Sight[] = []
  const up = new Side('up', session, { counts, reports, sights })
  const down = new Side('down', session, { counts, reports, sights })
  let failed: Side | undefined
  for (const { direction, bytes } of turns) {
    const side = direction === 'up' ? up : down
    for (const chunk of cut(bytes)) {
      side.take(chunk)
      if (side.rule === undefined) continue
      failed = side
      break
    }
    if (failed !== undefined) break
    now += tick
  }
  if (failed?.rule !== undefined) checkVerdict(failed.rule, failed.direction, session)
  const hits = up.hits.map((count, index) => count + down.hits[index]!)
  for (const rule of allRules) {
    if (hits[rule.index]! > 0 && book.modes[rule.index] !== modeNumber.report)
      throw new Broken(`a rule that is not to be reported was: ${rule.id}`)
  }
  return {
    verdict: failed?.rule?.id ?? 'pass',
    rule: failed?.rule,
    side: failed?.direction,
    at: failed?.stream.faultAt ?? -1,
    passed: { up: up.finish(), down: down.finish() },
    held: failed === undefined ? { up: up.stream.held, down: down.stream.held } : { up: 0, down: 0 },
    sights,
    reports,
    hits,
    counts,
  }
}

/** A verdict has to make sense to whoever reads it: its rule is enforced, for this side and this version. */
function checkVerdict(rule: Rule, side: Direction, session: SessionState): void {
  if (session.around.book.modes[rule.index] !== modeNumber.enforce)
    throw new Broken(`refused by a rule that is not enforced: ${rule.id}`)
  if (rule.direction !== 'both' && rule.direction !== side)
    throw new Broken(`a rule was broken in a direction it does not have: ${rule.id}`)
  const version = session.version || session.claimed
  const { v3, v5, policy } = rule.clause
  if (version !== 0 && (version === 5 ? v5 : v3) === undefined && policy === undefined)
    throw new Broken(`refused by a rule that version ${version} does not have: ${rule.id}`)
}
