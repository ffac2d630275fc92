// Turns the options about packets into the rulebook a listener judges by, and into what policy says of each rule.

import type { Mode } from '../mqtt/rule.ts'
import { modeOf, modeTable, type Rulebook } from '../mqtt/rulebook.ts'
import { allRules } from '../mqtt/rules.ts'
import { characterSet } from '../mqtt/text.ts'
import type { Config, ListenerConfig } from './schema.ts'

/** What is demanded on one listener, compiled. */
export interface Inspection {
  readonly book: Rulebook
  /** Of every rule, by its id. */
  readonly modes: ReadonlyMap<string, Mode>
}

/** A listener's own `inspection` stands in place of that of the file. */
export function inspectionOf(listener: ListenerConfig, config: Config): Inspection {
  const { preset: wanted, rules, limits } = listener.inspection ?? config.inspection
  const preset = config.policy.mode === 'observe' ? 'observe' : wanted
  const own: Readonly<Record<string, Mode>> = rules
  const { maxConnectPacket, maxControlPacket, maxPacket } = listener.limits
  return Object.freeze({
    book: Object.freeze({
      modes: modeTable(preset, own),
      frames: { connect: maxConnectPacket, control: maxControlPacket, publish: maxPacket },
      limits: { ...limits, clientIdCharacters: characterSet(limits.clientIdCharacters) },
      classes: config.classes,
    }),
    modes: new Map(allRules.map((rule) => [rule.id, modeOf(rule, preset, own)])),
  })
}
