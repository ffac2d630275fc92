// What `pulseward devices` prints of the ledger: a table, one device in full, and exports for other programs.
import { createHash } from 'node:crypto'
import { keyOfRecord, standingOf, type DeviceRecord } from '../identity/device.ts'
import { traits } from '../identity/observation.ts'
import { signals } from '../identity/signals.ts'
import { stageOf, suspicion } from '../identity/suspicion.ts'
import type { NumberedOrder } from '../ledger/protocol.ts'
import { printable } from '../printable.ts'

/** What stands for a device on a command line, whatever its identifier is made of. */
export function idOf(record: DeviceRecord): string {
  return createHash('sha256').update(keyOfRecord(record)).digest('hex').slice(0, 12)
}

export function listText(devices: readonly DeviceRecord[], now: number): string {
  if (devices.length === 0) return 'no devices\n'
  const rows = devices.map((one) => [
    idOf(one),
    standingOf(one, now),
    printable(one.realm, 32),
    printable(one.clientId, 48),
    one.known.mac?.[0] ?? '-',
    one.known.address?.[0] ?? '-',
    momentOf(one.lastSeen),
  ])
  const table = [['ID', 'STANDING', 'UPSTREAM', 'CLIENT ID', 'MAC', 'ADDRESS', 'LAST SEEN'], ...rows]
  const widths = table[0]?.map((_, column) => longest(table, column)) ?? []
  const lines = table.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

export function showText(record: DeviceRecord, orders: readonly NumberedOrder[], now: number): string {
  const amount = suspicion(record.evidence, now)
  const lines = [
    `device ${idOf(record)}`,
    `  client id   ${printable(record.clientId, 256)}`,
    `  upstream    ${printable(record.realm)}, last on listener ${printable(record.listener)}`,
    `  standing    ${standingOf(record, now)}`,
    `  seen        ${momentOf(record.firstSeen)} to ${momentOf(record.lastSeen)}, ${record.sessions} sessions`,
    `  suspicion   ${amount.toFixed(2)}${stageOf(amount) === undefined ? '' : ` (${stageOf(amount)})`}`,
  ]
  if (record.approvedAt > 0) lines.push(`  approved    ${momentOf(record.approvedAt)}`)
  if (record.roundTrip !== undefined) lines.push(`  round trip  ${record.roundTrip.toFixed(2)} ms at least`)
  for (const trait of traits) {
    const values = record.known[trait]
    if (values !== undefined)
      lines.push(`  ${trait.padEnd(10)}  ${values.map((one) => printable(one)).join(', ')}`)
  }
  const pending = traits.filter((trait) => record.pending[trait] !== undefined)
  if (pending.length > 0)
    lines.push('', 'seen last, and not known; "pulseward devices approve" makes it known:')
  for (const trait of pending) lines.push(`  ${trait.padEnd(10)}  ${printable(record.pending[trait] ?? '')}`)
  if (record.evidence.length > 0) lines.push('', 'what speaks against it:')
  for (const { name, before, after, at } of record.evidence) {
    const change = `${printable(before) || 'nothing'} -> ${printable(after) || 'nothing'}`
    lines.push(`  ${momentOf(at)}  ${name}: ${change}`, `    ${signals[name].explanation}`)
  }
  const key = keyOfRecord(record)
  const own = orders.filter((order) => order.key === key)
  if (own.length > 0) lines.push('', 'what was done:')
  for (const { at, action, by } of own) lines.push(`  ${momentOf(at)}  ${action}  ${printable(by)}`)
  return `${lines.join('\n')}\n`
}

/** One JSON document. */
export function exportJson(devices: readonly DeviceRecord[], now: number): string {
  return `${JSON.stringify({ devices: devices.map((one) => flat(one, now)) })}\n`
}

const columns = [
  'id',
  'standing',
  'upstream',
  'clientId',
  'listener',
  'firstSeen',
  'lastSeen',
  'sessions',
] as const

/** Comma-separated values (RFC 4180), with a line of names; several values of a trait are separated by spaces. */
export function exportCsv(devices: readonly DeviceRecord[], now: number): string {
  const rows = devices.map((one) => {
    const told = flat(one, now)
    return [
      ...columns.map((name) => String(told[name])),
      ...traits.map((trait) => (told.known[trait] ?? []).join(' ')),
    ]
  })
  return `${[[...columns, ...traits], ...rows].map((row) => row.map(field).join(',')).join('\r\n')}\r\n`
}

function flat(record: DeviceRecord, now: number) {
  return {
    id: idOf(record),
    standing: standingOf(record, now),
    upstream: printable(record.realm),
    clientId: printable(record.clientId),
    listener: printable(record.listener),
    firstSeen: momentOf(record.firstSeen),
    lastSeen: momentOf(record.lastSeen),
    sessions: record.sessions,
    approvedAt: record.approvedAt > 0 ? momentOf(record.approvedAt) : null,
    suspicion: Math.round(suspicion(record.evidence, now) * 100) / 100,
    known: Object.fromEntries(
      traits.map((trait) => [trait, (record.known[trait] ?? []).map((one) => printable(one))]),
    ),
    evidence: record.evidence.map(({ name, before, after, at }) => ({
      signal: name,
      before: printable(before),
      after: printable(after),
      at: momentOf(at),
    })),
  }
}

/** In quotes where it has to be; what a spreadsheet would take for a formula is kept from being one. */
function field(value: string): string {
  const tame = /^[=+\-@]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame
}

function momentOf(at: number): string {
  return new Date(Math.min(at, 8.64e15)).toISOString()
}

function longest(table: readonly (readonly string[])[], column: number): number {
  return table.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0)
}
