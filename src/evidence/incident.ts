// An incident as it is written: from what was seen of a broker to the bytes of incident.json and chain.pem.
import { printable } from '../printable.ts'
import type { Passage, Sighting } from '../tls/sighting.ts'
import { sha256 } from './chain.ts'

/** What every incident says of the program that recorded it. */
export interface Software {
  readonly pulseward: string
  readonly node: string
  readonly openssl: string
}

/** The proxy.yaml in force. */
export interface ConfigInForce {
  readonly sha256: string
  /** Which load since the start, from 1. */
  readonly version: number
}

export interface Placing {
  /** Of the incident, from 1. */
  readonly sequence: number
  /** SHA-256 of the incident.json before this one. */
  readonly previous: string
  readonly software: Software
  readonly config: ConfigInForce
}

export interface Incident {
  readonly id: string
  /** The bytes of incident.json; their SHA-256 is what the chain holds. */
  readonly json: string
  readonly pem: string
}

/** Longest text of one reason or hint; they are sentences of ours with names of theirs in them. */
const longestText = 2048
/** Longest OCSP response kept; in bytes. */
const longestStaple = 64 * 1024
/** A verdict has a reason for each certificate at most; more would be a defect. */
const mostTexts = 64

/** Repeats of an incident have the same key: same server, same faults, same certificate shown. */
export function keyOf({ upstream, server, verdict, causes, served }: Sighting): string {
  const leaf = served[0]?.fingerprint256 ?? 'none'
  return sha256(JSON.stringify([upstream, server, verdict, causes.toSorted(), leaf]))
}

function idOf(sequence: number, at: number): string {
  const compact = new Date(at).toISOString().replaceAll(/[:-]|\.\d+/g, '')
  return `${String(sequence).padStart(6, '0')}-${compact}`
}

/** Everything that came from the other side is escaped here: whoever prints it later prints it as it is. */
export function incidentOf(sighting: Sighting, { sequence, previous, software, config }: Placing): Incident {
  const { facts, served, passage } = sighting
  const id = idOf(sequence, passage.verdictGiven)
  const pem = served.map((certificate) => certificate.toString()).join('')
  const document = {
    id,
    sequence,
    previous,
    time: moment(passage.verdictGiven),
    upstream: sighting.upstream,
    server: printable(sighting.server),
    address: sighting.address === undefined ? null : printable(sighting.address),
    verdict: sighting.verdict,
    causes: sighting.causes,
    reasons: sighting.reasons.slice(0, mostTexts).map((reason) => printable(reason, longestText)),
    hint: sighting.hint === undefined ? null : printable(sighting.hint, longestText),
    handshake:
      facts === undefined
        ? null
        : {
            name: printable(facts.name),
            protocol: printable(facts.protocol),
            cipher: printable(facts.cipher),
            group: printable(facts.group),
            resumed: facts.resumed,
            authorized: facts.authorized,
            errorCode: facts.errorCode === undefined ? null : printable(facts.errorCode),
          },
    served: {
      certificates: served.length,
      leafSha256: served[0]?.fingerprint256 ?? null,
      chainPemSha256: sha256(pem),
      staple: facts?.staple?.subarray(0, longestStaple).toString('base64') ?? null,
      pins: sighting.servedPins.map(({ pin, subject, position, notAfter }) => ({
        position,
        pin,
        subject: printable(subject),
        notAfter: moment(notAfter),
      })),
    },
    configuredPins: sighting.configuredPins,
    config,
    software,
    sessionsHeldBack: sighting.sessionsHeldBack,
    applicationBytesSent: sighting.applicationBytesSent,
    proofBytesSent: sighting.proofBytesSent,
    timeline: timeline(passage),
  }
  return { id, json: `${JSON.stringify(document, undefined, 2)}\n`, pem }
}

function timeline(passage: Passage) {
  return {
    dialBegan: moment(passage.dialBegan),
    connected: moment(passage.connected),
    handshakeEnded: moment(passage.handshakeEnded),
    verdictGiven: moment(passage.verdictGiven),
    socketDestroyed: moment(passage.socketDestroyed),
  }
}

function moment(at: number | undefined): string | null {
  return at === undefined || !Number.isFinite(at) ? null : new Date(at).toISOString()
}
