import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { compile, type Snapshot } from '../../src/config/snapshot.ts'
import { nameOf, nameOfPeer } from '../../src/pair/keys.ts'
import { openAuthority } from '../../src/tls/authority.ts'
import { CrlSource } from '../../src/tls/crl-source.ts'
import { nothingKnown } from '../../src/tls/known.ts'
import { Folder } from '../help/folder.ts'
import { newIdentity } from '../help/pair.ts'

const [own, next, peer, backup] = [newIdentity(), newIdentity(), newIdentity(), newIdentity()]

const yaml = (pair: object, others = {}): string =>
  JSON.stringify({
    listeners: [
      {
        name: 'wan',
        bind: '127.0.0.1:0',
        accept: ['mqtts'],
        tls: { certificate: 'auto' },
        limits: { perAddress: 1000 },
        upstream: 'far',
        pair: { ...pair, ...others },
      },
    ],
    upstreams: { far: { servers: ['mqtts://far.example'], pair } },
  })

async function load(folder: Folder, text: string): Promise<{ snapshot: Snapshot; files: readonly string[] }> {
  await folder.write('proxy.yaml', text)
  const loaded = loadConfig('proxy.yaml', {}, folder.path)
  const opened = openAuthority(folder.at('state'), Date.now)
  const listsOf = (name: string): CrlSource => new CrlSource(name)
  const surroundings = { authority: async () => await opened, known: nothingKnown, listsOf }
  return { snapshot: await compile(loaded, 1, surroundings), files: loaded.files }
}

test('identities: both ends of a configuration prove by the one in the state, and its file is watched', async () => {
  await using folder = await Folder.make({ 'state/pair/identity.pem': own.pem })
  const text = yaml({ peers: [peer.line, backup.line] })
  const { snapshot, files } = await load(folder, text)
  const [upstream] = snapshot.upstreams
  const [listener] = snapshot.listeners
  for (const keys of [upstream?.pair, listener?.pair?.keys]) {
    expect(keys?.own.map(({ id }) => nameOf(id))).toEqual([nameOfPeer(own.line)])
    const accepted = [peer, backup].map(({ line }) => nameOfPeer(line))
    expect(keys?.accepted.map(({ id }) => nameOf(id))).toEqual(accepted)
  }
  expect(listener?.pair?.others).toBe(false)
  expect(files).toContain(folder.at('state/pair/identity.pem'))
  await folder.write('state/pair/identity.pem', next.pem)
  const after = await load(folder, text)
  // What was learnt under another key is void: tickets do not outlive it.
  expect(after.snapshot.upstreams[0]?.key).not.toBe(upstream?.key)
})

test('shared keys: from text and file, in their order, and the file is watched', async () => {
  const [first, second] = [randomBytes(32), randomBytes(48)]
  await using folder = await Folder.make({ 'pair.key': `${second.toString('base64')}\n` })
  const pair = { sharedKeys: [first.toString('base64url'), { file: 'pair.key' }] }
  const { snapshot, files } = await load(folder, yaml(pair, { others: 'accept' }))
  const { pair: keys } = snapshot.upstreams[0] ?? {}
  expect(keys?.own).toHaveLength(2)
  expect(keys?.accepted.map(({ id }) => nameOf(id))).toEqual(keys?.own.map(({ id }) => nameOf(id)))
  expect(snapshot.listeners[0]?.pair?.others).toBe(true)
  expect(files).toContain(folder.at('pair.key'))
})
