// The ledger as an administrator's command sees it: read beside a running proxy, with what was ordered and not done yet.

import { approved, keyOfRecord, read, type DeviceRecord } from '../identity/device.ts'
import { ledgerFile, openBeside, orderOf } from './database.ts'
import type { NumberedOrder } from './protocol.ts'

export interface Catalogue {
  /** By realm and identifier, orders that wait included. */
  readonly devices: readonly DeviceRecord[]
  /** What administrators ordered, the latest first. */
  readonly orders: readonly NumberedOrder[]
}

/** Throws where there is no ledger, or it cannot be read. */
export function readCatalogue(state: string): Catalogue {
  const database = openBeside(ledgerFile(state), { readOnly: true })
  try {
    const devices = new Map<string, DeviceRecord>()
    for (const row of database.prepare('SELECT record FROM devices ORDER BY key').iterate()) {
      const record = read(String(row['record']))
      if (record !== undefined) devices.set(keyOfRecord(record), record)
    }
    const rows = database.prepare('SELECT id, at, by, action, key, done FROM orders ORDER BY id').all()
    for (const row of rows) if (row['done'] === 0) carryOut(devices, orderOf(row))
    return { devices: [...devices.values()], orders: rows.map(orderOf).toReversed() }
  } finally {
    database.close()
  }
}

/** Leaves an order for the proxy, which carries it out within a second, or when it starts. */
export function leaveOrder(state: string, order: Omit<NumberedOrder, 'id'>): void {
  const database = openBeside(ledgerFile(state), { readOnly: false })
  try {
    const { at, by, action, key } = order
    const add = 'INSERT INTO orders (at, by, action, key) VALUES (?, ?, ?, ?)'
    database.prepare(add).run(at, by.slice(0, 200), action, key)
  } finally {
    database.close()
  }
}

function carryOut(devices: Map<string, DeviceRecord>, { action, key, at }: NumberedOrder): void {
  const record = devices.get(key)
  if (record === undefined) return
  if (action === 'forget') devices.delete(key)
  else devices.set(key, approved(record, at))
}
