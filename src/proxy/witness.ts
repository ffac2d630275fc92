// Notes how a handshake with a broker went, and hands what was seen of one that was not trusted to who keeps evidence.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { messageOf } from '../errors.ts'
import { hostPort, peerAddress } from '../net/address.ts'
import type { Suspicion } from '../tls/failure.ts'
import { chainOf } from '../tls/handshake.ts'
import { servedPinsOf } from '../tls/identify.ts'
import type { Sighting } from '../tls/sighting.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'
import { countWrites, type Writes } from './writes.ts'

/** Takes a sighting; never throws and never waits. */
export type Evidence = (sighting: Sighting) => void

/** How one dial went, from its first moment; times in milliseconds since 1970. */
export class Course {
  readonly dialBegan: number = Date.now()
  readonly writes: Writes
  /** IP address and port that answered. */
  address: string | undefined
  connected: number | undefined
  /** Milliseconds that it took to connect, name and all. */
  connectTime = 0
  handshakeEnded: number | undefined
  /** What was shown before a handshake broke off. */
  shown: Sighting['served'] = []
  #verdictGiven: number | undefined
  #socketDestroyed: number | undefined
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    this.writes = countWrites(socket)
  }

  /** The handshake breaks off: what it has shown so far is evidence, and gone with the socket. */
  breakOff(): void {
    try {
      if (this.#socket instanceof TLSSocket) this.shown = chainOf(this.#socket.getPeerX509Certificate())
    } catch {
      // Less evidence must not become another end of the handshake.
    }
    this.hangUp()
  }

  /** Closes the socket at once: its broker is not trusted, or nobody wants it any more. */
  hangUp(): void {
    this.#verdictGiven = Date.now()
    // Only evidence asks for it, and a destroyed socket knows it no more.
    const { remoteAddress, remotePort } = this.#socket
    if (remotePort !== undefined) this.address ??= hostPort(peerAddress(remoteAddress), remotePort)
    this.#socket.destroy()
    this.#socketDestroyed = Date.now()
  }

  get passage(): Sighting['passage'] {
    const { dialBegan, connected, handshakeEnded } = this
    const verdictGiven = this.#verdictGiven ?? Date.now()
    const socketDestroyed = this.#socketDestroyed ?? verdictGiven
    return { dialBegan, connected, handshakeEnded, verdictGiven, socketDestroyed }
  }
}

interface WitnessDeps {
  /** Without it, nothing is kept. */
  readonly evidence: Evidence | undefined
  /** Sessions that wait for this upstream now. */
  readonly waiting: () => number
}

type Told = Pick<Sighting, 'verdict' | 'causes' | 'reasons' | 'hint' | 'facts' | 'served' | 'servedPins'>

export class Witness {
  readonly #plan: Pick<UpstreamPlan, 'name' | 'trust'>
  readonly #deps: WitnessDeps

  constructor(plan: Pick<UpstreamPlan, 'name' | 'trust'>, deps: WitnessDeps) {
    this.#plan = plan
    this.#deps = deps
  }

  /** A handshake ended and was not trusted. */
  distrusted(server: string, course: Course, facts: HandshakeFacts, verdict: Verdict): void {
    this.#tell(server, course, { ...verdict, facts, served: facts.served })
  }

  /** A handshake failed in a way that says more than that nobody is there. */
  suspected(
    server: string,
    course: Course,
    { reason, hint, verdict, says }: Suspicion & { readonly reason: string; readonly hint: string },
  ): void {
    const told = { verdict, causes: [reason], reasons: [says], hint, facts: undefined }
    const served = course.shown
    this.#tell(server, course, { ...told, served, servedPins: servedPinsOf(served) })
  }

  /** Judging failed by a defect of ours. */
  unjudged(server: string, course: Course, error: unknown): void {
    const told = { causes: ['unjudged'], reasons: [messageOf(error)], hint: undefined }
    this.#tell(server, course, { verdict: 'unjudged', ...told, facts: undefined, served: [], servedPins: [] })
  }

  #tell(server: string, course: Course, told: Told): void {
    const { evidence, waiting } = this.#deps
    const { verdict, causes, reasons, hint, facts, served, servedPins } = told
    evidence?.({
      upstream: this.#plan.name,
      server,
      address: course.address,
      verdict,
      causes,
      reasons,
      hint,
      facts,
      served,
      servedPins,
      configuredPins: this.#plan.trust.pins.map(({ pin }) => pin),
      sessionsHeldBack: waiting(),
      applicationBytesSent: course.writes.count(),
      proofBytesSent: course.writes.proofs(),
      passage: course.passage,
    })
  }
}
