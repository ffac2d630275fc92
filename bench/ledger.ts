// What the ledger of devices costs: memory, disk, lookups, and how long its batches keep the proxy's thread busy.
//
//   node --expose-gc bench/ledger.ts [DEVICES]

import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Desk } from '../src/identity/desk.ts'
import { DeviceTable } from '../src/identity/ledger.ts'
import { Neighbours } from '../src/identity/neighbours.ts'
import { keyOf, type Observation } from '../src/identity/observation.ts'
import { ledgerFile } from '../src/ledger/database.ts'
import { Store } from '../src/ledger/store.ts'

const devices = Number(process.argv[2] ?? 100_000)
/** The second half runs in a process of its own, whose memory is that of a proxy after a restart. */
const given = process.argv[3]
const state = given ?? (await mkdtemp(join(tmpdir(), 'pulseward-ledger-')))
const path = ledgerFile(state)
if (given === undefined) {
  await fill()
  const again = ['--expose-gc', import.meta.filename, String(devices), state]
  spawnSync(process.execPath, again, { stdio: 'inherit' })
  await rm(state, { recursive: true })
} else await restart()

/** Every device comes twice; what it costs until all of it is on disk. */
async function fill(): Promise<void> {
  const before = memory()
  const store = await Store.open(path, {
    records: () => {},
    orders: () => {},
    written: () => {},
    failed: report,
  })
  const table = new DeviceTable({ devices, age: Infinity }, store)
  const desk = new Desk({ ledger: table, neighbours: new Neighbours(), clock: Date.now })
  // The loop is sampled every millisecond: the figures below have that millisecond in them.
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let spent = 0
  for (let one = 0; one < devices * 2; one += 1) {
    const began = performance.now()
    session(desk, one % devices)
    spent += performance.now() - began
    if (one % 100 === 99) await sleep(0)
  }
  while (store.waiting > 0) await sleep(20)
  delay.disable()
  const bytes = (await stat(path)).size + ((await stat(`${path}-wal`).catch(() => undefined))?.size ?? 0)
  const lookups = 1_000_000
  const began = performance.now()
  for (let one = 0; one < lookups; one += 1) table.find(keyOf('hospital', idOf((one * 7919) % devices)))
  tell('devices', table.size, '')
  tell('a session: compared, learnt and queued', (spent / devices / 2) * 1000, 'µs')
  tell('a lookup', ((performance.now() - began) / lookups) * 1000, 'µs')
  tell('the loop late, median', delay.percentile(50) / 1e6, 'ms')
  tell('the loop late, 99th percentile', delay.percentile(99) / 1e6, 'ms')
  tell('memory while written, beyond the start', (memory() - before) / 2 ** 20, 'MiB')
  tell('on disk', bytes / 2 ** 20, 'MiB')
  await store[Symbol.asyncDispose]()
  tell('on disk, closed', (await stat(path)).size / 2 ** 20, 'MiB')
}

async function restart(): Promise<void> {
  const before = memory()
  const began = performance.now()
  const table = new DeviceTable({ devices, age: Infinity }, { kept: () => {}, gone: () => {} })
  const records = (texts: readonly string[]): void => {
    for (const text of texts) table.restore(text)
  }
  const store = await Store.open(path, { records, orders: () => {}, written: () => {}, failed: report })
  tell('read at the start', performance.now() - began, 'ms')
  tell('devices read', table.size, '')
  tell('memory after a restart, beyond the start', (memory() - before) / 2 ** 20, 'MiB')
  await store[Symbol.asyncDispose]()
}

function session(desk: Desk, number: number): void {
  const hex = number.toString(16).padStart(6, '0')
  const seen: Observation = {
    realm: 'hospital',
    clientId: idOf(number),
    listener: 'ward',
    at: Date.now(),
    traits: {
      mac: `02:00:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`,
      address: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
      syn: 'ip4 ttl64 win64240 scale7 mss1460 MSTNW d',
      hops: '0',
      profile: 'v4;f2;k60;ia4-96;p',
      login: `ab12:${hex}0123456789`,
    },
  }
  const { visitor } = desk.arrive(seen, false, () => {})
  desk.accepted(visitor)
  desk.left(visitor)
}

function idOf(number: number): string {
  return `pump-${number.toString().padStart(6, '0')}`
}

function memory(): number {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

function report(error: string): void {
  process.stderr.write(`${error}\n`)
}

function tell(what: string, value: number, unit: string): void {
  process.stdout.write(`${what.padEnd(40)} ${Number.isInteger(value) ? value : value.toFixed(3)} ${unit}\n`)
}
