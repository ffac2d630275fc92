// One handshake with one address of a server, and what it amounts to: judged, failed, or a defect of ours.

import { isIP, type Socket } from 'node:net'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { hostPort, peerAddress } from '../net/address.ts'
import type { Finding } from '../pair/exchange.ts'
import { classify, nextStep } from '../tls/classify.ts'
import { explainFailure, type Suspicion } from '../tls/failure.ts'
import type { Least } from '../tls/drift.ts'
import { describe } from '../tls/handshake.ts'
import { judge } from '../tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { dial, DialError, dialPlain } from './dial.ts'
import { pairProtocols, prove } from './prove.ts'
import type { Course } from './witness.ts'

/** What a meeting needs to know of an upstream. */
export type MeetingPlan = Pick<
  UpstreamPlan,
  'name' | 'serverName' | 'pair' | 'plaintext' | 'context' | 'trust' | 'timeouts'
> & {
  /** What a server, `host:port`, must not be weaker than. */
  readonly least?: (server: string) => Least | undefined
  /**
   * Takes the key of a server that is met for the first time, one that others showed before included: the next would be
   * the first otherwise. False where it was met before, or nothing is to be made of it.
   */
  readonly introduce?: (server: string, outcome: Judged) => boolean
}

export interface Judged {
  readonly kind: 'judged'
  readonly facts: HandshakeFacts
  readonly verdict: Verdict
  /** The IP address that answered. */
  readonly address: string
  /** Duration of the TLS handshake. */
  readonly seconds: number
  readonly course: Course
  /** Where it is paired and both ends proved themselves: the name of the key by which the other did. */
  readonly pairedWith: string | undefined
  /** Open, and nothing but our proof written to it, where `verdict` is `trusted`; destroyed where it is not. */
  readonly socket: Socket
}

export interface Failed {
  readonly kind: 'failed'
  readonly reason: string
  readonly hint: string
  /** Where somebody answered, and gave away that it is not to be trusted. */
  readonly suspicion?: Suspicion
  /** Where it failed. */
  readonly phase: 'resolve' | 'dial' | 'handshake' | 'proof'
  /** Undefined where there was nobody to dial. */
  readonly course: Course | undefined
}

export interface Defect {
  readonly kind: 'defect'
  readonly error: unknown
  readonly course: Course
}

export type Outcome = Judged | Failed | Defect

export interface Target {
  /** As proxy.yaml has it; the name to prove, where the upstream does not say another. */
  readonly host: string
  readonly port: number
  /** Where to connect, where the system is not to resolve `host`. */
  readonly address?: string
  /** `host:port`, where it is at hand. */
  readonly server?: string
}

export interface Return {
  /** A session to resume, and the verdict on the handshake it comes from. */
  readonly ticket: { readonly session: Buffer; readonly verdict: Verdict } | undefined
  /** Gets every session ticket the broker sends, for as long as the socket lives; without it none is taken. */
  readonly onTicket: ((session: Buffer) => void) | undefined
}

const stranger: Return = { ticket: undefined, onTicket: undefined }

/**
 * Never rejects; `failed` with the reason `cancelled` once `signal` is aborted. `back` is what a session comes back
 * with; who comes `afresh` examines all of what is shown, known or not.
 */
