// What proxy.yaml asks of the kernel for intercepting devices, and the word about what of it cannot be had.

import type { Config } from './config/schema.ts'
import type { Abilities, Feature } from './net/abilities.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'

/** The features that not every machine has, each once. */
export function wantedFeatures({ listeners }: Config): Feature[] {
  const wanted = listeners.flatMap(({ mode, preserveSource }): Feature[] => [
    ...(mode === 'direct' ? [] : [mode]),
    ...(preserveSource ? (['preserve-source'] as const) : []),
  ])
  return [...new Set(wanted)]
}

/** Says what is wanted and this machine cannot do, in log and metrics; all else runs without it. */
export function tellFeatures(
  config: Config,
  abilities: Abilities,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): void {
  const wanted: Feature[] = wantedFeatures(config)
  if (knowsDevices(config)) wanted.push('syn')
  const missing = wanted.flatMap((feature) => abilities.missing(feature) ?? [])
  for (const { feature, why, hint } of missing)
    log[feature === 'syn' ? 'warn' : 'error']({ feature, why, hint }, 'a feature is off')
  metrics.features(wanted.map((feature) => [feature, missing.every((one) => one.feature !== feature)]))
}

/** Whether the network stacks of devices are of interest. */
function knowsDevices({ identity, listeners }: Config): boolean {
  return listeners.some(({ identity: own }) => (own.mode ?? identity.mode) !== 'off')
}
