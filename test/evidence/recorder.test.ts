// What becomes of sightings: one incident while it lasts, bounded in every way, whatever the disk does.

import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { audit, type IncidentDocument } from '../../src/evidence/audit.ts'
import { Evidence, type EvidenceSettings } from '../../src/evidence/recorder.ts'
import { Folder } from '../help/folder.ts'
import { makePki } from '../help/pki.ts'
import { inForce, sighting, software, type SightingOptions } from '../help/sightings.ts'

const hour = 3_600_000
const begin = Date.UTC(2026, 10, 22, 8)

async function bench(settings: Partial<EvidenceSettings> = {}, folder?: Folder) {
  const place = folder ?? (await Folder.make())
  let now = begin
  const counts = { recorded: [] as string[], failed: [] as string[], bytes: 0 }
  const log: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = []
  const open = () => {
    const evidence = new Evidence({
      software,
      metrics: {
        evidenceRecorded: (verdict) => void counts.recorded.push(verdict),
        evidenceFailed: (reason) => void counts.failed.push(reason),
        evidenceHeld: (bytes) => (counts.bytes = bytes),
      },
      log: (level, _kind, fields, message) => void log.push({ level, message, fields }),
      clock: () => now,
    })
    evidence.adopt({ state: place.path, repeat: hour, maxSize: 1 << 20, maxIncidents: 1000, ...settings })
    return evidence
  }
  let evidence = open()
  return {
    folder: place,
    counts,
    log,
    at: (name: string) => place.at(`evidence/${name}`),
    pass: (milliseconds: number) => (now += milliseconds),
    see: (options: SightingOptions = {}) => evidence.record(sighting({ at: now, ...options }), inForce),
    adopt: (more: Partial<EvidenceSettings>) =>
      evidence.adopt({ state: place.path, repeat: hour, maxSize: 1 << 20, maxIncidents: 1000, ...more }),
    audit: async () => await audit(place.at('evidence')),
    /** Ends it as a stop of the proxy does, and begins anew. */
    async restart() {
      await evidence[Symbol.asyncDispose]()
      evidence = open()
    },
    async [Symbol.asyncDispose]() {
      await evidence[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

describe('an incident', () => {
  test('says all that was seen, holds the served chain, and is private', async () => {
    const pki = await makePki()
    const rogue = await pki.issue()
    await using one = await bench()
    one.see({ served: [rogue.cert, pki.ca.cert], reasons: ['its subject is "\u202Eevil\u001B[2J"'] })
    await one.restart()
    const found = await one.audit()
    expect(found.breaks).toEqual([])
    expect(found.incidents).toHaveLength(1)
    const id = '000001-20261122T080000Z'
    const json = await readFile(one.at(`${id}/incident.json`), 'utf8')
    const leafSha256 = new X509Certificate(rogue.cert).fingerprint256
    expect(JSON.parse(json)).toMatchObject({
      id,
      sequence: 1,
      previous: '0'.repeat(64),
      time: '2026-11-22T08:00:00.000Z',
      upstream: 'hospital',
      server: 'broker.example:8883',
      address: '192.0.2.7:8883',
      verdict: 'likely-mitm',
      causes: ['untrusted-chain', 'pin-mismatch'],
      reasons: [String.raw`its subject is "\u{202e}evil\u{1b}[2J"`],
      handshake: { protocol: 'TLSv1.3', group: 'X25519MLKEM768', resumed: false },
      served: { certificates: 2, leafSha256, pins: [{ pin: 'sha256/served', position: 0 }] },
      configuredPins: ['sha256/configured'],
      config: inForce,
      software,
      sessionsHeldBack: 1,
      applicationBytesSent: 0,
      timeline: { dialBegan: '2026-11-22T07:59:59.970Z', socketDestroyed: '2026-11-22T08:00:00.000Z' },
    })
    expect(await readFile(one.at(`${id}/chain.pem`), 'utf8')).toBe(
      [rogue.cert, pki.ca.cert].map((pem) => new X509Certificate(pem).toString()).join(''),
    )
    for (const name of ['', 'chain.jsonl', 'head.json', id, `${id}/incident.json`, `${id}/chain.pem`]) {
      expect((await stat(one.at(name))).mode & 0o077, name).toBe(0)
    }
    expect(one.counts).toMatchObject({ recorded: ['likely-mitm'], failed: [] })
    const recorded = {
      level: 'warn',
      message: 'evidence recorded',
      fields: expect.objectContaining({ incident: id }),
    }
    expect(one.log).toEqual([recorded])
  })

  test('is one for as long as it lasts: repeats only raise its count', async () => {
    await using one = await bench()
    for (let knock = 0; knock < 50; knock += 1) {
      one.see()
      one.pass(hour - 1)
    }
    await one.restart()
    const found = await one.audit()
    expect(found.breaks).toEqual([])
    expect(found.incidents.map(({ told }) => [told.count, told.sessionsHeldBack])).toEqual([[50, 50]])
    expect(found.incidents[0]?.told.lastSeen).toBe(begin + 49 * (hour - 1))
    // Some lines, not fifty.
    expect(found.lines.length).toBeLessThan(10)
    expect(one.counts.recorded).toHaveLength(1)
  })

  test('goes on after a restart, and another begins once it was not seen for long enough', async () => {
    await using one = await bench()
    one.see()
    await one.restart()
    one.pass(hour)
    one.see()
    await one.restart()
    one.pass(hour + 1)
    one.see()
    await one.restart()
    expect((await one.audit()).incidents.map(({ told }) => told.count)).toEqual([2, 1])
  })

  test('is another one with another server, or another certificate', async () => {
    const pki = await makePki()
    const [first, second] = [await pki.issue(), await pki.issue()]
    await using one = await bench()
    one.see({ served: [first.cert] })
    one.see({ served: [second.cert] })
    one.see({ served: [first.cert], server: 'other.example:8883' })
    one.see({ served: [first.cert] })
    await one.restart()
    const { incidents } = await one.audit()
    expect(incidents.map(({ told }) => told.count)).toEqual([2, 1, 1])
    const documents = incidents.map(({ json }) => JSON.parse(json ?? '') as IncidentDocument)
    expect(documents.slice(1).map(({ previous }) => previous)).toEqual(
      incidents.slice(0, -1).map(({ told }) => told.hash),
    )
  })
})

describe('bounds', () => {
  test('the oldest incidents go, their hashes stay, and the chain still holds', async () => {
    await using one = await bench({ maxIncidents: 3 })
    for (let number = 0; number < 8; number += 1) one.see({ server: `s${number}:1` })
    await one.restart()
    const found = await one.audit()
    expect(found.breaks).toEqual([])
    expect(found.incidents.map(({ told }) => told.rotated)).toEqual([1, 1, 1, 1, 1, 0, 0, 0].map(Boolean))
    expect((await readdir(one.at(''))).filter((name) => /^\d/.test(name))).toHaveLength(3)
    // A rotated one that is seen again is a new one.
    one.see({ server: 's0:1' })
    await one.restart()
    expect((await one.audit()).incidents).toHaveLength(9)
  })

  test('a smaller size comes into force with a reload', async () => {
    await using one = await bench()
    for (let number = 0; number < 20; number += 1) one.see({ server: `s${number}:1` })
    one.adopt({ maxSize: 16_384 })
    await one.restart()
    const found = await one.audit()
    expect(found.breaks).toEqual([])
    const kept = found.incidents.filter(({ told }) => !told.rotated)
    expect(kept.length).toBeGreaterThan(1)
    expect(found.chainBytes + kept.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(16_384)
    expect(one.counts.bytes).toBeLessThanOrEqual(16_384)
  })

  test('a server that shows something new each time fills no disk', async () => {
    await using one = await bench()
    const pki = await makePki()
    const leaves = await Promise.all(Array.from({ length: 105 }, async () => await pki.issue()))
    for (const { cert } of leaves) one.see({ served: [cert], server: 'x:1' })
    await one.restart()
    expect((await one.audit()).incidents).toHaveLength(100)
    expect(one.counts.failed).toEqual(Array.from({ length: 5 }, () => 'too-many'))
  })

  test('a burst of repeats waits as one line', async () => {
    await using one = await bench()
    for (let knock = 0; knock < 5000; knock += 1) one.see()
    await one.restart()
    const found = await one.audit()
    expect(found.incidents.map(({ told }) => told.count)).toEqual([5000])
    expect(found.lines).toHaveLength(2)
    expect(one.counts.failed).toEqual([])
  })

  test('more than can wait for the disk is lost and counted', async () => {
    await using one = await bench()
    for (let number = 0; number < 300; number += 1) one.see({ server: `s${number}:1` })
    await one.restart()
    const { failed, recorded } = one.counts
    expect(recorded.length + failed.length).toBe(300)
    expect(new Set(failed)).toEqual(new Set(['queue-full']))
    expect((await one.audit()).breaks).toEqual([])
  })

  test('a chain that alone is too large takes no more, and says so', async () => {
    await using one = await bench()
    one.see()
    await one.restart()
    one.adopt({ maxSize: 100 })
    one.see({ server: 'next:1' })
    await one.restart()
    expect(one.counts.failed).toEqual(['full'])
    expect((await one.audit()).breaks).toEqual([])
  })
})

describe('trouble', () => {
  test('a store that cannot be written costs evidence, not service, and comes back', async () => {
    const folder = await Folder.make({ evidence: 'a file is in the way' })
    await using one = await bench({}, folder)
    expect(() => one.see()).not.toThrow()
    await one.restart()
    expect(one.counts.failed.length).toBeGreaterThan(0)
    expect(one.counts.recorded).toEqual([])
    await rm(folder.at('evidence'))
    one.pass(5000)
    one.see()
    await one.restart()
    expect(one.counts.recorded).toHaveLength(1)
    expect((await one.audit()).breaks).toEqual([])
  })

  test('a full disk costs evidence, is counted as full, and breaks nothing', async () => {
    const folder = await Folder.make()
    await mkdir(folder.at('evidence'))
    await using one = await bench({}, folder)
    one.see()
    await expect.poll(() => one.counts.recorded.length).toBe(1)
    // Every write to it fails with ENOSPC, and it is as long as nothing.
    await rm(folder.at('evidence'), { recursive: true })
    await one.restart()
    await mkdir(folder.at('evidence'))
    await symlink('/dev/full', one.at('chain.jsonl'))
    one.see({ server: 'full:1' })
    await expect.poll(() => one.counts.failed).toEqual(['full'])
    expect(await readdir(one.at(''))).toContain('.pending-000001-20261122T080000Z')
    await rm(one.at('chain.jsonl'))
    one.pass(5000)
    one.see({ server: 'full:1' })
    await one.restart()
    const found = await one.audit()
    expect([found.breaks, found.torn, found.incidents.length]).toEqual([[], [], 1])
    expect(one.log.map(({ message }) => message)).toContain('evidence not recorded; sessions go on')
  })

  test('a changed store is moved aside, reported, and begun anew; nothing else is touched', async () => {
    const folder = await Folder.make({ 'other.txt': 'kept' })
    await using one = await bench({}, folder)
    one.see()
    await one.restart()
    const path = one.at('000001-20261122T080000Z/incident.json')
    await writeFile(path, (await readFile(path, 'utf8')).replace('likely-mitm', 'trusted'))
    await one.restart()
    one.see()
    await one.restart()
    const report = one.log.find(({ level }) => level === 'error')
    expect(report?.message).toContain('changed or damaged')
    expect(report?.fields['where']).toEqual([
      '000001-20261122T080000Z/incident.json is not what was recorded',
    ])
    const names = await readdir(folder.path)
    const aside = names.find((name) => name.startsWith('evidence.broken-')) ?? ''
    expect(await readFile(folder.at(`${aside}/000001-20261122T080000Z/incident.json`), 'utf8')).toContain(
      '"trusted"',
    )
    expect(await readFile(folder.at('other.txt'), 'utf8')).toBe('kept')
    const found = await one.audit()
    expect([found.breaks, found.incidents.length]).toEqual([[], 1])
  })

  test('a torn tail and a folder without a line are moved aside; the rest stays', async () => {
    const folder = await Folder.make()
    await using one = await bench({}, folder)
    one.see()
    await one.restart()
    await writeFile(one.at('chain.jsonl'), '{"sequence":2,"ki', { flag: 'a' })
    await mkdir(one.at('.pending-000002-20261122T090000Z'))
    expect((await one.audit()).torn).toHaveLength(2)
    await one.restart()
    await one.restart()
    const found = await one.audit()
    expect([found.breaks, found.torn, found.incidents.length]).toEqual([[], [], 1])
    const aside = (await readdir(folder.path)).find((name) => name.startsWith('evidence.torn-')) ?? ''
    expect(await readFile(folder.at(`${aside}/tail.txt`), 'utf8')).toBe('{"sequence":2,"ki')
    expect(await readdir(folder.at(aside))).toContain('pending-000002-20261122T090000Z')
    expect(one.log.some(({ message }) => message.includes('cut short'))).toBe(true)
  })

  test('what a crash left between two steps is completed', async () => {
    await using one = await bench({ maxIncidents: 2 })
    for (let number = 0; number < 4; number += 1) one.see({ server: `s${number}:1` })
    await one.restart()
    const last = '000004-20261122T080000Z'
    await rename(one.at(last), one.at(`.pending-${last}`))
    await mkdir(one.at('000001-20261122T080000Z'))
    expect((await one.audit()).breaks).toEqual([])
    await one.restart()
    await one.restart()
    expect((await readdir(one.at(''))).toSorted()).toEqual([
      '000003-20261122T080000Z',
      last,
      'chain.jsonl',
      'head.json',
    ])
    expect(one.log.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('another state directory has another store, and the first is finished', async () => {
    const folder = await Folder.make()
    await using one = await bench({}, folder)
    one.see()
    one.see()
    one.see()
    one.adopt({ state: folder.at('elsewhere') })
    one.see()
    await one.restart()
    const found = [await one.audit(), await audit(folder.at('elsewhere/evidence'))]
    expect(found.map(({ breaks }) => breaks)).toEqual([[], []])
    expect(found.flatMap(({ incidents }) => incidents.map(({ told }) => told.count))).toEqual([3, 1])
  })

  test('a folder that an administrator archives while the proxy runs is begun anew', async () => {
    const folder = await Folder.make()
    await using one = await bench({}, folder)
    one.see()
    await one.restart()
    one.see({ server: 'a:1' })
    await expect.poll(() => one.counts.recorded.length).toBe(2)
    await rename(folder.at('evidence'), folder.at('archive'))
    one.see({ server: 'b:1' })
    await one.restart()
    expect((await audit(folder.at('archive'))).breaks).toEqual([])
    const found = await one.audit()
    expect([found.breaks, found.incidents.length]).toEqual([[], 1])
  })
})
