// Rulebooks for tests: what proxy.yaml would make, with small limits that a test can reach.

import type { Mode } from '../../src/mqtt/rule.ts'
import {
  modeTable,
  type DeviceClass,
  type FrameLimits,
  type PolicyLimits,
  type Preset,
  type Rulebook,
} from '../../src/mqtt/rulebook.ts'
import { characterSet } from '../../src/mqtt/text.ts'

export const smallLimits: PolicyLimits = {
  topicLevels: 20,
  filters: 10,
  userProperties: 8,
  propertyBytes: 256,
  topicAliases: 8,
  topicAliasBytes: 512,
  resends: 1,
  keepAlive: 3600,
  publishRate: 5,
  clientIdChurn: 5,
  clientIdCharacters: characterSet('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:'),
  dollarTopics: ['$SYS', '$aws'],
}

interface Wanted {
  readonly preset?: Preset
  /** Modes of single rules. */
  readonly rules?: Readonly<Record<string, Mode>>
  readonly frames: FrameLimits
  readonly limits?: Partial<PolicyLimits>
  readonly classes?: readonly DeviceClass[]
}

/** `standard` where no preset is wanted. */
export function rulebook({
  preset = 'standard',
  rules = {},
  frames,
  limits,
  classes = [],
}: Wanted): Rulebook {
  return { modes: modeTable(preset, rules), frames, limits: { ...smallLimits, ...limits }, classes }
}
