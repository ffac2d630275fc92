// What `pulseward pin` prints of a handshake: for people, for programs, and for proxy.yaml.
import type { X509Certificate } from 'node:crypto'
import type { Server } from '../config/endpoint.ts'
import { comparePins, comparisonLines } from './pin-compare.ts'
import type { Compared } from './pin-compare.ts'
import { messageOf } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { isPostQuantum } from '../tls/groups.ts'
import { explainFailure } from '../tls/failure.ts'
import { pinOf } from '../tls/pins.ts'
import { daysLeft } from '../tls/ends.ts'
import { factsOf } from '../tls/extensions.ts'
import { printable } from '../printable.ts'
import type { Staple } from '../tls/staple.ts'
import { momentText, nameLine } from '../tls/words.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'

export interface Report {
  readonly text: string
  /** One document, with its line end. */
  readonly json: string
}

export interface Asked {
  readonly server: Server
  readonly serverName: string | undefined
  /** Files, as given on the command line. */
  readonly ca: readonly string[]
}

/** Everything the broker showed, whether it verifies, and what to paste. */
export function handshakeReport(
  asked: Asked,
  facts: HandshakeFacts,
  verdict: Verdict,
  compared?: Compared,
): Report {
  const comparison = compared && comparePins(compared, facts, verdict)
  const server = hostPort(asked.server.host, asked.server.port)
  const { protocol, cipher, group } = facts
  const certificates = shownCertificates(facts, verdict).map((shown) => describeCertificate(shown, facts.at))
  const text = [
    `${server} agreed to ${protocol}, ${cipher}, key exchange ${group}${isPostQuantum(group) ? ' (post-quantum)' : ''}`,
    '',
    ...certificates.flatMap(certificateLines),
    ...verdictLines(facts, verdict),
    '',
    ...(comparison === undefined ? pasteLines(asked, facts, verdict) : comparisonLines(comparison)),
  ]
  const { verdict: kind, causes, reasons, hint } = verdict
  const path = verdict.path.map(pinOf)
  const json = {
    server,
    name: facts.name,
    protocol,
    cipher,
    group,
    verdict: kind,
    causes,
    reasons,
    remarks: verdict.remarks,
    hint,
    staple: verdict.staple && stapleOf(verdict.staple),
    certificates,
    path,
    ...(verdict.reported && { reported: verdict.reported }),
    ...(comparison && { compared: comparison }),
  }
  return { text: `${text.join('\n')}\n`, json: `${JSON.stringify(json)}\n` }
}

/** Why there was no handshake, and what to do. */
export function failureReport(asked: Server, error: unknown): Report {
  const server = hostPort(asked.host, asked.port)
  const { reason, hint } = explainFailure(error)
  const message = printable(messageOf(error))
  return {
    text: `pulseward: ${server}: ${reason}: ${message}\nhint: ${hint}\n`,
    json: `${JSON.stringify({ server, failure: reason, message, hint })}\n`,
  }
}

interface Shown {
  readonly role: string
  readonly certificate: X509Certificate
}

/** As served, then the anchor where the broker, rightly, keeps it to itself. */
function shownCertificates({ served }: HandshakeFacts, { path }: Verdict): Shown[] {
  const anchor = path.at(-1)
  const kept =
    anchor !== undefined && !served.some(({ fingerprint256 }) => fingerprint256 === anchor.fingerprint256)
  const shown = served.map((certificate, position) => ({ role: `served ${position}`, certificate }))
  return kept ? [...shown, { role: 'anchor', certificate: anchor }] : shown
}

function describeCertificate({ role, certificate }: Shown, at: number) {
  const stated = factsOf(certificate)
  return {
    role,
    subject: nameLine(certificate.subject),
    issuer: nameLine(certificate.issuer),
    names: printable(certificate.subjectAltName ?? ''),
    notBefore: momentText(certificate.validFromDate),
    notAfter: momentText(certificate.validToDate),
    daysLeft: Number.isNaN(certificate.validToDate.getTime())
      ? null
      : daysLeft(certificate.validToDate.getTime(), at),
    fingerprint: certificate.fingerprint256,
    pin: pinText(certificate),
    logs: stated?.timestamps ?? 0,
    mustStaple: stated?.mustStaple ?? false,
  }
}

