// `pulseward pin` beside a configuration: which pin is whose, what changed, and how long it lasts.
import { X509Certificate } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { pin } from '../../src/cli/pin.ts'
import { trust } from '../../src/cli/trust.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { pinOf, wholePinOf } from '../../src/tls/pins.ts'
import { Folder } from '../help/folder.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { startTls } from '../tls/broker.ts'

let pki: Pki
let middle: Identity
let leaf: Identity & { readonly chain: string }
let spare: Identity
beforeAll(async () => {
  pki = await makePki()
  middle = await pki.intermediate()
  leaf = await pki.issue({ ca: middle })
  spare = await pki.issue()
})

const pinned = ({ cert }: Identity): string => pinOf(new X509Certificate(cert))

interface Compared {
  readonly upstream: string
  readonly pinMode: string
  readonly pins: readonly Readonly<Record<string, unknown>>[]
  readonly changes: readonly string[]
}

/** Asks a broker on this machine, with an upstream "hospital" that has these options; `act` before it asks. */
async function compare(
  tls: Readonly<Record<string, unknown>>,
  { args = [], act = () => {} }: { args?: readonly string[]; act?: (cwd: string) => unknown } = {},
) {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key })
  const servers = [`mqtts://localhost:${broker.port}`]
  const config = {
    listeners: [{ name: 'ward', bind: '127.0.0.1:0', upstream: 'hospital' }],
    upstreams: { hospital: { servers, tls: { ca: 'ca.pem', ...tls } } },
  }
  await using folder = await Folder.make({ 'ca.pem': pki.ca.cert, 'proxy.yaml': JSON.stringify(config) })
  await act(folder.path)
  const ask = async (...more: readonly string[]) => {
    let out = ''
    const io = { stdout: (text: string) => void (out += text), stderr: () => {}, env: {}, cwd: folder.path }
    const status = await pin([`127.0.0.1:${broker.port}`, '--servername', 'localhost', ...args, ...more], io)
    return { status, out }
  }
  const { status, out } = await ask('--upstream', 'hospital')
  const json = JSON.parse((await ask('--upstream', 'hospital', '--json')).out) as {
    verdict: string
    compared: Compared
  }
  return { status, out, ...json }
}

test('tells current pins, backups, days left and comments, and needs no --ca', async () => {
  const inTenDays = new Date(Date.now() + 10.5 * 86_400_000).toISOString().slice(0, 16)
  const { status, out, verdict, compared } = await compare({
    pins: [
      { pin: pinned(leaf), comment: 'in use', notAfter: `${inTenDays}:00Z` },
      { pin: pinned(spare), backup: true },
      pinned(pki.ca),
      { pin: wholePinOf(new X509Certificate(middle.cert)), certificate: true },
    ],
  })
  expect([status, verdict, compared.upstream, compared.pinMode]).toEqual([
    0,
    'trusted',
    'hospital',
    'enforce',
  ])
  expect(compared.pins.map(({ source, role, matches }) => [source, role, matches])).toEqual([
    ['pins[0]', 'current', ['served 0']],
    ['pins[1]', 'backup', []],
    ['pins[2]', 'current', ['anchor']],
    ['pins[3]', 'current', ['served 1']],
  ])
  expect(compared.pins[0]).toMatchObject({ daysLeft: 10, inForce: true, comment: 'in use' })
  expect(compared.changes).toEqual([])
  expect(out).toContain('compared with upstreams.hospital of proxy.yaml\n')
  expect(out).toMatch(
    /pins\[0\] {2}sha256\/.*\n {4}current: matches served 0\n {4}until .* \(10 days left\)\n {4}in use\n/,
  )
  expect(out).toContain('backup: matches nothing here\n')
  expect(out).not.toContain('upstreams:\n')
})

