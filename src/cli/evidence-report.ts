// What `pulseward evidence` prints of incidents and of their hash chain: for people and for programs.
import { join } from 'node:path'
import type { Audit, IncidentDocument, Kept } from '../evidence/audit.ts'
import { printable } from '../printable.ts'
import { aligned } from './columns.ts'

/** Longest text of a record that is printed. */
const longestText = 4096

export function listText(found: Audit): string {
  const rows = found.incidents
    .map(rowOf)
    .map((row) => [
      row.id,
      row.rotated ? 'rotated' : (row.verdict ?? 'unreadable'),
      `${row.count}x`,
      row.lastSeen,
      row.server ?? '',
      row.causes?.join(', ') ?? '',
    ])
  if (rows.length === 0) return 'no incidents\n'
  const table = [['INCIDENT', 'VERDICT', 'SEEN', 'LAST SEEN', 'SERVER', 'CAUSES'], ...rows]
  return `${aligned(table).join('\n')}\n`
}

export function listJson(found: Audit): string {
  return `${JSON.stringify({ incidents: found.incidents.map(rowOf) })}\n`
}

function rowOf(kept: Kept) {
  const { told } = kept
  const { upstream, server, verdict, causes } = documentOf(kept) ?? {}
  return {
    id: told.id,
    sequence: told.sequence,
    firstSeen: new Date(told.firstSeen).toISOString(),
    lastSeen: new Date(told.lastSeen).toISOString(),
    count: told.count,
    sessionsHeldBack: told.sessionsHeldBack,
    applicationBytesSent: told.applicationBytesSent,
    rotated: told.rotated,
    upstream,
    server,
    verdict,
    causes,
    sha256: told.hash,
  }
}

export function showText(folder: string, kept: Kept): string {
  const { told } = kept
  const head = [
    `incident ${told.id}`,
    `  seen      ${told.count} times, last ${new Date(told.lastSeen).toISOString()}`,
    `  held back ${told.sessionsHeldBack} sessions; ${told.applicationBytesSent} application bytes were sent`,
    `  sha256    ${told.hash}`,
  ]
  const document = documentOf(kept)
  if (document === undefined) {
    const why = told.rotated ? 'it was rotated: only its hash is kept' : 'its record is gone or was changed'
    return `${[...head, `  ${why}`].join('\n')}\n`
  }
  const certificates = `  served    ${printable(join(folder, told.id, 'chain.pem'), longestText)}`
  return `${[...head, certificates, '', ...indented(document, '')].join('\n')}\n`
}

export function showJson(folder: string, kept: Kept): string {
  const incident = documentOf(kept)
  return `${JSON.stringify({ ...rowOf(kept), folder: join(folder, kept.told.id), incident: incident ?? null })}\n`
}

/** A record as an outline: names and values, one a line. */
function indented(value: object, margin: string): string[] {
  return Object.entries(value).flatMap(([name, one]: [string, unknown]): string[] => {
    const label = Array.isArray(value) ? '-' : `${name}:`
    if (typeof one === 'string') return [`${margin}${label} ${one}`]
    if (typeof one !== 'object' || one === null)
      return [`${margin}${label} ${one === null ? 'unknown' : JSON.stringify(one)}`]
    const inside = indented(one, `${margin}  `)
    return inside.length === 0 ? [`${margin}${label} none`] : [`${margin}${label}`, ...inside]
  })
}

/** Of a record whose hash fits, every text made safe once more: who can forge a hash chain can forge an escape, too. */
function documentOf({ json }: Kept): IncidentDocument | undefined {
  return json === undefined ? undefined : (safe(JSON.parse(json)) as IncidentDocument)
}

function safe(value: unknown): unknown {
  if (typeof value === 'string') return printable(value, longestText)
  if (Array.isArray(value)) return value.map(safe)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [printable(name), safe(one)]))
}

export function verifyText(found: Audit, missingHead: string | undefined): string {
  const { ok, incidents, rotated, breaks, head } = outcomeOf(found, missingHead)
  const size = `${incidents} incidents, ${rotated} of them rotated, ${found.lines.length} lines`
  if (ok) return `the chain holds: ${size}\nhead ${head}\n`
  const places = breaks.map(({ where, what }) => `  ${where} ${what}`)
  return `the chain is broken: ${size}\n${places.join('\n')}\n`
}

export function verifyJson(found: Audit, missingHead: string | undefined): string {
  return `${JSON.stringify(outcomeOf(found, missingHead))}\n`
}

function outcomeOf(found: Audit, missingHead: string | undefined) {
  const missing =
    missingHead === undefined
      ? []
      : [{ where: 'chain.jsonl', what: `has no line with the hash ${missingHead}` }]
  const breaks = [...found.breaks, ...found.torn, ...missing].map(({ where, what }) => ({
    where: printable(where),
    what: printable(what),
  }))
  return {
    ok: breaks.length === 0,
    incidents: found.incidents.length,
    rotated: found.incidents.filter(({ told }) => told.rotated).length,
    lines: found.lines.length,
    head: found.head,
    breaks,
  }
}
