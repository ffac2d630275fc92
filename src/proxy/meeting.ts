// One handshake with one address of a server, and what it amounts to: judged, failed, or a defect of ours.

import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { peerAddress } from '../net/address.ts'
import { explainFailure } from '../tls/failure.ts'
import { describe } from '../tls/handshake.ts'
import { judge } from '../tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { dial, DialError } from './dial.ts'
import type { Course } from './witness.ts'

/** What a meeting needs to know of an upstream. */
export type MeetingPlan = Pick<UpstreamPlan, 'name' | 'serverName' | 'context' | 'trust' | 'timeouts'>

export interface Judged {
  readonly kind: 'judged'
  readonly facts: HandshakeFacts
  readonly verdict: Verdict
  /** The IP address that answered. */
  readonly address: string
  /** Duration of the TLS handshake. */
  readonly seconds: number
  readonly course: Course
  /** Open, and nothing written to it, where `verdict` is `trusted`; destroyed where it is not. */
  readonly socket: TLSSocket
}

export interface Failed {
  readonly kind: 'failed'
  readonly reason: string
  readonly hint: string
  /** Where it failed. */
  readonly phase: 'resolve' | 'dial' | 'handshake'
  /** Undefined where there was nobody to dial. */
  readonly course: Course | undefined
}

export interface Defect {
  readonly kind: 'defect'
  readonly error: unknown
  readonly course: Course
}

export type Outcome = Judged | Failed | Defect

/** Handshakes that failed because somebody offers less than was asked for: an old broker, or one in the middle. */
export const weaker: ReadonlySet<string> = new Set(['downgraded', 'group-refused', 'not-tls'])

export interface Target {
  /** As proxy.yaml has it; the name to prove, where the upstream does not say another. */
  readonly host: string
  readonly port: number
  /** Where to connect, where the system is not to resolve `host`. */
  readonly address?: string
}

export interface Return {
  /** A session to resume, and the verdict on the handshake it comes from. */
  readonly ticket: { readonly session: Buffer; readonly verdict: Verdict } | undefined
  /** Gets every session ticket the broker sends, for as long as the socket lives. */
  readonly onTicket: (session: Buffer) => void
}

const stranger: Return = { ticket: undefined, onTicket: () => {} }

/** Never rejects; `failed` with the reason `cancelled` once `signal` is aborted. */
export async function meet(
  plan: MeetingPlan,
  { host, port, address = host }: Target,
  signal: AbortSignal,
  { ticket, onTicket }: Return = stranger,
): Promise<Outcome> {
  const { serverName: name = host, context, timeouts, trust } = plan
  try {
    signal.throwIfAborted()
    const session = ticket?.session
    const way = { host: address, port, name, context, session, timeouts, onTicket, signal }
    const { socket, seconds, course } = await dial(way)
    try {
      const facts = describe(socket, { name, at: Date.now(), earlier: ticket?.verdict })
      const verdict = judge(facts, trust)
      // The system is asked only where it chose.
      const met = isIP(address) > 0 ? address : peerAddress(socket.remoteAddress)
      if (verdict.verdict !== 'trusted') hangUp(socket, course)
      return { kind: 'judged', facts, verdict, address: met, seconds, course, socket }
    } catch (error) {
      hangUp(socket, course)
      return { kind: 'defect', error, course }
    }
  } catch (error) {
    return failed(plan, error, error instanceof DialError ? error.phase : 'dial')
  }
}

/** A meeting for its verdict alone: no ticket, not one byte of MQTT, and nothing left open. */
export async function probe(plan: MeetingPlan, target: Target, signal: AbortSignal): Promise<Outcome> {
  const outcome = await meet(plan, target, signal)
  if (outcome.kind === 'judged' && outcome.verdict.verdict === 'trusted')
    hangUp(outcome.socket, outcome.course)
  return outcome
}

export function failed(
  { trust }: Pick<MeetingPlan, 'trust'>,
  error: unknown,
  phase: Failed['phase'],
): Failed {
  const [cause, course] = error instanceof DialError ? [error.cause, error.course] : [error, undefined]
  if (cause instanceof Error && cause.name === 'AbortError') {
    return { kind: 'failed', reason: 'cancelled', hint: '', phase, course }
  }
  return { kind: 'failed', ...explainFailure(cause, { postQuantum: trust.postQuantum }), phase, course }
}

/** What the broker still sends is nobody's business any more, not even that it was cut off. */
function hangUp(socket: TLSSocket, course: Course): void {
  socket.on('error', () => {})
  course.hangUp()
}
