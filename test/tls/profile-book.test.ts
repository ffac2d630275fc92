// Profiles on disk: written behind everything, there again after a restart, and begun anew where they are damaged.
import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { forgetProfile, forgottenFile, readForgotten } from '../../src/tls/forgotten.ts'
import { learn } from '../../src/tls/profile.ts'
import { ProfileBook, profilesFile, readProfiles } from '../../src/tls/profile-book.ts'
import { MOST_PROFILES, parseProfiles, printProfiles } from '../../src/tls/profile-text.ts'
import { Folder } from '../help/folder.ts'
import { eventually } from '../help/wait.ts'

const noon = Date.UTC(2027, 0, 15, 12)

function book(delays = { news: 1, counts: 1 }) {
  const told: string[] = []
  const log = (level: string, kind: string, fields: object, message: string): void =>
    void told.push(`${level} ${kind} ${message} ${JSON.stringify(fields)}`)
  return { book: new ProfileBook({ log, clock: () => noon + 60_000, delays }), told }
}

async function stateWith(name: string, text: string): Promise<Folder> {
  const folder = await Folder.make({})
  await mkdir(folder.at('trust'))
  await folder.write(`trust/${name}`, text)
  return folder
}

function fill(profiles: ProfileBook, upstream: string, server: string, at = noon): void {
  const profile = profiles.begin(upstream, server, at, 'prefer')
  profile.floors.connect = 0.4
  profiles.changed(learn(profile, { version: 'TLSv1.3', issuer: 'abc "Ward" CA, O=…' }, at, 0))
}

test('what was learnt is written soon, private, and is there after a restart', async () => {
  await using folder = await Folder.make({})
  const { book: first, told } = book()
  ;(await first.prepare(folder.path))()
  fill(first, 'hospital', 'broker.example:8883')
  const file = profilesFile(folder.path)
  await eventually('the file', async () => (await readFile(file, 'utf8').catch(() => '')) !== '')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  await first[Symbol.asyncDispose]()
  const { book: second } = book()
  ;(await second.prepare(folder.path))()
  expect(second.find('hospital', 'broker.example:8883')).toEqual(
    first.find('hospital', 'broker.example:8883'),
  )
  expect(second.find('hospital', 'broker.example:8884')).toBeUndefined()
  expect(told).toEqual([])
})

test('mere counts wait, the end writes them, and what did not change is not written', async () => {
  await using folder = await Folder.make({})
  const { book: profiles } = book({ news: 1_000_000, counts: 1_000_000 })
  ;(await profiles.prepare(folder.path))()
  await profiles[Symbol.asyncDispose]()
  expect(await readdir(folder.path)).toEqual([])
  fill(profiles, 'hospital', 'a:8883')
  fill(profiles, 'hospital', 'a:8883')
  expect(await readProfiles(folder.path)).toEqual(new Map())
  await profiles[Symbol.asyncDispose]()
  expect(
    (await readProfiles(folder.path))?.get('hospital')?.get('a:8883')?.fields.get('version')?.count,
  ).toBe(2)
})

test.each([
  ['no JSON', '{'],
  ['nothing', ''],
  ['another version', '{"version":2,"servers":[]}'],
  ['a server without a name', '{"version":1,"servers":[{"upstream":"hospital"}]}'],
  [
    'a field nobody knows',
    JSON.stringify({
      version: 1,
      servers: [
        {
          upstream: 'hospital',
          server: 'a:1',
          since: 0,
          last: 0,
          offer: 'prefer',
          floors: {},
          fields: {
            colour: {
              since: 0,
              last: 0,
              count: 1,
              varies: false,
              values: [{ value: 'red', last: 0, count: 1 }],
            },
          },
        },
      ],
    }),
  ],
])('a file that holds %s is moved aside, told of, and begun anew', async (_, text) => {
  await using folder = await stateWith('profiles.json', text)
  const { book: profiles, told } = book()
  ;(await profiles.prepare(folder.path))()
  expect(told).toEqual([
    expect.stringMatching(/^error damaged profiles of brokers begin anew .*broken-2027-01-15T/),
  ])
  fill(profiles, 'hospital', 'a:8883')
  await profiles[Symbol.asyncDispose]()
  const [aside = '', ...others] = (await readdir(folder.at('trust'))).toSorted((a, b) => b.length - a.length)
  expect(aside).toMatch(/^profiles\.json\.broken-/)
  expect(await readFile(join(folder.at('trust'), aside), 'utf8')).toBe(text)
  expect(others).toEqual(['profiles.json'])
  expect((await readProfiles(folder.path))?.size).toBe(1)
})

test('where nothing can be read or written the proxy goes on, and says so', async () => {
  await using folder = await Folder.make({})
  await mkdir(join(profilesFile(folder.path), 'in-the-way'), { recursive: true })
  const { book: profiles, told } = book()
  ;(await profiles.prepare(folder.path))()
  fill(profiles, 'hospital', 'a:8883')
  await profiles[Symbol.asyncDispose]()
  expect(told.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
    'error unreadable',
    'warn unwritten',
  ])
})