test('tells what changed: a new key, a backup in use, no backup left', async () => {
  const unknown = await compare({
    pins: [pinned(spare), { pin: pinned(pki.ca), notAfter: '2020-01-01' }],
    singlePin: 'accept',
  })
  expect([unknown.status, unknown.verdict]).toEqual([1, 'expired'])
  expect(unknown.out).toContain('current: matches anchor; outside its dates\n')
  const rotated = await compare({ pins: [pinned(spare), { pin: pinned(leaf), backup: true }] })
  expect(rotated.compared.changes).toEqual([
    'pins[1] is marked backup and in use now: pin the next spare key',
    'pins[0] is in no certificate of the chain, so in effect a backup: mark or remove it',
  ])
  const bare = await compare({ pins: [pinned(leaf), pinned(middle)] })
  expect(bare.compared.changes).toEqual(['no pin is a backup in effect: a new chain locks every device out'])
  const foreign = await compare({
    pins: [{ pin: pinned(spare), backup: true }],
    singlePin: 'accept',
    pinMode: 'report',
  })
  expect([foreign.status, foreign.verdict]).toEqual([0, 'trusted'])
  expect(foreign.compared.changes).toEqual([
    `no pin is in its verified chain; the key it uses now is ${pinned(leaf)}`,
  ])
  expect(foreign.out).toContain('only because pinMode is report: none of the 1 pinned keys')
  const loose = await compare({})
  expect(loose.compared.changes).toEqual(['no pins are configured'])
})

test('counts accepted pins, and asks for them in proxy.yaml', async () => {
  const accept = async (cwd: string): Promise<void> => {
    const io = { stdout: () => {}, stderr: () => {}, env: {}, cwd }
    await trust(['accept', '--upstream', 'hospital', '--pin', pinned(leaf)], io)
  }
  const { verdict, compared } = await compare({ pins: [pinned(spare)], singlePin: 'accept' }, { act: accept })
  expect(verdict).toBe('trusted')
  expect(compared.pins[1]).toMatchObject({ source: 'accepted', role: 'current', pin: pinned(leaf) })
  expect(compared.changes[0]).toBe(
    `${pinned(leaf)} is only accepted: move it into proxy.yaml, then revoke it`,
  )
})

test('an upstream that is not there is an error with the ones that are', async () => {
  await expect(compare({}, { args: ['-c', 'none.yaml'] })).rejects.toMatchObject({ code: 'config-invalid' })
  await using folder = await Folder.make({
    'proxy.yaml': 'listeners: [{ name: ward, bind: "127.0.0.1:0", upstream: embedded }]',
  })
  const io = { stdout: () => {}, stderr: () => {}, env: {}, cwd: folder.path }
  for (const args of [
    ['--upstream', 'clinic'],
    ['-c', 'proxy.yaml'],
  ])
    await expect(pin(['127.0.0.1:1', ...args], io)).rejects.toMatchObject({ code: 'upstream-unknown' })
})

test('what is printed to paste is accepted, also where there is no issuer to pin as a backup', async () => {
  const own = await pki.issue({ selfSigned: true })
  await using broker = await startTls({ cert: own.cert, key: own.key })
  await using folder = await Folder.make({ 'own.pem': own.cert })
  let out = ''
  const io = { stdout: (text: string) => void (out += text), stderr: () => {}, env: {}, cwd: folder.path }
  expect(await pin([`127.0.0.1:${broker.port}`, '--ca', 'own.pem'], io)).toBe(0)
  const block = out.slice(out.indexOf('\nupstreams:\n')).replace('NAME:', 'hospital:')
  const yaml = `listeners: [{ name: ward, bind: "127.0.0.1:0", upstream: hospital }]\n${block}`
  await folder.write('proxy.yaml', yaml)
  const { config } = loadConfig('proxy.yaml', {}, folder.path)
  expect(config.upstreams['hospital']?.tls).toMatchObject({
    singlePin: 'accept',
    pins: [{ pin: pinned(own) }],
  })
})
