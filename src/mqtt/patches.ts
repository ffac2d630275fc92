// The virtual patches: every known vulnerability whose packet can be told on the wire, and what stops it.

import type { Patch } from './patch.ts'
import type { Rule } from './rule.ts'
import { brokerPatches } from './patches-broker.ts'
import { devicePatches } from './patches-device.ts'
import { mosquittoPatches } from './patches-mosquitto.ts'
import { nanomqPatches } from './patches-nanomq.ts'
import { libraryPatches } from './patches-library.ts'

/** In the order of their CVE ids. */
export const patches: readonly Patch[] = [
  ...mosquittoPatches,
  ...brokerPatches,
  ...nanomqPatches,
  ...libraryPatches,
  ...devicePatches,
].toSorted((a, b) => byNumber(a.id, b.id))

const ids = new Map<string, string[]>()
for (const { id, rules } of patches) {
  for (const rule of rules) ids.set(rule.id, [...(ids.get(rule.id) ?? []), id])
}

/** The CVE ids a rule stops, in their order. */
export function cvesOf(ruleId: string): readonly string[] {
  return ids.get(ruleId) ?? none
}

/** All that a finding about a rule refers to. */
export function referencesOf({ id, references }: Rule): readonly string[] {
  return [...references, ...cvesOf(id)]
}

const none: readonly string[] = []

/** CVE-2019-5432 comes before CVE-2019-11778. */
function byNumber(a: Patch['id'], b: Patch['id']): number {
  const [, yearA, numberA] = a.split('-').map(Number)
  const [, yearB, numberB] = b.split('-').map(Number)
  return yearA! - yearB! || numberA! - numberB!
}
