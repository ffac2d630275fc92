// What is known of one server of an upstream and of each of its addresses, and what the addresses amount to.

import type { Verdict } from '../tls/verdict.ts'
import type { Failed } from './meeting.ts'
import type { Tickets } from './tickets.ts'

/** What is known of one address of a server. */
export interface AddressState {
  readonly address: string
  /** A verdict, a dial failure's reason, or `unchecked`. */
  readonly verdict: string
  readonly causes: readonly string[]
  readonly reasons: readonly string[]
  /** Milliseconds since 1970; 0 before the first handshake. */
  checkedAt: number
  /** Whether somebody answers there who is not the broker, or offers less than the broker: no mere failure. */
  readonly suspect: boolean
}

/** What is known of one server. */
export interface ServerState {
  readonly server: string
  /** A verdict, a dial failure's reason, `unchecked`, or `mixed`: some addresses are trusted and one is suspect. */
  verdict: string
  reasons: readonly string[]
  /** Milliseconds since 1970; 0 before the first handshake. */
  checkedAt: number
  /** As its name resolved in the last round of the canary; empty before. */
  addresses: readonly AddressState[]
}

export interface Server extends ServerState {
  readonly host: string
  readonly port: number
  /** Milliseconds by the monotonic clock: before it, the server is left alone or tried last. */
  distrustedUntil: number
  downUntil: number
  readonly tickets: Tickets
}

export function unchecked(address: string): AddressState {
  return { address, verdict: 'unchecked', causes: [], reasons: [], checkedAt: 0, suspect: false }
}

export function judged(address: string, verdict: Verdict, at: number): AddressState {
  const { verdict: kind, causes } = verdict
  const suspect = kind !== 'trusted'
  return { address, verdict: kind, causes, reasons: reasonsOf(verdict), checkedAt: at, suspect }
}

/** Why a verdict was not trusted, or against what it was. */
export function reasonsOf({ reasons, reported }: Verdict): readonly string[] {
  return reported?.reasons.map((reason) => `let through by pinMode: ${reason}`) ?? reasons
}

type Missed = Pick<Failed, 'reason' | 'hint' | 'suspicion'>

export function notReached(address: string, failed: Missed, at: number): AddressState {
  const [verdict, reasons] = accusation(failed)
  const suspect = failed.suspicion !== undefined
  const causes = suspect ? [failed.reason] : []
  return { address, verdict, causes, reasons, checkedAt: at, suspect }
}

/** What a failed handshake is called, and why: a verdict where somebody is suspected, else what failed and what to do. */
export function accusation({ reason, hint, suspicion }: Missed): readonly [string, readonly string[]] {
  return suspicion === undefined ? [reason, [hint]] : [suspicion.verdict, [suspicion.says]]
}

export function isTrusted({ verdict }: AddressState): boolean {
  return verdict === 'trusted'
}

/** Makes the server's own state say what its addresses say together. */
export function summarise(server: ServerState): void {
  const checked = server.addresses.filter(({ checkedAt }) => checkedAt > 0)
  const suspects = checked.filter(({ suspect }) => suspect)
  const trusted = checked.some(isTrusted)
  const [worst] = suspects.length > 0 ? suspects : checked.filter((one) => !isTrusted(one))
  if (trusted && suspects.length > 0) {
    server.verdict = 'mixed'
    server.reasons = suspects.flatMap(({ address, verdict, reasons }) =>
      reasons.map((reason) => `${address} is ${verdict}: ${reason}`),
    )
  } else if (trusted) {
    server.verdict = 'trusted'
    server.reasons = [...new Set(checked.filter(isTrusted).flatMap(({ reasons }) => reasons))]
  } else if (worst !== undefined) {
    server.verdict = worst.verdict
    server.reasons = worst.reasons
  }
  server.checkedAt = Math.max(server.checkedAt, ...checked.map(({ checkedAt }) => checkedAt))
}

/** A server and its addresses as plain data, with times as ISO 8601; what /readyz shows. */
export function reportOf({ server, addresses, ...state }: ServerState) {
  const places = addresses.map((one) => ({ address: one.address, ...standing(one) }))
  return { server, ...standing(state), addresses: places }
}

function standing({ verdict, reasons, checkedAt }: Pick<ServerState, 'verdict' | 'reasons' | 'checkedAt'>) {
  return { verdict, reasons, lastCheck: checkedAt === 0 ? null : new Date(checkedAt).toISOString() }
}
