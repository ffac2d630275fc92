// The command `devices`: what it shows of a ledger, what it orders, and that nothing a device made up can forge a line.

import { expect, test } from 'vitest'
import { devices } from '../../src/cli/devices.ts'
import { idOf } from '../../src/cli/devices-report.ts'
import { firstSight, keyOfRecord, learned, write, type DeviceRecord } from '../../src/identity/device.ts'
import { withSignals } from '../../src/identity/suspicion.ts'
import { ledgerFile } from '../../src/ledger/database.ts'
import { readCatalogue } from '../../src/ledger/catalogue.ts'
import { Store } from '../../src/ledger/store.ts'
import { Folder } from '../help/folder.ts'

const yaml = 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\n'
const at = Date.now()

function device(clientId: string, more: Partial<DeviceRecord> = {}): DeviceRecord {
  const traits = { mac: '02:00:00:00:00:07', address: '192.0.2.7', profile: 'v4;f2;k60;ia4-91;p' }
  const seen = { realm: 'hospital', clientId, listener: 'ward', at, traits }
  return { ...learned(firstSight(seen), seen), ...more }
}

const suspect = device('pump-7', {
  evidence: withSignals(
    [],
    [{ name: 'mac-changed', before: '02:00:00:00:00:07', after: '02:00:00:00:00:66' }],
    at,
  ),
  pending: { mac: '02:00:00:00:00:66' },
})

/** A state directory with these devices, and the command in it. */
async function withLedger(...records: readonly DeviceRecord[]) {
  const folder = await Folder.make({ 'proxy.yaml': yaml })
  const ignore = (): void => {}
  const path = ledgerFile(folder.at('state'))
  const store = await Store.open(path, { records: ignore, orders: ignore, written: ignore, failed: ignore })
  for (const record of records) store.kept(keyOfRecord(record), write(record))
  await store[Symbol.asyncDispose]()
  return {
    ...commandIn(folder),
    state: folder.at('state'),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

function commandIn(folder: Folder) {
  const run = async (...args: string[]): Promise<string> => {
    let out = ''
    const stdout = (text: string): void => void (out += text)
    const code = await devices(args, { stdout, stderr: stdout, env: {}, cwd: folder.path })
    expect(code).toBe(0)
    return out
  }
  return { run }
}

test('list has a line for each device, with what is said of it', async () => {
  await using ledger = await withLedger(suspect, device('monitor-8', { sessions: 3 }), device('new-9'))
  const lines = (await ledger.run('list')).trimEnd().split('\n')
  expect(lines[0]).toMatch(/^ID +STANDING +UPSTREAM +CLIENT ID +MAC +ADDRESS +LAST SEEN$/)
  expect(lines.slice(1).map((line) => line.split(/ {2,}/).slice(1, 4))).toEqual([
    ['known', 'hospital', 'monitor-8'],
    ['new', 'hospital', 'new-9'],
    ['suspected', 'hospital', 'pump-7'],
  ])
})

test('show has what is known, what speaks against the device, and what approving would make known', async () => {
  await using ledger = await withLedger(suspect)
  for (const name of ['pump-7', idOf(suspect)]) {
    const text = await ledger.run('show', name)
    expect(text).toContain('standing    suspected')
    expect(text).toContain('mac-changed: 02:00:00:00:00:07 -> 02:00:00:00:00:66')
    expect(text).toMatch(/not known; .*approve.*\n {2}mac {9}02:00:00:00:00:66/)
  }
})

test('approve and forget are orders for the proxy, and are seen at once', async () => {
  await using ledger = await withLedger(suspect, device('monitor-8'))
  expect(await ledger.run('approve', 'pump-7')).toContain('approved as it was seen last')
  expect(await ledger.run('forget', 'monitor-8')).toContain('forgotten')
  const list = await ledger.run('list')
  expect(list).toMatch(/approved +hospital +pump-7 +02:00:00:00:00:66/)
  expect(list).not.toContain('monitor-8')
  expect(await ledger.run('show', 'pump-7')).toMatch(/what was done:\n.* approve {2}\S/)
  expect(readCatalogue(ledger.state).orders.map(({ action }) => action)).toEqual(['forget', 'approve'])
})

test('export is JSON, or CSV that no spreadsheet takes for a formula', async () => {
  await using ledger = await withLedger(suspect, device('=cmd|x,"y"'))
  const { devices: all } = JSON.parse(await ledger.run('export', '--json')) as {
    devices: { clientId: string; suspicion: number }[]
  }
  expect(all.map(({ clientId }) => clientId)).toEqual(['=cmd|x,"y"', 'pump-7'])
  expect(all[1]?.suspicion).toBeGreaterThan(0.5)
  const [head, evil, plain] = (await ledger.run('export', '--csv')).split('\r\n')
  expect(head).toBe(
    'id,standing,upstream,clientId,listener,firstSeen,lastSeen,sessions,mac,address,syn,hops,ja4,profile,login',
  )
  expect(evil).toContain(`,"'=cmd|x,""y""",`)
  expect(plain).toContain(',hospital,pump-7,ward,')
})

test('what a device made up is escaped wherever it is shown', async () => {
  const forged = 'pump\u001B[2J\u202Egnp\nID  approved'
  await using ledger = await withLedger(device(forged, { known: { profile: ['x\u001B]0;y'] } }))
  const id = idOf(device(forged))
  for (const args of [['list'], ['show', id], ['export', '--csv'], ['export', '--json'], ['approve', id]]) {
    const out = await ledger.run(...args)
    expect(out.includes('\u001B') || out.includes('\u202E'), args.join(' ')).toBe(false)
    expect(out).toContain('pump')
  }
})

test('what cannot be done says why', async () => {
  await using ledger = await withLedger(suspect, { ...suspect, realm: 'clinic' })
  await expect(ledger.run('show', 'nobody')).rejects.toThrow('there is no device "nobody"')
  await expect(ledger.run('show', 'pump-7')).rejects.toThrow('several upstreams')
  expect(await ledger.run('show', '--upstream', 'clinic', 'pump-7')).toContain('upstream    clinic')
  await using folder = await Folder.make({ 'proxy.yaml': yaml })
  await expect(commandIn(folder).run('list')).rejects.toThrow('there is no ledger yet')
})

test.each([
  [[]],
  [['list', 'pump-7']],
  [['show']],
  [['list', '--csv']],
  [['export', '--csv', '--json']],
  [['burn']],
])('%j is no sound command line', async (args) => {
  await using folder = await Folder.make({ 'proxy.yaml': yaml })
  await expect(commandIn(folder).run(...args)).rejects.toMatchObject({ code: 'usage' })
})