export async function meet(
  plan: MeetingPlan,
  { host, port, address = host, server = hostPort(host, port) }: Target,
  signal: AbortSignal,
  back: Return | 'afresh' = 'afresh',
): Promise<Outcome> {
  const { serverName: name = host, pair, context, timeouts, trust } = plan
  const { ticket, onTicket } = back === 'afresh' ? stranger : back
  try {
    signal.throwIfAborted()
    if (plan.plaintext) return await meetOpenly({ host: address, port, name, timeouts, signal })
    const session = ticket?.session
    const protocols = pair === undefined ? [] : pairProtocols
    const way = { host: address, port, name, context, protocols, session, timeouts, onTicket, signal }
    const { socket, seconds, course } = await dial(way)
    try {
      const facts = describe(socket, {
        name,
        at: Date.now(),
        earlier: ticket?.verdict,
        afresh: back === 'afresh',
      })
      const judged = judge(facts, trust, plan.least?.(server))
      // The system is asked only where it chose.
      const met = isIP(address) > 0 ? address : peerAddress(socket.remoteAddress)
      let finding: Finding | undefined
      // Who has the wrong certificate is not even asked.
      if (pair !== undefined && judged.verdict === 'trusted') {
        const { writes } = course
        finding = await prove(socket, { keys: pair, writes, timeout: timeouts.handshake, signal })
      }
      const verdict = finding?.proven === false ? unproven(judged, finding) : judged
      const pairedWith = finding?.proven === true ? finding.by : undefined
      const outcome: Judged = {
        kind: 'judged',
        facts,
        verdict,
        address: met,
        seconds,
        course,
        pairedWith,
        socket,
      }
      const isNew = plan.introduce?.(server, outcome) === true
      if (verdict.verdict === 'trusted') return outcome
      hangUp(socket, course)
      return isNew ? introduced(course) : outcome
    } catch (error) {
      hangUp(socket, course)
      if (isNoAnswer(error)) return failed(plan, new DialError('handshake', error, course), 'proof')
      return { kind: 'defect', error, course }
    }
  } catch (error) {
    return failed(plan, error, error instanceof DialError ? error.phase : 'dial')
  }
}

/** Its pin is about to be stored, and judged by from then on: until it is, nothing passes. */
function introduced(course: Course): Failed {
  const hint =
    'it was met for the first time: its pin is being stored, and it is trusted by that from then on'
  return { kind: 'failed', reason: 'first-use', hint, phase: 'dial', course }
}

/** Without TLS nothing can be judged: whoever answers is taken for the broker, because proxy.yaml says so. */
async function meetOpenly({
  name,
  ...way
}: Parameters<typeof dialPlain>[0] & { name: string }): Promise<Judged> {
  const { socket, seconds, course } = await dialPlain(way)
  const facts: HandshakeFacts = {
    name,
    at: Date.now(),
    authorized: false,
    errorCode: undefined,
    served: [],
    leaf: undefined,
    afresh: false,
    protocol: 'none',
    cipher: 'none',
    group: 'none',
    resumed: false,
    earlier: undefined,
  }
  const address = peerAddress(socket.remoteAddress)
  return { kind: 'judged', facts, verdict: taken, address, seconds, course, pairedWith: undefined, socket }
}

const taken: Verdict = {
  verdict: 'trusted',
  causes: [],
  reasons: ['reached in plaintext, as proxy.yaml says: nothing proves who answers'],
  hint: undefined,
  servedPins: [],
  path: [],
}

/** Its certificates were in order; that it is the other end of the pair it did not prove. */
function unproven(judged: Verdict, { fault, reason }: Finding & { readonly proven: false }): Verdict {
  const verdict = classify([fault], () => false)
  const hint = verdict === 'trusted' ? undefined : nextStep(verdict, fault)
  return { ...judged, verdict, causes: [fault], reasons: [reason], hint, reported: undefined }
}

/** The other end hung up on our proof, or nobody waits for it any more. */
function isNoAnswer(error: unknown): error is Error {
  return (
    error instanceof Error && 'code' in error && (error.code === 'PAIR_CLOSED' || error.code === 'ABORT_ERR')
  )
}

/** A meeting for its verdict alone: all examined anew, no ticket, not one byte of MQTT, and nothing left open. */
export async function probe(plan: MeetingPlan, target: Target, signal: AbortSignal): Promise<Outcome> {
  const outcome = await meet(plan, target, signal, 'afresh')
  if (outcome.kind === 'judged' && outcome.verdict.verdict === 'trusted')
    hangUp(outcome.socket, outcome.course)
  return outcome
}

export function failed(
  { trust, pair }: Pick<MeetingPlan, 'trust' | 'pair'>,
  error: unknown,
  phase: Failed['phase'],
): Failed {
  const [cause, course] = error instanceof DialError ? [error.cause, error.course] : [error, undefined]
  if (cause instanceof Error && cause.name === 'AbortError') {
    return { kind: 'failed', reason: 'cancelled', hint: '', phase, course }
  }
  const asked = { postQuantum: trust.postQuantum, paired: pair !== undefined }
  return { kind: 'failed', ...explainFailure(cause, asked), phase, course }
}

/** What the broker still sends is nobody's business any more, not even that it was cut off. */
function hangUp(socket: Socket, course: Course): void {
  socket.on('error', () => {})
  course.hangUp()
}
