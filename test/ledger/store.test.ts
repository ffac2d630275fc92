// The ledger on disk: what was written is read again, a kill and damage cost little, and orders of others arrive.

import { readdir, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { firstSight, learned, read, write, type DeviceRecord } from '../../src/identity/device.ts'
import { keyOf } from '../../src/identity/observation.ts'
import { ledgerFile, openBeside } from '../../src/ledger/database.ts'
import type { NumberedOrder } from '../../src/ledger/protocol.ts'
import { Store } from '../../src/ledger/store.ts'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { eventually } from '../help/wait.ts'

const writer = fileURLToPath(new URL('../help/ledger-writer.ts', import.meta.url))

function device(clientId: string, traits = { mac: '02:00:00:00:00:07' }): DeviceRecord {
  const seen = { realm: 'hospital', clientId, listener: 'ward', at: 1, traits }
  return learned(firstSight(seen), seen)
}

/** A store, with what it told. */
async function open(path: string) {
  const told = { records: [] as (DeviceRecord | undefined)[], orders: [] as NumberedOrder[], bytes: 0 }
  const failures: string[] = []
  const store = await Store.open(path, {
    records: (texts) => told.records.push(...texts.map(read)),
    orders: (orders) => told.orders.push(...orders),
    written: (bytes) => (told.bytes = bytes),
    failed: (error) => failures.push(error),
  })
  return { store, told, failures, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

test('what was kept is there after a restart, and what is gone is gone', async () => {
  await using folder = await Folder.make()
  const path = ledgerFile(folder.path)
  {
    await using one = await open(path)
    for (let number = 0; number < 1200; number += 1) {
      const id = `pump-${number}`
      one.store.kept(keyOf('hospital', id), write(device(id)))
    }
    one.store.gone(keyOf('hospital', 'pump-7'))
    expect(one.store.since('ward', 42)).toBe(42)
    expect(one.failures).toEqual([])
  }
  await using other = await open(path)
  expect(other.told.records).toHaveLength(1199)
  expect(other.told.records.find((found) => found?.clientId === 'pump-8')).toEqual(device('pump-8'))
  expect(other.told.records.some((found) => found?.clientId === 'pump-7')).toBe(false)
  expect(other.store.since('ward', 99)).toBe(42)
  expect((await stat(folder.at('ledger'))).mode & 0o777).toBe(0o700)
})

test('a killed process loses nothing that was written', async () => {
  await using folder = await Folder.make()
  const path = ledgerFile(folder.path)
  await using child = new Child(process.execPath, [writer, path])
  const written = (): number => Number(child.stdout.toString().trim().split('\n').at(-1))
  await eventually(
    () => `a thousand devices on disk: ${child.stderr}`,
    () => written() > 1000,
  )
  await child.kill('SIGKILL')
  const count = written()
  await using store = await open(path)
  expect(store.store.damage).toBeUndefined()
  const numbers = new Set(store.told.records.map((found) => Number(found?.clientId.slice(5))))
  for (let one = 1; one <= count; one += 1) expect(numbers.has(one), `pump-${one}`).toBe(true)
})

test.each([
  ['no database at all', 'not a database, but as long as one '.repeat(400)],
  ['an empty file', ''],
])('%s', async (_, content) => {
  await using folder = await Folder.make()
  const path = ledgerFile(folder.path)
  await using first = await open(path)
  await first.store[Symbol.asyncDispose]()
  await writeFile(path, content)
  await using store = await open(path)
  const isDamage = content !== ''
  expect(store.store.damage !== undefined).toBe(isDamage)
  const names = await readdir(folder.at('ledger'))
  expect(names.some((name) => name.startsWith('devices.sqlite.broken-'))).toBe(isDamage)
  store.store.kept('a\nb', write(device('b')))
  await eventually('a batch on disk', () => store.told.bytes > 0)
})

test('a folder that cannot be written to rejects, and says why', async () => {
  await using folder = await Folder.make({ ledger: 'a file where a folder should be' })
  await expect(open(ledgerFile(folder.path))).rejects.toThrow(/EEXIST|ENOTDIR/)
})

test('an order written by another process arrives, and is done once it was carried out', async () => {
  await using folder = await Folder.make()
  const path = ledgerFile(folder.path)
  await using one = await open(path)
  const beside = openBeside(path, { readOnly: false })
  const add = 'INSERT INTO orders (at, by, action, key) VALUES (?, ?, ?, ?)'
  beside.prepare(add).run(5, 'root', 'approve', 'hospital\npump-7')
  const [order] = await eventually('the order', () => one.told.orders.length > 0 && one.told.orders)
  expect(order).toEqual({ id: 1, at: 5, by: 'root', action: 'approve', key: 'hospital\npump-7' })
  one.store.obeyed(1)
  await eventually('the order done', () => beside.prepare('SELECT done FROM orders').get()?.['done'] === 1)
  beside.close()
})

test(
  'while another process holds the file, changes wait and are written after',
  { timeout: 40_000 },
  async () => {
    await using folder = await Folder.make()
    const path = ledgerFile(folder.path)
    await using one = await open(path)
    const beside = openBeside(path, { readOnly: false })
    beside.exec('BEGIN IMMEDIATE')
    one.store.kept('a\nb', write(device('b')))
    await eventually('a failure', () => one.failures.some((error) => error.includes('locked')))
    expect(one.store.waiting).toBe(1)
    beside.exec('COMMIT')
    await eventually('the batch on disk', () => one.store.waiting === 0)
    expect(beside.prepare('SELECT count(*) AS count FROM devices').get()?.['count']).toBe(1)
    beside.close()
  },
)
