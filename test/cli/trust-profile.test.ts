// `pulseward trust profile`: what was learnt is shown as it counts, and orders to forget it are left for the proxy.
import { mkdir, readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/cli/io.ts'
import { trust } from '../../src/cli/trust.ts'
import { readAccepted } from '../../src/tls/accepted.ts'
import { learn, newProfile } from '../../src/tls/profile.ts'
import { printProfiles } from '../../src/tls/profile-text.ts'
import { commandIn } from '../help/command.ts'

const DAY = 86_400_000
const noon = Date.UTC(2027, 0, 15, 12)
const servers = ['mqtts://a.example', 'mqtts://b.example']
const pin = `sha256/${Buffer.alloc(32, 9).toString('base64')}`

const config = JSON.stringify({
  listeners: [{ name: 'ward', bind: '127.0.0.1:0', upstream: 'hospital' }],
  upstreams: {
    hospital: { servers, tls: { firstUse: 'accept' } },
    alone: { servers: ['mqtts://c.example'], tls: { firstUse: 'accept' } },
  },
})

async function place(profiles?: string) {
  const site = await commandIn(trust, { 'proxy.yaml': config })
  await mkdir(site.folder.at('state/trust'), { recursive: true })
  if (profiles !== undefined) await site.folder.write('state/trust/profiles.json', profiles)
  return site
}

function learnt(): string {
  const known = newProfile(noon, 'prefer')
  for (let hour = 0; hour <= 30; hour += 3) {
    const at = noon + (hour * DAY) / 24
    learn(
      known,
      { version: 'TLSv1.3', group: 'X25519', cipher: 'AES_256_GCM', issuer: 'abc CN=\u202eCA' },
      at,
      DAY,
    )
  }
  known.floors.connect = 0.4
  const fresh = newProfile(noon, 'prefer')
  learn(fresh, { version: 'TLSv1.2' }, noon, DAY)
  return printProfiles(
    new Map([
      [
        'hospital',
        new Map([
          ['a.example:8883', known],
          ['b.example:8883', fresh],
        ]),
      ],
    ]),
  )
}

test('show says what each server is held to, and what is not known well enough', async () => {
  await using site = await place(learnt())
  const { out } = await site.run('profile', 'show')
  expect(out).toContain(
    'hospital a.example:8883\n  learnt since 2027-01-15T12:00:00.000Z, last seen 2027-01-16T18:00',
  )
  expect(out).toContain('  held to TLSv1.3, X25519, AES_256_GCM\n')
  expect(out).toMatch(/connect-time +at least 0\.4 ms\n/)
  expect(out).not.toContain('\u202e')
  expect(out).toContain('  not known well enough to be held to anything\n')
  expect(out).toMatch(/version +TLSv1\.2 \(seen 1 times\)/)
  const one = JSON.parse(
    (await site.run('profile', 'show', '--upstream', 'hospital', '--server', 'a.example:8883', '--json')).out,
  ) as unknown
  expect(one).toMatchObject({
    file: site.folder.at('state/trust/profiles.json'),
    profiles: [
      {
        server: 'a.example:8883',
        held: { version: 'TLSv1.3' },
        fields: { version: { values: ['TLSv1.3'], seen: 11, settled: true } },
        floors: { connect: 0.4 },
      },
    ],
  })
  expect((await site.run('profile', 'show', '--upstream', 'alone')).out).toBe('nothing was learnt yet\n')
})

test('a damaged file is said to be one, and left to the proxy', async () => {
  await using site = await place('{ damaged')
  await expect(site.run('profile', 'show')).rejects.toMatchObject({ code: 'profiles-damaged' })
  expect(await readFile(site.folder.at('state/trust/profiles.json'), 'utf8')).toBe('{ damaged')
})

test('forget leaves an order with time and user, and never touches what the proxy writes', async () => {
  await using site = await place(learnt())
  const before = await readFile(site.folder.at('state/trust/profiles.json'), 'utf8')
  const done = await site.run('profile', 'forget', '--upstream', 'hospital', '--server', 'b.example:8883')
  expect(done.out).toBe(
    'hospital b.example:8883: learnt anew from now on; a running proxy takes note by itself\n',
  )
  await site.run('profile', 'forget', '--upstream', 'alone')
  const orders = JSON.parse(
    await readFile(site.folder.at('state/trust/forgotten-profiles.json'), 'utf8'),
  ) as object
  const by = expect.stringContaining(userInfo().username)
  expect(orders).toMatchObject({
    forgotten: [
      { upstream: 'hospital', server: 'b.example:8883', by },
      { upstream: 'alone', by },
    ],
  })
  expect(await readFile(site.folder.at('state/trust/profiles.json'), 'utf8')).toBe(before)
})

test.each([
  [['profile']],
  [['profile', 'burn']],
  [['profile', 'forget']],
  [['profile', 'show', '--server', 'a.example:8883']],
  [['profile', 'forget', '--upstream', 'hospital', '--json']],
  [['profile', 'show', '--pin', pin]],
  [['list', '--server', 'a.example:8883']],
])('%j makes no sense', async (args) => {
  await using site = await place()
  await expect(site.run(...args)).rejects.toBeInstanceOf(UsageError)
})

test.each([
  [['profile', 'forget', '--upstream', 'nobody'], 'upstream-unknown'],
  [['profile', 'forget', '--upstream', 'hospital', '--server', 'c.example:8883'], 'server-unknown'],
  [['accept', '--upstream', 'hospital', '--pin', pin, '--server', 'a.example'], 'server-unknown'],
  [['accept', '--upstream', 'hospital', '--pin', pin], 'server-missing'],
])('%j cannot be done', async (args, code) => {
  await using site = await place()
  await expect(site.run(...args)).rejects.toMatchObject({ code, hint: expect.any(String) })
})

test('accept begins pinning where the first key was to be trusted, and says for which server', async () => {
  await using site = await place()
  await site.run('accept', '--upstream', 'alone', '--pin', pin)
  await site.run('accept', '--upstream', 'hospital', '--pin', pin, '--server', 'b.example:8883')
  const { pins } = await readAccepted(site.folder.at('state'))
  expect(pins.map(({ upstream, server }) => [upstream, server])).toEqual([
    ['alone', undefined],
    ['hospital', 'b.example:8883'],
  ])
})

test('list tells of what stands on first use alone', async () => {
  await using site = await place()
  const met = {
    upstream: 'alone',
    server: 'c.example:8883',
    pin,
    at: new Date(noon).toISOString(),
    address: '192.0.2.1',
    subject: 'CN=c',
  }
  await site.folder.write('state/trust/first-use.json', JSON.stringify({ version: 1, pins: [met] }))
  const { out } = await site.run('list')
  expect(out).toContain('stored on first use, of which nothing proves whose it is:\n')
  expect(out).toContain(`alone  c.example:8883  ${pin}  2027-01-15T12:00:00.000Z  192.0.2.1  CN=c\n`)
  await site.folder.write('state/trust/first-use.json', '{')
  expect((await site.run('list')).err).toContain('is damaged')
})
