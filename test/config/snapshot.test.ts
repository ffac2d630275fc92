// One proxy.yaml compiled: frozen, complete, and its keys tell what changed.

import { rm } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { compile, type Snapshot } from '../../src/config/snapshot.ts'
import { PacketType } from '../../src/mqtt/packet.ts'
import type { Authority } from '../../src/tls/authority.ts'
import { CrlSource } from '../../src/tls/crl-source.ts'
import { nothingKnown } from '../../src/tls/known.ts'
import { Folder } from '../help/folder.ts'
import { makePki, type Pki } from '../help/pki.ts'

let pki: Pki
let leaf: { cert: string; key: string }

beforeAll(async () => {
  pki = await makePki()
  const { chain: cert, key } = await pki.issue()
  leaf = { cert, key }
})

const none = async (): Promise<Authority> => {
  throw new Error('asked for the local authority')
}

/** The local authority as far as a snapshot asks it, and the names it was asked for. */
function authority(renewAt: number, warnings: readonly string[] = []) {
  const asked: (readonly string[])[] = []
  const fake = {
    async leaves(names: readonly string[]) {
      asked.push(names)
      const [ec, rsa] = await Promise.all([pki.issue(), pki.issue({ key: 'rsa' })])
      return { ec, rsa, renewAt, warnings }
    },
  }
  return { asked, open: async () => fake as unknown as Authority }
}

async function place(): Promise<Folder> {
  return await Folder.make({ 'ca.pem': pki.ca.cert, 'leaf.pem': leaf.cert, 'leaf.key': leaf.key })
}

const bare = { known: nothingKnown, listsOf: (name: string) => new CrlSource(name) }
const upstream = { servers: ['mqtts://127.0.0.1:8883'], tls: { ca: 'ca.pem' } }
const ward = { name: 'ward', bind: '127.0.0.1:1883', accept: ['mqtt'], upstream: 'hospital' }
const plain = { listeners: [ward], upstreams: { hospital: upstream } }

async function snapshotOf(folder: Folder, config: object, open = none, version = 1): Promise<Snapshot> {
  await folder.write('proxy.yaml', JSON.stringify(config))
  return await compile(loadConfig('proxy.yaml', {}, folder.path), version, { ...bare, authority: open })
}

