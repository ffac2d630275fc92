// One handshake with one address of a server, judged and hung up on: no ticket, and not one byte of MQTT.

import type { UpstreamPlan } from '../config/snapshot.ts'
import { explainFailure } from '../tls/failure.ts'
import { describe } from '../tls/handshake.ts'
import { judge } from '../tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { dial, DialError } from './dial.ts'
import type { Course } from './witness.ts'

/** What a probe needs to know of an upstream. */
export type ProbePlan = Pick<UpstreamPlan, 'name' | 'serverName' | 'context' | 'trust' | 'timeouts'>

export type Outcome =
  | {
      readonly kind: 'judged'
      readonly facts: HandshakeFacts
      readonly verdict: Verdict
      /** Duration of the TLS handshake. */
      readonly seconds: number
      readonly course: Course
    }
  | {
      readonly kind: 'failed'
      readonly reason: string
      readonly hint: string
      /** Where it failed. */
      readonly phase: 'resolve' | 'dial' | 'handshake'
      /** Undefined where there was nobody to dial. */
      readonly course: Course | undefined
    }
  | { readonly kind: 'defect'; readonly error: unknown; readonly course: Course }

/** Handshakes that failed because somebody offers less than was asked for: an old broker, or one in the middle. */
export const weaker: ReadonlySet<string> = new Set(['downgraded', 'group-refused', 'not-tls'])

interface Target {
  /** As proxy.yaml has it. */
  readonly host: string
  readonly port: number
  /** Where to connect. */
  readonly address: string
}

/** Never rejects; `failed` with the reason `cancelled` once `signal` is aborted. */
export async function probe(plan: ProbePlan, target: Target, signal: AbortSignal): Promise<Outcome> {
  const { serverName, context, timeouts, trust } = plan
  const { host, port, address } = target
  const name = serverName ?? host
  const onTicket = (): void => {}
  try {
    signal.throwIfAborted()
    const way = { host: address, port, name, context, session: undefined, timeouts, onTicket, signal }
    const { socket, seconds, course } = await dial(way)
    try {
      const facts = describe(socket, { name, at: Date.now() })
      return { kind: 'judged', facts, verdict: judge(facts, trust), seconds, course }
    } catch (error) {
      return { kind: 'defect', error, course }
    } finally {
      socket.on('error', () => {})
      course.hangUp()
    }
  } catch (error) {
    return failed(plan, error, error instanceof DialError ? error.phase : 'dial')
  }
}

export function failed(
  { trust }: Pick<ProbePlan, 'trust'>,
  error: unknown,
  phase: 'resolve' | 'dial' | 'handshake',
): Outcome {
  const [cause, course] = error instanceof DialError ? [error.cause, error.course] : [error, undefined]
  if (cause instanceof Error && cause.name === 'AbortError') {
    return { kind: 'failed', reason: 'cancelled', hint: '', phase, course }
  }
  return { kind: 'failed', ...explainFailure(cause, { postQuantum: trust.postQuantum }), phase, course }
}
