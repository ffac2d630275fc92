// What was seen of a broker that was not trusted: the facts an incident is made of, gathered while they can be had.
import type { X509Certificate } from 'node:crypto'
import type { HandshakeFacts, ServedPin } from './verdict.ts'

/** When things happened, in milliseconds since 1970; undefined for what never did. */
export interface Passage {
  readonly dialBegan: number
  /** The TCP connection stood. */
  readonly connected: number | undefined
  readonly handshakeEnded: number | undefined
  readonly verdictGiven: number
  readonly socketDestroyed: number
}

export interface Sighting {
  readonly upstream: string
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  /** IP address and port that answered; undefined where that is not known. */
  readonly address: string | undefined
  readonly verdict: string
  /** Everything that is wrong, the worst first. */
  readonly causes: readonly string[]
  readonly reasons: readonly string[]
  readonly hint: string | undefined
  /** Undefined where the handshake did not end. */
  readonly facts: HandshakeFacts | undefined
  /** The certificates as served, leaf first, also by a handshake that broke off behind them. */
  readonly served: readonly X509Certificate[]
  readonly servedPins: readonly ServedPin[]
  readonly configuredPins: readonly string[]
  /** Sessions that waited for this upstream while the server was dialled and judged. */
  readonly sessionsHeldBack: number
  /** Counted where we write, not assumed; see writes.ts in proxy/. */
  readonly applicationBytesSent: number
  /** Of our own proof to the other end of a pair, which says nothing of any device; 0 where there is no pair. */
  readonly proofBytesSent: number
  readonly passage: Passage
}
