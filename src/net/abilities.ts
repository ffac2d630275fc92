// Which features that rest on native socket calls work on this machine: tried once, and remembered.

import { openNative, type Native, type NativeOrWhyNot } from './native.ts'

/** What proxy.yaml may ask for and not every machine has; a metric label. */
export const features = ['redirect', 'tproxy', 'preserve-source', 'syn'] as const

export type Feature = (typeof features)[number]

/** Why a feature is off, and what to do about it. */
export interface Missing {
  readonly feature: Feature
  readonly why: string
  readonly hint: string
}

export class Abilities {
  readonly #open: () => NativeOrWhyNot
  #opened: NativeOrWhyNot | undefined
  #refusal: { readonly code: string | undefined } | undefined

  constructor(open: () => NativeOrWhyNot = openNative) {
    this.#open = open
  }

  /** The calls that a feature needs, or undefined where it is off. */
  native(feature: Feature): Native | undefined {
    const opened = this.#native()
    return 'native' in opened && this.missing(feature) === undefined ? opened.native : undefined
  }

  /** Undefined where the feature works. */
  missing(feature: Feature): Missing | undefined {
    const opened = this.#native()
    if (!('native' in opened)) {
      const hint =
        'on Linux, install Pulseward with its optional dependencies: npm install --include=optional'
      return { feature, why: opened.why, hint }
    }
    if (feature === 'redirect' || feature === 'syn') return undefined
    this.#refusal ??= { code: opened.native.refusal() }
    const { code } = this.#refusal
    if (code === undefined) return undefined
    return {
      feature,
      why: `the system refuses sockets with addresses of others: ${code}`,
      hint: capabilityHint,
    }
  }

  #native(): NativeOrWhyNot {
    return (this.#opened ??= this.#open())
  }
}

const capabilityHint =
  'give the process CAP_NET_ADMIN, with "AmbientCapabilities=CAP_NET_ADMIN" in its systemd unit; see docs/interception.md'
