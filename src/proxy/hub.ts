// What every connection of a listener shares: its plan, its way to the broker, counters, log and clock.

import type { SecureContext } from 'node:tls'
import type { FarEnd } from '../config/snapshot.ts'
import type { Detector } from '../detect/detector.ts'
import type { Surroundings } from '../mqtt/session.ts'
import type { Rulebook } from '../mqtt/rulebook.ts'
import type { Limited, Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Policy } from '../policy/decide.ts'
import type { Sweep } from './sweep.ts'
import type { Upstream } from './upstream.ts'

/** What one listener does with its devices, compiled from one proxy.yaml; a session keeps the plan it began with. */
export interface ListenerPlan {
  readonly name: string
  readonly accept: { readonly plain: boolean; readonly tls: boolean }
  /** What devices that speak TLS are shown. */
  readonly deviceContext: SecureContext | undefined
  /** Where this is the far end of a pair. */
  readonly pair: FarEnd | undefined
  readonly upstream: Upstream
  readonly book: Rulebook
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly idle: number; readonly halfClose: number }
  readonly policy: Policy
  /** Detectors by the number of the packet type they watch. */
  readonly detectors: readonly (readonly Detector[] | undefined)[]
}

/** A connection on its way from accept to its last byte. */
export interface Connection {
  /** The proxy is about to stop: tells the device, lets what is under way arrive, and closes. */
  drain(): void
  /** Closes at once. */
  destroy(): void
}

export interface Hub {
  readonly plan: ListenerPlan
  readonly metrics: Metrics
  readonly log: Log
  readonly limited: Limited
  readonly sweep: Sweep
  /** What the judges of all sessions share. */
  readonly around: Surroundings
  /** A connection begins, or takes over the sockets of `before`. */
  readonly opened: (connection: Connection, before?: Connection) => void
  /** A connection is over and its sockets are closed; called once. */
  readonly closed: (connection: Connection, address: string) => void
}
