// The file behind the ledger: its tables, and how it is opened so that a kill, a full disk or damage costs little.

import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../errors.ts'
import type { NumberedOrder } from './protocol.ts'

/** Of the tables below; a file of another version is none of ours. */
const version = 1
/** Rows of `orders` that are kept after they were carried out, to show who did what. */
export const keptOrders = 1000
/** Time another process may hold the file; milliseconds. */
const patience = 1000

const tables = `
  CREATE TABLE devices (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE listeners (name TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, by TEXT NOT NULL, action TEXT NOT NULL, key TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
  );
`

/** Where the ledger of a state directory is. */
export function ledgerFile(state: string): string {
  return join(state, 'ledger', 'devices.sqlite')
}

export interface Opened {
  readonly database: DatabaseSync
  /** What was damaged, and where it was moved; undefined where nothing was. */
  readonly damage: { readonly error: string; readonly movedTo: string } | undefined
}

/** Opens the file for its one writer; a damaged one is moved aside and begun anew. Throws where neither can be done. */
export function openForWriting(path: string, now: number): Opened {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    return { database: prepared(path), damage: undefined }
  } catch (error) {
    if (!isDamage(error)) throw error
    const movedTo = moveAside(path, now)
    return { database: prepared(path), damage: { error: messageOf(error), movedTo } }
  }
}

/** Opens it beside the writer; throws where there is no ledger or it cannot be read. */
export function openBeside(path: string, { readOnly }: { readonly readOnly: boolean }): DatabaseSync {
  statSync(path)
  const database = new DatabaseSync(path, { readOnly, timeout: patience })
  const found = database.prepare('PRAGMA user_version').get()?.['user_version']
  if (found === version) return database
  database.close()
  throw new Error(`its version is ${String(found)}, expected ${version}`)
}

/** A row of `orders`. */
export function orderOf(row: Readonly<Record<string, unknown>>): NumberedOrder {
  const action = row['action'] === 'forget' ? 'forget' : 'approve'
  return {
    id: Number(row['id']),
    at: Number(row['at']),
    by: String(row['by']),
    action,
    key: String(row['key']),
  }
}

function prepared(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: patience })
  try {
    // Written through when the log is folded into the file, not at every batch: a power cut may cost the last batches,
    // a kill of the process costs none that was written.
    database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304',
    )
    const check = database.prepare('PRAGMA quick_check(1)').get()
    if (check?.['quick_check'] !== 'ok') throw new Damage(String(check?.['quick_check']))
    const found = database.prepare('PRAGMA user_version').get()?.['user_version']
    if (found === 0) database.exec(`BEGIN; ${tables} PRAGMA user_version = ${version}; COMMIT`)
    else if (found !== version) throw new Damage(`its version is ${String(found)}, expected ${version}`)
    database.prepare('SELECT count(*) FROM listeners').get()
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

class Damage extends Error {}

/** What SQLite says of a file that is none, or is torn: SQLITE_CORRUPT and SQLITE_NOTADB; or tables that are not there. */
function isDamage(error: unknown): boolean {
  if (error instanceof Damage) return true
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  return code === 11 || code === 26 || code === 1
}

function moveAside(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[:.]/g, '-')
  const aside = `${path}.broken-${stamp}`
  renameSync(path, aside)
  // Belonging to the file that was moved, they would spoil the new one.
  for (const end of ['-wal', '-shm']) rmSync(join(dirname(path), `${basename(path)}${end}`), { force: true })
  return aside
}