test('there are only so many: the one not seen for longest makes room', async () => {
  const { book: profiles } = book({ news: 1_000_000, counts: 1_000_000 })
  for (let number = 0; number < MOST_PROFILES; number += 1)
    fill(profiles, `u${number % 7}`, `s:${number}`, number === 5 ? noon - 1 : noon)
  fill(profiles, 'u5', 's:5', noon - 1)
  fill(profiles, 'new', 's:1')
  expect(profiles.find('u5', 's:5')).toBeUndefined()
  expect(profiles.find('u6', 's:6')).toBeDefined()
  expect(profiles.find('new', 's:1')).toBeDefined()
})

test('what is to be forgotten is, if it is older than the order, once', async () => {
  await using folder = await Folder.make({})
  const { book: profiles } = book()
  ;(await profiles.prepare(folder.path))()
  for (const server of ['a:1', 'b:1']) fill(profiles, 'hospital', server, noon)
  fill(profiles, 'clinic', 'a:1', noon)
  const at = new Date(noon + 1).toISOString()
  await forgetProfile(folder.path, [], { upstream: 'hospital', server: 'a:1', at, by: 'night\nnurse' })
  const { forgotten } = await readForgotten(folder.path)
  expect(forgotten).toMatchObject([{ upstream: 'hospital', server: 'a:1', at }])
  expect(forgotten[0]?.by).not.toContain('\n')
  expect(profiles.forget(forgotten)).toHaveLength(1)
  expect(profiles.find('hospital', 'a:1')).toBeUndefined()
  expect(profiles.find('hospital', 'b:1')).toBeDefined()
  fill(profiles, 'hospital', 'a:1', noon + 2)
  expect(profiles.forget(forgotten)).toEqual([])
  expect(profiles.find('hospital', 'a:1')).toBeDefined()
  // A later order about the same takes the place of the earlier; one about all servers is another.
  await forgetProfile(folder.path, forgotten, { ...forgotten[0]!, at: new Date(noon + 9).toISOString() })
  const again = (await readForgotten(folder.path)).forgotten
  await forgetProfile(folder.path, again, { upstream: 'hospital', at, by: 'nurse' })
  expect((await readForgotten(folder.path)).forgotten).toHaveLength(2)
  expect(profiles.forget((await readForgotten(folder.path)).forgotten)).toHaveLength(2)
  expect(profiles.find('hospital', 'b:1')).toBeUndefined()
  expect(profiles.find('clinic', 'a:1')).toBeDefined()
  // Of a clock that was ahead nobody knows whether it was before.
  fill(profiles, 'clinic', 'z:1', noon + 100_000)
  expect(profiles.forget([{ upstream: 'clinic', server: 'z:1', at, by: 'nurse' }])).toHaveLength(1)
  await profiles[Symbol.asyncDispose]()
})

test('a damaged list of what is to be forgotten is moved aside by who has a clock', async () => {
  await using folder = await stateWith('forgotten-profiles.json', '{"version":1,"forgotten":[{}]}')
  expect((await readForgotten(folder.path)).warnings[0]).toContain('it stays where it is')
  expect((await readForgotten(folder.path, () => noon)).warnings[0]).toContain('it was moved to')
  expect(await readForgotten(folder.path, () => noon)).toEqual({ forgotten: [], warnings: [] })
  await expect(readFile(forgottenFile(folder.path))).rejects.toMatchObject({ code: 'ENOENT' })
})

test('no text at all makes the reader throw, and what it takes it writes back the same', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parseProfiles(text)?.size ?? 0).toBe(0)
    }),
  )
  const moment = fc.nat(1e12)
  const value = fc.record({
    value: fc.string({ minLength: 1, maxLength: 200 }),
    last: moment,
    count: fc.nat(),
  })
  const field = fc.record({
    since: moment,
    last: moment,
    count: fc.nat(),
    values: fc.array(value, { minLength: 1, maxLength: 8 }),
    varies: fc.constant(false),
  })
  const profile = fc.record({
    since: moment,
    last: moment,
    offer: fc.constantFrom('prefer', 'off'),
    floors: fc.constantFrom({}, { connect: 0.4, handshake: 12 }),
    fields: fc.dictionary(fc.constantFrom('version', 'issuer', 'tickets'), field),
    upstream: fc.constant('hospital'),
    server: fc.string({ minLength: 1, maxLength: 60 }),
  })
  fc.assert(
    fc.property(fc.uniqueArray(profile, { selector: ({ server }) => server, maxLength: 5 }), (servers) => {
      const text = JSON.stringify({ version: 1, servers })
      const read = parseProfiles(text)
      expect(read?.get('hospital')?.size ?? 0).toBe(servers.length)
      expect(parseProfiles(printProfiles(read ?? new Map()))).toEqual(read)
      // Cut short anywhere, it is no document.
      expect(parseProfiles(text.slice(0, -1))).toBeUndefined()
    }),
  )
})
