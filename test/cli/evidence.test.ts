import { readFile, rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { evidence, evidenceHelp } from '../../src/cli/evidence.ts'
import { UsageError } from '../../src/cli/io.ts'
import { Store } from '../../src/evidence/store.ts'
import { Folder } from '../help/folder.ts'
import { inForce, sighting, software } from '../help/sightings.ts'

const begin = Date.UTC(2026, 10, 22, 8)
const limits = { maxSize: 1 << 20, maxIncidents: 2 }
const [oldest, first, second] = [
  '000001-20261122T080000Z',
  '000002-20261122T080001Z',
  '000003-20261122T080002Z',
]
const yaml = 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\nstate: kept\n'

async function run(cwd: string, ...args: readonly string[]) {
  const printed = { out: '', err: '' }
  const status = await evidence([...args], {
    stdout: (text) => void (printed.out += text),
    stderr: (text) => void (printed.err += text),
    env: {},
    cwd,
  })
  return { status, ...printed }
}

/** Three incidents, the first rotated, the second seen nine times. */
async function stocked(): Promise<Folder & { readonly head: string }> {
  const folder = await Folder.make({ 'proxy.yaml': yaml })
  const { store } = await Store.open(folder.at('kept/evidence'), software, begin)
  for (let number = 0; number < 3; number += 1) {
    const reasons = ['its subject is "\u202Eevil\u001B[2J"']
    await store.add(sighting({ server: `b${number}:1`, reasons, at: begin + number * 1000 }), inForce, limits)
  }
  await store.rotate(limits, begin)
  await store.repeat({
    id: first,
    count: 9,
    sessionsHeldBack: 7,
    applicationBytesSent: 0,
    at: begin + 60_000,
  })
  return Object.assign(folder, { head: store.head })
}

test('list tells the incidents, the oldest first', async () => {
  await using folder = await stocked()
  const { status, out, err } = await run(folder.path, 'list')
  expect([status, err]).toEqual([0, ''])
  expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['INCIDENT', 'VERDICT', 'SEEN', 'LAST SEEN', 'SERVER', 'CAUSES'],
    [oldest, 'rotated', '1x', '2026-11-22T08:00:00.000Z'],
    [first, 'likely-mitm', '9x', '2026-11-22T08:01:00.000Z', 'b1:1', 'untrusted-chain, pin-mismatch'],
    [second, 'likely-mitm', '1x', '2026-11-22T08:00:02.000Z', 'b2:1', 'untrusted-chain, pin-mismatch'],
    [''],
  ])
  const { incidents } = JSON.parse((await run(folder.path, 'list', '--json')).out) as { incidents: object[] }
  expect(incidents).toMatchObject([
    { id: oldest, rotated: true, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    { id: first, count: 9, sessionsHeldBack: 7, applicationBytesSent: 0, server: 'b1:1' },
    { id: second, rotated: false },
  ])
})

test('show tells one of them, with what the broker said made harmless', async () => {
  await using folder = await stocked()
  const { status, out } = await run(folder.path, 'show', first)
  expect(status).toBe(0)
  for (const shown of [
    'seen      9 times, last 2026-11-22T08:01:00.000Z',
    'held back 7 sessions; 0 application bytes were sent',
    folder.at(`kept/evidence/${first}/chain.pem`),
    String.raw`  - its subject is "\u{202e}evil\u{1b}[2J"`,
    '  protocol: TLSv1.3',
    'applicationBytesSent: 0',
    '  verdictGiven: 2026-11-22T08:00:01.000Z',
  ]) {
    expect(out).toContain(shown)
  }
  for (const raw of ['\u202E', '\u001B']) expect(out).not.toContain(raw)
  const json = JSON.parse((await run(folder.path, 'show', '--json', first)).out) as object
  expect(json).toMatchObject({ id: first, count: 9, incident: { verdict: 'likely-mitm', software } })
  const rotated = await run(folder.path, 'show', oldest)
  expect([rotated.status, rotated.out.includes('only its hash is kept')]).toEqual([0, true])
})

test('verify says that the chain holds, and whether a hash noted elsewhere is in it', async () => {
  await using folder = await stocked()
  const { status, out } = await run(folder.path, 'verify', '--head', folder.head)
  expect([status, out]).toEqual([
    0,
    `the chain holds: 3 incidents, 1 of them rotated, 5 lines\nhead ${folder.head}\n`,
  ])
  const strange = await run(folder.path, 'verify', '--head', 'a'.repeat(64))
  expect([strange.status, strange.out.includes('has no line with the hash aaaa')]).toEqual([1, true])
})

test('verify names the place where the chain breaks, and exits with 1', async () => {
  await using folder = await stocked()
  const path = folder.at(`kept/evidence/${second}/incident.json`)
  await writeFile(path, (await readFile(path, 'utf8')).replace('untrusted-chain', 'expired'))
  const { status, out } = await run(folder.path, 'verify')
  expect(status).toBe(1)
  expect(out).toContain(`the chain is broken: 3 incidents`)
  expect(out).toContain(`  ${second}/incident.json is not what was recorded\n`)
  const json = await run(folder.path, 'verify', '--json')
  expect(json.status).toBe(1)
  expect(JSON.parse(json.out)).toMatchObject({
    ok: false,
    breaks: [{ where: `${second}/incident.json`, what: 'is not what was recorded' }],
  })
  const listed = await run(folder.path, 'list')
  expect([listed.status, listed.err.includes('the hash chain is broken')]).toEqual([0, true])
  const shown = await run(folder.path, 'show', second)
  expect([shown.status, shown.out.includes('is gone or was changed')]).toEqual([1, true])
})

test('a folder that was moved away is read where it is', async () => {
  await using folder = await stocked()
  await rename(folder.at('kept/evidence'), folder.at('archive'))
  expect((await run(folder.path, 'verify', '--dir', 'archive')).status).toBe(0)
  expect((await run(folder.path, 'list')).out).toBe('no incidents\n')
  expect((await run(folder.path, 'verify')).status).toBe(0)
  await expect(run(folder.path, 'verify', '--dir', 'kept/evidence')).rejects.toThrow('there is no folder')
})

test('an unknown incident is an error with a way out', async () => {
  await using folder = await stocked()
  await expect(run(folder.path, 'show', '000009-20261122T080000Z')).rejects.toMatchObject({
    code: 'incident-unknown',
    hint: 'see "pulseward evidence list"',
  })
})

test.each([
  [[]],
  [['destroy']],
  [['show']],
  [['show', '../../etc/passwd']],
  [['list', first]],
  [['verify', '--head', 'xyz']],
  [['list', '--head', 'a'.repeat(64)]],
  [['list', '--dir', 'a', '-c', 'b']],
  [['list', '--wrong']],
])('%j is a usage error', async (args) => {
  await expect(run('/', ...args)).rejects.toThrow(UsageError)
})

test('--help says how', async () => {
  expect(await run('/', '--help')).toEqual({ status: 0, out: evidenceHelp, err: '' })
})
