// What `pulseward analyze` found as one document: what --json prints, and what the tables for people are made of.
import type { Severity } from '../detect/finding.ts'
import { versionName } from '../mqtt/packet.ts'
import type { Action } from '../policy/decide.ts'
import { printable } from '../printable.ts'
import type { CaptureProblem } from '../replay/capture.ts'
import type { Place } from '../replay/incidents.ts'
import type { Replay } from '../replay/replay.ts'

export interface ReadFile {
  /** As it was given. */
  readonly name: string
  /** Why it was not read to its end. */
  readonly problem: CaptureProblem | undefined
}

export interface Analysis {
  readonly replay: Replay
  readonly files: readonly ReadFile[]
  /** Undefined where there is none, and the defaults were judged by. */
  readonly config: string | undefined
  readonly withPolicy: boolean
}

/** A packet by its number in its file; `file` counts from 1 and is left out where there is one. */
interface PacketEntry {
  readonly file?: number
  readonly packet: number
}

export interface IncidentEntry {
  readonly severity: Severity
  readonly detector: string
  readonly rule: string | undefined
  readonly address: string
  /** Address and, where there is but one, client identifier. */
  readonly device: string
  readonly clientIds: readonly string[]
  readonly hasMoreClientIds: boolean
  /** ISO 8601; null where the capture has no times. */
  readonly first: string | null
  readonly last: string | null
  readonly count: number
  readonly packets: readonly PacketEntry[]
  readonly summary: string
  readonly evidence: Readonly<Record<string, string | number | boolean>>
  readonly references: readonly string[]
  readonly action: Action
}

/** Texts of devices are printable in it. */
export function documentOf(analysis: Analysis) {
  const { replay, files, config, withPolicy } = analysis
  const { stage } = replay
  // Without a single time in it, a capture has a clock that never moved.
  const when = Number.isNaN(replay.firstTime) ? () => null : isoOf
  const packetEntry = ({ file, packet }: Place): PacketEntry =>
    files.length > 1 ? { file: file + 1, packet } : { packet }
  const incidents = stage.incidents.list().map((incident): IncidentEntry => {
    const { address, finding, severity, action, count, hasMoreClientIds } = incident
    const clientIds = Array.from(incident.clientIds, (clientId) => printable(clientId))
    const rule = finding.evidence['rule']
    return {
      severity,
      detector: finding.detector,
      rule: rule === undefined ? undefined : String(rule),
      address,
      device: deviceName(address, clientIds),
      clientIds,
      hasMoreClientIds,
      first: when(incident.first),
      last: when(incident.last),
      count,
      packets: incident.places.map(packetEntry),
      summary: finding.summary,
      evidence: safe(finding.evidence),
      references: finding.references,
      action,
    }
  })
  return {
    files: files.map(({ name, problem }) => ({ name, problem: problem ?? null })),
    config: config ?? null,
    summary: summarise(replay),
    incidents,
    tls: stage.tls.list().map(({ address, sni, versions, ...rest }) => ({
      device: address,
      ...rest,
      sni: sni ?? null,
      versions: versions.map((version) => tlsNames[version] ?? `0x${version.toString(16)}`),
    })),
    policy: withPolicy ? policyOf(replay, packetEntry) : undefined,
  }
}

export function analysisJson(analysis: Analysis): string {
  return `${JSON.stringify(documentOf(analysis))}\n`
}

function summarise(replay: Replay) {
  const { stage, packets, connections } = replay
  const mqttBytes = stage.connections.get('mqtt')?.bytes ?? 0
  const allBytes = mqttBytes + stage.mqttOverTlsBytes
  return {
    packets: packets.packets,
    firstTime: isoOf(replay.firstTime),
    lastTime: isoOf(replay.lastTime),
    tcp: packets.tcp,
    connections: Object.fromEntries([...stage.connections].toSorted(([a], [b]) => a.localeCompare(b))),
    retransmitted: connections.retransmitted,
    outOfOrder: connections.outOfOrder,
    sessions: {
      versions: Object.fromEntries(
        [...stage.versions]
          .toSorted(([a], [b]) => a - b)
          .map(([version, count]) => [versionName(version), count]),
      ),
      controlPackets: stage.counts.reduce((sum, count) => sum + count, 0),
    },
    /** Null where there is no MQTT. */
    plaintextShare: allBytes === 0 ? null : mqttBytes / allBytes,
    notJudged: {
      gaps: stage.gaps,
      evicted: connections.evicted,
      cutPackets: packets.cut,
      shortPackets: packets.short,
      fragments: packets.fragment,
      unknownLinkType: packets.unknownLink,
    },
    findingsOmitted: stage.incidents.omitted,
  }
}

function policyOf({ stage }: Replay, packetEntry: (place: Place) => PacketEntry) {
  const { refusals } = stage
  return {
    refused: refusals.count,
    of: (stage.connections.get('mqtt')?.count ?? 0) + refusals.strangers,
    bytesHeldBack: refusals.bytesAfter,
    listed: refusals.listed.map(({ time, place, address, clientId, reason, direction, bytesAfter }) => ({
      time: isoOf(time),
      device: deviceName(address, clientId === '' ? [] : [printable(clientId)]),
      reason,
      direction,
      packet: packetEntry(place),
      bytesAfter,
    })),
  }
}

const tlsNames: Readonly<Record<number, string>> = {
  0x0300: 'SSLv3',
  0x0301: 'TLSv1',
  0x0302: 'TLSv1.1',
  0x0303: 'TLSv1.2',
  0x0304: 'TLSv1.3',
}

function deviceName(address: string, clientIds: readonly string[]): string {
  return clientIds.length === 1 ? `${address} ${clientIds[0]}` : address
}

function safe(evidence: IncidentEntry['evidence']): IncidentEntry['evidence'] {
  const entries = Object.entries(evidence)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? printable(value) : value]),
  )
}

/** The last day that a Date can hold (ECMA-262, 21.4.1.1). */
const lastTime = 8.64e15

/** A capture can claim any time. */
function isoOf(time: number): string | null {
  return Math.abs(time) <= lastTime ? new Date(time).toISOString() : null
}
