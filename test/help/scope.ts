// A scope for tests of single checks: the rules in force, as a stream would hand them over, and what was only reported.

import type { Direction } from '../../src/mqtt/packet.ts'
import type { Mode } from '../../src/mqtt/rule.ts'
import type { PolicyLimits, Preset } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { Scope } from '../../src/mqtt/scope.ts'
import { rulebook } from './rulebook.ts'

interface Wanted {
  readonly direction?: Direction
  /** `standard` where none is given. */
  readonly preset?: Preset
  /** Modes of single rules. */
  readonly rules?: Readonly<Record<string, Mode>>
  readonly limits?: Partial<PolicyLimits>
}

export interface TestScope extends Scope {
  /** Rules that were only reported, as `topic-wildcard @4`; once each, as a connection tells them. */
  readonly reports: readonly string[]
}

/** One that judges a device's packets, where no direction is given. */
export function scopeOf({ direction = 'up', ...wanted }: Wanted = {}): TestScope {
  const reports: string[] = []
  const book = rulebook({ frames: { connect: 65_536, control: 65_536, publish: 65_536 }, ...wanted })
  const hits = new Float64Array(allRules.length + 1)
  const scope = new Scope(direction, book, hits, ({ id }, offset) => reports.push(`${id} @${offset}`))
  return Object.assign(scope, { reports })
}
