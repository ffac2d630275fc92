// What `pulseward analyze` prints: a summary and tables for people.
import { severities } from '../detect/finding.ts'
import { printable } from '../printable.ts'
import { aligned } from './columns.ts'
import { documentOf, type Analysis, type IncidentEntry } from './analyze-document.ts'

/** Rows of a table; the document for programs has them all. */
const mostRows = 200
const longestEvidence = 400

export function analysisText(analysis: Analysis): string {
  const { summary, incidents, tls, policy } = documentOf(analysis)
  return [
    ...summaryLines(summary, analysis),
    '',
    ...(incidents.length === 0 ? ['nothing was found'] : incidentTable(incidents, policy !== undefined)),
    ...(summary.findingsOmitted > 0
      ? [`${number(summary.findingsOmitted)} further findings are not listed`]
      : []),
    ...(tls.length === 0 ? [] : ['', 'TLS, which is not decrypted:', ...tlsTable(tls)]),
    ...(policy === undefined ? [] : ['', ...policyLines(policy)]),
    '',
  ].join('\n')
}

type Document = ReturnType<typeof documentOf>

function summaryLines(summary: Document['summary'], { files, config }: Analysis): string[] {
  const { packets, connections, sessions, plaintextShare, notJudged } = summary
  const names = files.map(({ name }) => printable(name)).join(', ')
  const times = summary.firstTime === null ? '' : `, ${summary.firstTime} to ${summary.lastTime}`
  const kinds = Object.entries(connections).map(
    ([kind, { count }]) => `${number(count)} ${kindNames[kind] ?? kind}`,
  )
  const versions = Object.entries(sessions.versions).map(
    ([version, count]) =>
      `${number(count)} ${version === 'unknown' ? 'without a CONNECT that passed' : `of MQTT ${version}`}`,
  )
  const share = plaintextShare === null ? '' : `; ${Math.round(plaintextShare * 100)} % of MQTT is plaintext`
  const missed = Object.entries(notJudged).filter(([, count]) => count > 0)
  return [
    `${names}: ${number(packets)} packets${times}`,
    `connections: ${list(kinds)}${share}`,
    `sessions: ${list(versions)}; ${number(sessions.controlPackets)} control packets judged by ${config ?? 'the defaults'}`,
    ...(missed.length === 0
      ? []
      : [
          `not judged: ${missed.map(([name, count]) => `${missedNames[name] ?? name}: ${number(count)}`).join('; ')}`,
        ]),
  ]
}

const kindNames: Readonly<Record<string, string>> = {
  mqtt: 'MQTT',
  tls: 'TLS',
  other: 'of other protocols',
  silent: 'without a word',
  joined: 'begun before the capture',
  undecided: 'ended too early to tell',
}

const missedNames: Readonly<Record<string, string>> = {
  gaps: 'sessions from a gap in the capture on',
  evicted: 'connections forgotten to make room',
  cutPackets: 'packets cut by the snap length',
  shortPackets: 'packets cut within their headers',
  fragments: 'IP fragments',
  unknownLinkType: 'packets of an unknown link type',
}

function incidentTable(incidents: readonly IncidentEntry[], withPolicy: boolean): string[] {
  const bySeverity = incidents.toSorted(
    (a, b) => severities.indexOf(b.severity) - severities.indexOf(a.severity),
  )
  const rows = bySeverity
    .slice(0, mostRows)
    .map((incident) => [
      incident.severity,
      incident.first ?? '-',
      incident.device,
      incident.rule === undefined ? incident.detector : `${incident.detector}: ${incident.rule}`,
      ...(withPolicy ? [incident.action] : []),
      number(incident.count),
      packetsOf(incident),
      evidenceOf(incident),
    ])
  const head = [
    'SEVERITY',
    'FIRST SEEN',
    'DEVICE',
    'FINDING',
    ...(withPolicy ? ['POLICY'] : []),
    'COUNT',
    'PACKETS',
    'EVIDENCE',
  ]
  return [...aligned([head, ...rows], longestEvidence), ...more(incidents.length)]
}

/** The first few, and how many files' packets they are where there is more than one file. */
function packetsOf({ packets, count }: IncidentEntry): string {
  const shown = packets
    .slice(0, 4)
    .map(({ file, packet }) => (file === undefined ? `${packet}` : `${file}:${packet}`))
  return `${shown.join(' ')}${count > shown.length ? ' …' : ''}`
}

function evidenceOf({ summary, evidence, references, clientIds, hasMoreClientIds }: IncidentEntry): string {
  const facts = Object.entries(evidence)
    .filter(([name]) => name !== 'rule')
    .map(([name, value]) => `${name} ${value}`)
  const clients =
    clientIds.length > 1 ? [`clients ${clientIds.join(' ')}${hasMoreClientIds ? ' …' : ''}`] : []
  return [summary, ...facts, ...clients, ...references].join(', ')
}

function tlsTable(sightings: Document['tls']): string[] {
  const rows = sightings
    .slice(0, mostRows)
    .map(({ device, ja4, sni, versions, connections }) => [
      device,
      ja4,
      versions.join(' '),
      sni ?? '-',
      number(connections),
    ])
  return [
    ...aligned([['DEVICE', 'JA4', 'OFFERS', 'SERVER NAME', 'CONNECTIONS'], ...rows]),
    ...more(sightings.length),
  ]
}

function policyLines({ refused, of, bytesHeldBack, listed }: NonNullable<Document['policy']>): string[] {
  const head = `policy: ${number(refused)} of ${number(of)} sessions would have ended, and ${number(bytesHeldBack)} bytes of theirs would not have gone on`
  if (listed.length === 0) return [head]
  const rows = listed
    .slice(0, mostRows)
    .map(({ time, device, reason, direction, packet, bytesAfter }) => [
      time ?? '-',
      device,
      reason,
      direction,
      packet.file === undefined ? `${packet.packet}` : `${packet.file}:${packet.packet}`,
      number(bytesAfter),
    ])
  return [
    head,
    ...aligned([['TIME', 'DEVICE', 'REASON', 'FROM', 'PACKET', 'BYTES HELD BACK'], ...rows]),
    ...more(refused),
  ]
}

function more(count: number): string[] {
  return count > mostRows ? [`… and ${number(count - mostRows)} more; --json lists them`] : []
}

function list(parts: readonly string[]): string {
  return parts.length === 0 ? 'none' : parts.join(', ')
}

function number(value: number): string {
  return value.toLocaleString('en')
}
