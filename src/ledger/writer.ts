// The thread that alone writes the ledger's file: SQLite blocks whoever calls it, and sessions must not wait.

import { statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../errors.ts'
import { keptOrders, openForWriting, orderOf } from './database.ts'
import type { Report, Request, WriterData } from './protocol.ts'

/** Records handed over at once. */
const chunk = 500
/** How often orders of another process are looked for; milliseconds. */
const orderCheck = 1000

const { path } = workerData as WriterData
const port = parentPort

function serve(from: NonNullable<typeof parentPort>): void {
  const { database, damage } = openForWriting(path, Date.now())
  handOver(database)
  tell({ kind: 'ready', listeners: listenersOf(database), damage })
  const orders = new Orders(database)
  const timer = setInterval(() => orders.look(), orderCheck)
  orders.look()
  from.on('message', (request: Request) => {
    if (request.kind === 'write') return write(database, request)
    if (request.kind === 'begin') return begin(database, request)
    clearInterval(timer)
    database.close()
    tell({ kind: 'closed' })
    from.close()
  })
}

function handOver(database: DatabaseSync): void {
  let records: string[] = []
  for (const row of database.prepare('SELECT record FROM devices').iterate()) {
    records.push(String(row['record']))
    if (records.length < chunk) continue
    tell({ kind: 'records', records })
    records = []
  }
  if (records.length > 0) tell({ kind: 'records', records })
}

function listenersOf(database: DatabaseSync): Record<string, number> {
  const rows = database.prepare('SELECT name, since FROM listeners').all()
  return Object.fromEntries(rows.map(({ name, since }) => [String(name), Number(since)]))
}

function write(database: DatabaseSync, { kept, gone, obeyed }: Request & { kind: 'write' }): void {
  try {
    database.exec('BEGIN IMMEDIATE')
    const keep = database.prepare('INSERT OR REPLACE INTO devices (key, record) VALUES (?, ?)')
    for (let at = 0; at + 1 < kept.length; at += 2) keep.run(kept[at] ?? '', kept[at + 1] ?? '')
    const forget = database.prepare('DELETE FROM devices WHERE key = ?')
    for (const key of gone) forget.run(key)
    if (obeyed > 0) {
      database.prepare('UPDATE orders SET done = 1 WHERE done = 0 AND id <= ?').run(obeyed)
      database.prepare('DELETE FROM orders WHERE done = 1 AND id <= ? - ?').run(obeyed, keptOrders)
    }
    database.exec('COMMIT')
    tell({ kind: 'written', bytes: size() })
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    tell({ kind: 'failed', error: messageOf(error) })
  }
}

/** A listener learns from the moment it is first there, not anew at every start. */
function begin(database: DatabaseSync, { listener, since }: Request & { kind: 'begin' }): void {
  try {
    database.prepare('INSERT OR IGNORE INTO listeners (name, since) VALUES (?, ?)').run(listener, since)
  } catch (error) {
    tell({ kind: 'failed', error: messageOf(error) })
  }
}

function size(): number {
  let bytes = 0
  for (const end of ['', '-wal']) bytes += statSync(path + end, { throwIfNoEntry: false })?.size ?? 0
  return bytes
}

/** Looks for what administrators ordered, only when another process has written. */
class Orders {
  readonly #database: DatabaseSync
  #version: unknown
  #last = 0

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  look(): void {
    try {
      const version = this.#database.prepare('PRAGMA data_version').get()?.['data_version']
      if (version === this.#version) return
      this.#version = version
      const rows = this.#database
        .prepare(
          'SELECT id, at, by, action, key FROM orders WHERE done = 0 AND id > ? ORDER BY id LIMIT 1000',
        )
        .all(this.#last)
      if (rows.length === 0) return
      const orders = rows.map(orderOf)
      this.#last = orders.at(-1)?.id ?? this.#last
      tell({ kind: 'orders', orders })
      // There may be more than one look takes.
      if (rows.length === 1000) this.#version = undefined
    } catch (error) {
      tell({ kind: 'failed', error: messageOf(error) })
    }
  }
}

function tell(report: Report): void {
  port?.postMessage(report)
}

if (port !== null) {
  try {
    serve(port)
  } catch (error) {
    tell({ kind: 'failed', error: messageOf(error) })
    tell({ kind: 'closed' })
  }
}