test('is frozen, and complete', async () => {
  await using folder = await place()
  const snapshot = await snapshotOf(folder, plain, none, 7)
  expect(snapshot).toMatchObject({
    version: 7,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    files: [folder.at('ca.pem')],
    renewAt: Infinity,
    warnings: [],
    policy: { mode: 'enforce' },
  })
  expect(snapshot.listeners).toMatchObject([
    {
      config: { name: 'ward' },
      inspection: { book: { frames: { connect: 65_536, control: 262_144, publish: 2_097_152 } } },
    },
  ])
  expect(snapshot.upstreams).toMatchObject([
    { name: 'hospital', servers: [{ host: '127.0.0.1', port: 8883 }], serverName: undefined },
  ])
  const { listeners, upstreams, detectors, warnings } = snapshot
  for (const part of [snapshot, listeners, upstreams, detectors, warnings, ...listeners, ...upstreams]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
  expect(Object.isFrozen(snapshot.upstreams[0]?.trust)).toBe(true)
})

describe('what devices are shown', () => {
  test('is nothing where they speak plaintext: the local authority is not even opened', async () => {
    await using folder = await place()
    const snapshot = await snapshotOf(folder, plain)
    expect(snapshot.listeners[0]?.deviceContext).toBeUndefined()
  })

  test('is minted for the names of the listener; the first to end decides when all are renewed', async () => {
    await using folder = await place()
    const { asked, open } = authority(4711, ['a leaf ends soon'])
    const snapshot = await snapshotOf(
      folder,
      {
        ...plain,
        listeners: [
          { ...ward, accept: ['mqtt', 'mqtts'], tls: { names: ['pulseward.ward'] } },
          { ...ward, name: 'icu', bind: '127.0.0.1:1884' },
        ],
      },
      open,
    )
    expect(asked).toEqual([['pulseward.ward']])
    expect(snapshot.renewAt).toBe(4711)
    expect(snapshot.warnings).toEqual(['a leaf ends soon'])
    expect(snapshot.listeners.map(({ deviceContext }) => deviceContext !== undefined)).toEqual([true, false])
  })

  test('comes from files where proxy.yaml names them, and is then not renewed', async () => {
    await using folder = await place()
    const tls = { certificate: { cert: 'leaf.pem', key: 'leaf.key' } }
    const listeners = [{ ...ward, accept: ['mqtts'], tls }]
    const snapshot = await snapshotOf(folder, { ...plain, listeners })
    expect(snapshot.listeners[0]?.deviceContext).toBeDefined()
    expect(snapshot.renewAt).toBe(Infinity)
    expect(snapshot.files.toSorted()).toEqual(
      ['ca.pem', 'leaf.key', 'leaf.pem'].map((name) => folder.at(name)),
    )
  })
})

describe('the key of an upstream', () => {
  const keyOf = async (folder: Folder, change: object = {}, tls: object = {}): Promise<string> => {
    const hospital = { ...upstream, ...change, tls: { ca: 'ca.pem', ...tls } }
    const snapshot = await snapshotOf(folder, { ...plain, upstreams: { hospital } })
    return snapshot.upstreams[0]?.key ?? ''
  }

  test('stays with all that bears on trust, whatever else changes', async () => {
    await using folder = await place()
    const before = await keyOf(folder)
    expect(await keyOf(folder)).toBe(before)
    expect(await keyOf(folder, { canary: { interval: 'off' } })).toBe(before)
    const other = await snapshotOf(folder, {
      ...plain,
      log: { level: 'debug' },
      listeners: [{ ...ward, name: 'icu' }],
    })
    expect(other.upstreams[0]?.key).toBe(before)
    // The same CA in another file.
    await folder.write('other.pem', pki.ca.cert)
    expect(await keyOf(folder, {}, { ca: 'ca.pem' })).toBe(before)
  })

  test('changes with servers, names, pins, versions, groups, certificates, times, and what files hold', async () => {
    await using folder = await place()
    const keys = [
      await keyOf(folder),
      await keyOf(folder, { servers: ['mqtts://127.0.0.1:8884'] }),
      await keyOf(folder, { servers: ['mqtts://127.0.0.1:8883', 'mqtts://127.0.0.1:8884'] }),
      await keyOf(folder, { servers: ['mqtts://127.0.0.1:8884', 'mqtts://127.0.0.1:8883'] }),
      await keyOf(folder, {}, { serverName: 'broker.example' }),
      await keyOf(folder, {}, { pins: [`sha256/${'A'.repeat(43)}=`], singlePin: 'accept' }),
      await keyOf(
        folder,
        {},
        { pins: [{ pin: `sha256/${'A'.repeat(43)}=`, notAfter: '2099-01-01' }], singlePin: 'accept' },
      ),
      await keyOf(folder, {}, { pinMode: 'report' }),
      await keyOf(folder, {}, { minVersion: 'TLSv1.2' }),
      await keyOf(folder, {}, { postQuantum: 'require' }),
      await keyOf(folder, {}, { clientCertificate: { cert: 'leaf.pem', key: 'leaf.key' } }),
      await keyOf(folder, { timeouts: { distrust: '5s' } }),
    ]
    await folder.write('ca.pem', (await makePki()).ca.cert)
    keys.push(await keyOf(folder))
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.join('')).toMatch(/^[0-9a-f]+$/)
  })
})

test('detectors are sorted by the packets they watch, and policy knows what each asks for', async () => {
  await using folder = await place()
  const detectors = [{ kind: 'wide-subscription', action: 'refuse' }, { kind: 'clear-credentials' }]
  const snapshot = await snapshotOf(folder, { ...plain, detectors, policy: { mode: 'observe' } })
  expect(snapshot.detectors[PacketType.subscribe]?.map(({ kind }) => kind)).toEqual(['wide-subscription'])
  expect(snapshot.detectors[PacketType.connect]?.map(({ kind }) => kind)).toEqual(['clear-credentials'])
  expect(snapshot.detectors[PacketType.publish]).toBeUndefined()
  expect(snapshot.policy.mode).toBe('observe')
  expect([...snapshot.policy.actions]).toEqual([
    ['wide-subscription', 'refuse'],
    ['clear-credentials', 'report'],
  ])
})

test('a file that goes away after it was checked fails the whole', async () => {
  await using folder = await place()
  await folder.write('proxy.yaml', JSON.stringify(plain))
  const loaded = loadConfig('proxy.yaml', {}, folder.path)
  await rm(folder.at('ca.pem'))
  await expect(compile(loaded, 1, { ...bare, authority: none })).rejects.toMatchObject({
    code: 'file-missing',
    blame: 'config',
  })
})

test('an authority that cannot be opened fails the whole', async () => {
  await using folder = await place()
  const listeners = [{ ...ward, accept: ['mqtts'] }]
  await expect(snapshotOf(folder, { ...plain, listeners })).rejects.toThrow('asked for the local authority')
})
