// The one list of detectors; proxy.yaml's schema and every session's watchers come from it.

import { z } from 'zod'
import { clearCredentials } from './clear-credentials.ts'
import type { Detector } from './detector.ts'
import { wideSubscription } from './wide-subscription.ts'

const definitions = [clearCredentials, wideSubscription] as const

/** One entry of `detectors` in proxy.yaml. */
export const detectorSchema = z.discriminatedUnion('kind', [
  clearCredentials.options,
  wideSubscription.options,
])

export type DetectorConfig = z.output<typeof detectorSchema>

/** All detectors with their default options: what runs when proxy.yaml does not say otherwise. */
export const defaultDetectors: readonly DetectorConfig[] = definitions.map(({ kind }) =>
  detectorSchema.parse({ kind }),
)

export const detectorKinds: readonly string[] = definitions.map(({ kind }) => kind)

/** Makes the detector that an entry of proxy.yaml asks for. */
export function createDetector(config: DetectorConfig): Detector {
  const found = definitions.find(({ kind }) => kind === config.kind)
  if (found === undefined) throw new RangeError(`unknown detector "${config.kind}"`)
  return found.create(config)
}
