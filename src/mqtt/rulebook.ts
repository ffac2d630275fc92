// What is demanded of the packets of one listener: the mode of every rule, and the limits of those that have one.

import type { Mode, Rule } from './rule.ts'
import { allRules } from './rules.ts'

/** Bytes a frame may take, its fixed header not counted. */
export interface FrameLimits {
  /** The first packet of a connection, before anybody is known. */
  readonly connect: number
  /** Packets held until they are whole: all but PUBLISH, and the head of PUBLISH. */
  readonly control: number
  /** PUBLISH, whose payload streams through. */
  readonly publish: number
}

/** Limits of rules that no standard demands, each named in the clause of its rule. */
export interface PolicyLimits {
  /** Levels of a topic name or filter. */
  readonly topicLevels: number
  /** Topic filters in one SUBSCRIBE or UNSUBSCRIBE. */
  readonly filters: number
  /** User properties in one packet; those of a will are counted apart. */
  readonly userProperties: number
  /** Bytes of one property block. */
  readonly propertyBytes: number
  /** Topic aliases of one direction of a connection, and the bytes their topics take together. */
  readonly topicAliases: number
  readonly topicAliasBytes: number
  /** Times a QoS 2 PUBLISH may come again after its PUBREC. */
  readonly resends: number
  /** Seconds. */
  readonly keepAlive: number
  /** PUBLISH packets within a second, in one direction of a connection. */
  readonly publishRate: number
  /** CONNECTs of one client identifier within a minute. */
  readonly clientIdChurn: number
  /** Characters a client identifier may have: 1 at their code point, below 128. */
  readonly clientIdCharacters: Uint8Array
  /** First levels that begin with $ and may be published to, without the slash. */
  readonly dollarTopics: readonly string[]
}

/** Devices of one kind, told by their client identifiers, and what they can take. */
export interface DeviceClass {
  readonly name: string
  /** Patterns in which `*` stands for any characters. */
  readonly clientIds: readonly string[]
  /** Bytes. */
  readonly maxTopic: number
  readonly maxPayload: number
  readonly maxReceived: number
}

export interface Rulebook {
  /** By rule index: 0 enforce, 1 report, 2 off. */
  readonly modes: Uint8Array
  readonly frames: FrameLimits
  readonly limits: PolicyLimits
  readonly classes: readonly DeviceClass[]
}

/** The numbers of `Rulebook.modes`. */
export const modeNumber: Readonly<Record<Mode, number>> = { enforce: 0, report: 1, off: 2 }

/** The class every device is in that no other class names. */
export const unclassed: DeviceClass = {
  name: '',
  clientIds: [],
  maxTopic: Infinity,
  maxPayload: Infinity,
  maxReceived: Infinity,
}

/** What a set of modes is called in proxy.yaml: all that is possible, no false drops, or reports only. */
export const presets = ['strict', 'standard', 'observe'] as const
export type Preset = (typeof presets)[number]

/** The mode of a rule: its own where proxy.yaml names it, else that of the preset. */
export function modeOf(rule: Rule, preset: Preset, own: Readonly<Record<string, Mode>>): Mode {
  if (rule.fixed) return 'enforce'
  if (preset === 'observe') return observed(own[rule.id] ?? rule.mode.standard)
  return own[rule.id] ?? rule.mode[preset]
}

/** Modes as the numbers of `Rulebook.modes`. */
export function modeTable(preset: Preset, own: Readonly<Record<string, Mode>>): Uint8Array {
  const table = new Uint8Array(allRules.length + 1)
  for (const rule of allRules) table[rule.index] = modeNumber[modeOf(rule, preset, own)]
  return table
}

function observed(mode: Mode): Mode {
  return mode === 'enforce' ? 'report' : mode
}

/** The first class one of whose patterns fits. */
export function classOf(clientId: string, classes: readonly DeviceClass[]): DeviceClass {
  return classes.find(({ clientIds }) => clientIds.some((pattern) => fits(clientId, pattern))) ?? unclassed
}

/** Whether a text fits a pattern of literal parts with `*` between them; in time proportional to their lengths. */
export function fits(text: string, pattern: string): boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return text === pattern
  if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
  let at = head.length
  const end = text.length - tail.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
