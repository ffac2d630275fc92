// What the state directory adds to proxy.yaml about trust: accepted pins, pins of first use, profiles to be forgotten.
import { acceptedFile, readAccepted } from './accepted.ts'
import type { AcceptedPin } from './accepted.ts'
import { noFirstUses, readFirstUses } from './first-use.ts'
import type { FirstUses } from './first-use.ts'
import { forgottenFile, readForgotten } from './forgotten.ts'
import type { Forgotten } from './forgotten.ts'

export interface Known {
  readonly accepted: readonly AcceptedPin[]
  readonly firstUses: FirstUses
  readonly forgotten: readonly Forgotten[]
}

export const nothingKnown: Known = { accepted: [], firstUses: noFirstUses, forgotten: [] }

/** What commands change while a proxy runs; it watches these. */
export function knownFiles(state: string): readonly string[] {
  return [acceptedFile(state), forgottenFile(state)]
}

/** Something wrong with one of the files. */
export interface Warning {
  readonly about: string
  readonly warning: string
}

/** Files that cannot be understood are moved aside where there is a clock to name them by; `warnings` tells of each. */
export async function readKnown(
  state: string,
  now?: () => number,
): Promise<Known & { readonly warnings: readonly Warning[] }> {
  const accepted = await readAccepted(state, now)
  const { forgotten, warnings: ofForgotten } = await readForgotten(state, now)
  const { warnings: ofFirstUses, ...firstUses } = await readFirstUses(state)
  const warnings = [
    ...accepted.warnings.map((warning) => ({ about: 'accepted pins', warning })),
    ...ofForgotten.map((warning) => ({ about: 'forgotten profiles', warning })),
    ...ofFirstUses.map((warning) => ({ about: 'pins of first use', warning })),
  ]
  return { accepted: accepted.pins, firstUses, forgotten, warnings }
}
