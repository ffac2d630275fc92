// What a session learns from its control packets: the facts of CONNECT and CONNACK, and what detectors find.

import type { Subject } from '../detect/detector.ts'
import type { Finding } from '../detect/finding.ts'
import { readConnect, type ConnectFacts } from '../mqtt/connect.ts'
import { decode, type Packet } from '../mqtt/decode.ts'
import { PacketType, type Direction, type Version } from '../mqtt/packet.ts'
import { referencesOf } from '../mqtt/patches.ts'
import type { Rule } from '../mqtt/rule.ts'
import type { Showing } from '../tls/profile.ts'
import { decide, protocolDetector, type Action } from '../policy/decide.ts'
import { suspicionDetector } from '../identity/suspicion.ts'
import type { Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { greetingOf } from './greeting.ts'
import type { ListenerPlan } from './hub.ts'
import type { ConnectPacket, Register, Registration } from './registrar.ts'

const { connect, connack } = PacketType

/** The device's end of a session. */
export interface DeviceEnd {
  /** Undefined where nobody knows the devices. */
  readonly register: Register | undefined
  readonly refuse: Refuse
}

/** Ends the session for what is found between its packets. */
export type Refuse = (finding: Finding) => void

/** What a judge goes by, and whom it tells: a listener of the proxy, or what plays a capture back. */
export interface Court {
  readonly plan: Pick<ListenerPlan, 'name' | 'policy' | 'detectors'> & {
    readonly timeouts: Pick<ListenerPlan['timeouts'], 'idle'>
  }
  readonly metrics: Pick<Metrics, 'connacks' | 'found'>
  readonly limited: Limited
  /** For who wants to know of every finding more than its count and a line in the log. */
  readonly found?: (finding: Finding, action: Action) => void
}

/** Before CONNECT. */
const nobody = { clientId: '', version: 0, hasUsername: false, hasPassword: false }

export class Judge {
  /** Set once CONNECT passed. */
  connect: ConnectFacts | undefined
  /** How long the device may be silent, in milliseconds. */
  silence = Infinity
  /** Told what the CONNACK of a broker that took the device in shows of it. */
  greeted: ((showing: Showing) => void) | undefined
  readonly #court: Court
  readonly #where: Pick<Subject, 'address' | 'transport'>
  #subject: Subject | undefined
  #memories: Map<string, unknown> | undefined
  readonly #device: DeviceEnd | undefined
  #registration: Registration | undefined

  constructor(court: Court, where: Pick<Subject, 'address' | 'transport'>, device?: DeviceEnd) {
    this.#court = court
    this.#where = where
    this.#device = device
  }

  /** Bit set of the packet types `see` has to be shown. */
  get watched(): number {
    let set = (1 << connect) | (1 << connack)
    for (const [type, detectors] of this.#court.plan.detectors.entries()) if (detectors) set |= 1 << type
    return set
  }

  /** Takes note of a frame that passed every check; returns the finding for which policy refuses it. */
  see(type: number, bytes: Buffer, start: number, body: number, end: number): Finding | undefined {
    if (type === connect) {
      const stranger = this.#begin(readConnect(bytes, body, end), bytes, body, end)
      if (stranger !== undefined) return stranger
    } else if (type === connack) this.#answered(bytes, start, body, end)
    const detectors = this.#court.plan.detectors[type]
    const subject = this.#subject
    if (detectors === undefined || subject === undefined) return undefined
    let packet: Packet | undefined
    for (const detector of detectors) {
      let finding: Finding | undefined
      if (type === connect && detector.greet !== undefined) finding = detector.greet(subject)
      else {
        packet ??= decode(bytes.subarray(start, end), this.connect?.version ?? 0)
        if (packet !== undefined) finding = detector.see(packet, this.#memory(detector.kind), subject)
      }
      if (finding !== undefined && this.#refuses(finding, subject)) return finding
    }
    return undefined
  }

  /** A rule was broken for which the session ends; returns what policy says. */
  broken(rule: Rule, direction: Direction, offset: number): Action {
    const { plan, metrics, found } = this.#court
    const finding = protocolFinding(rule, direction, offset, 'warning')
    const action = decide(finding, plan.policy)
    metrics.found(finding.detector, finding.severity, action)
    found?.(finding, action)
    return action
  }

  /** A rule was broken that is only reported: told once a rule, direction and session, however often it happens. */
  tolerated(rule: Rule, direction: Direction, offset: number): void {
    const { plan } = this.#court
    const subject = this.#subject ?? { ...nobody, ...this.#where, listener: plan.name }
    this.#refuses(protocolFinding(rule, direction, offset, 'notice'), subject)
  }

  /** The session is over. */
  over(): void {
    this.#registration?.left()
  }

  /** Returns the finding for which policy refuses the device. */
  #begin(facts: ConnectFacts, bytes: Buffer, body: number, end: number): Finding | undefined {
    const { plan } = this.#court
    this.connect = facts
    this.#setSilence(facts.keepAlive)
    const { clientId, version, hasUsername, hasPassword } = facts
    this.#subject = { ...this.#where, listener: plan.name, clientId, version, hasUsername, hasPassword }
    for (const detectors of plan.detectors) {
      for (const detector of detectors ?? []) {
        // One that watches several types is met once for each.
        if (this.#memories?.has(detector.kind) === true) continue
        const memory = detector.begin(this.#subject)
        if (memory !== undefined) (this.#memories ??= new Map()).set(detector.kind, memory)
      }
    }
    return this.#register(facts.clientId, this.#subject, { bytes, body, end })
  }

  #register(clientId: string, subject: Subject, packet: ConnectPacket): Finding | undefined {
    const device = this.#device
    this.#registration = device?.register?.(clientId, packet, (finding) => {
      // It may be found while a packet of the session is being judged, which is let finish.
      if (this.#refuses(finding, subject)) queueMicrotask(() => device.refuse(finding))
    })
    const finding = this.#registration?.finding
    return finding !== undefined && this.#refuses(finding, subject) ? finding : undefined
  }

  /** CONNACK: in MQTT 5.0 the broker may set another keep alive than the device asked for (3.2.2.3.14). */
  #answered(bytes: Buffer, start: number, body: number, end: number): void {
    const code = bytes[body + 1]!
    this.#court.metrics.connacks[code]! += 1
    if (code === 0) this.#registration?.accepted()
    const version = this.connect?.version
    const packet = version === 5 && end - body > 3 ? decode(bytes.subarray(start, end), 5) : noProperties
    if (packet?.cmd !== 'connack') return
    const { properties = {} } = packet
    if (code === 0) this.greeted?.(version === 5 ? greetingOf(properties) : {})
    if (properties.serverKeepAlive !== undefined) this.#setSilence(properties.serverKeepAlive)
  }

  /** One and a half times the keep alive (MQTT 5.0, 3.1.2.10) and five seconds for slow links. */
  #setSilence(keepAlive: number): void {
    this.silence = keepAlive === 0 ? this.#court.plan.timeouts.idle : keepAlive * 1500 + 5000
  }

  #memory(kind: string): unknown {
    return this.#memories?.get(kind)
  }

  #refuses(finding: Finding, subject: Subject): boolean {
    const { plan, metrics, limited, found } = this.#court
    const action = decide(finding, plan.policy)
    metrics.found(finding.detector, finding.severity, action)
    found?.(finding, action)
    const { detector, severity, summary, evidence, references } = finding
    const level = severity === 'info' || severity === 'notice' ? 'info' : 'warn'
    const kind = kindOf(finding, action, subject)
    const { listener, transport, address, clientId, version } = subject
    const who = { listener, transport, address, clientId, version }
    limited(level, kind, { ...who, detector, severity, action, evidence, references }, summary)
    return action === 'refuse'
  }
}

const noProperties: Packet = { cmd: 'connack', sessionPresent: false }

/** The clause of a rule in the version a device speaks, or the option where no standard has one. */
export function clauseOf({ clause }: Rule, version: Version): string {
  return clause[version === 5 ? 'v5' : 'v3'] ?? clause.policy ?? clause.v5 ?? ''
}

/** Lines of one kind are limited together: those of one rule or device must not hide those of another. */
function kindOf({ detector, evidence }: Finding, action: Action, { address }: Subject): string {
  if (detector === protocolDetector) return `${action} ${String(evidence['rule'])}`
  return detector === suspicionDetector ? `${detector} ${address}` : detector
}

function protocolFinding(
  rule: Rule,
  direction: Direction,
  offset: number,
  severity: 'notice' | 'warning',
): Finding {
  return {
    detector: protocolDetector,
    severity,
    summary: rule.explanation,
    evidence: { rule: rule.id, offset, direction },
    references: referencesOf(rule),
  }
}