function stapleOf({ thisUpdate, until }: Staple) {
  return { thisUpdate: momentText(new Date(thisUpdate)), until: momentText(new Date(until)) }
}

function certificateLines(shown: ReturnType<typeof describeCertificate>): string[] {
  return [
    `${shown.role}: ${shown.subject}`,
    `  issuer  ${shown.issuer}`,
    ...(shown.names === '' ? [] : [`  names   ${shown.names}`]),
    `  valid   ${shown.notBefore} to ${shown.notAfter} (${shown.daysLeft ?? 'unknown'} days left)`,
    `  pin     ${shown.pin}`,
    ...(shown.logs === 0 ? [] : [`  logs    ${shown.logs} transparency logs vouch for it`]),
    ...(shown.mustStaple ? ['  staple  only to be taken with an OCSP response'] : []),
    '',
  ]
}

function verdictLines(
  facts: HandshakeFacts,
  { verdict, causes, reasons, hint, path, reported, staple, remarks = [] }: Verdict,
): string[] {
  if (verdict !== 'trusted') {
    return [
      `not trusted: ${verdict} (${causes.join(', ')})`,
      ...reasons.map((reason) => `  ${reason}`),
      `  hint: ${hint ?? ''}`,
    ]
  }
  return [
    `chain verifies: ${path.map(({ subject }) => `"${nameLine(subject)}"`).join(' <- ')}`,
    `name verifies: "${facts.name}"`,
    ...(staple === undefined ? [] : [`not revoked: by its OCSP response, until ${stapleOf(staple).until}`]),
    ...remarks.map((remark) => `noticed: ${remark}`),
    ...(reported?.reasons ?? []).map((reason) => `only because pinMode is report: ${reason}`),
  ]
}

function pasteLines(
  { server, serverName, ca }: Asked,
  facts: HandshakeFacts,
  { verdict, path }: Verdict,
): string[] {
  const [leaf] = facts.served
  if (leaf === undefined) return []
  const issuer = path[1]
  return [
    ...(verdict === 'trusted'
      ? []
      : ['# NOT VERIFIED: with these pins alone the proxy will still refuse this broker.']),
    'upstreams:',
    '  NAME:',
    `    servers: [${JSON.stringify(`mqtts://${hostPort(server.host, server.port)}`)}]`,
    '    tls:',
    ...(ca.length === 0 ? [] : [`      ca: ${JSON.stringify(ca)}`]),
    ...(serverName === undefined ? [] : [`      serverName: ${JSON.stringify(serverName)}`]),
    ...(facts.protocol === 'TLSv1.3'
      ? []
      : [`      minVersion: ${facts.protocol} # better: bring the broker to TLS 1.3`]),
    ...(issuer === undefined
      ? ['      singlePin: accept # until there is a second pin: take this line out then']
      : []),
    '      pins:',
    `        # The broker's own key, ${nameLine(leaf.subject)}: change it when the broker gets a new key.`,
    `        - ${JSON.stringify(pinText(leaf))}`,
    ...backupLines(issuer),
  ]
}

function backupLines(issuer: X509Certificate | undefined): string[] {
  if (issuer === undefined) {
    return [
      '        # No issuer verified to pin as a backup: keep a spare key for the broker, and add its pin here.',
    ]
  }
  return [
    `        # Backup, its issuer, ${nameLine(issuer.subject)}: bridges a new key of the broker,`,
    '        # but accepts every certificate for that name by this issuer. Leave it out to be stricter.',
    `        - ${JSON.stringify(pinText(issuer))}`,
  ]
}

/** A key this OpenSSL cannot read has no pin. */
function pinText(certificate: X509Certificate): string {
  try {
    return pinOf(certificate)
  } catch {
    return '(unreadable key)'
  }
}
