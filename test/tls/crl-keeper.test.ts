// Lists kept fresh: from files at each load, from URLs by themselves; whoever answers for a URL cannot make them worse.

import { X509Certificate } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:https'
import { expect, test } from 'vitest'
import { trustAnchors } from '../../src/tls/anchors.ts'
import { fetchList } from '../../src/tls/crl-fetch.ts'
import { CrlKeeper } from '../../src/tls/crl-keeper.ts'
import type { KeeperDeps, Use } from '../../src/tls/crl-keeper.ts'
import { CrlShelf } from '../../src/tls/crl-source.ts'
import type { CrlSource } from '../../src/tls/crl-source.ts'
import { makeCa, makeLeaf } from '../help/certificates.ts'
import { Folder } from '../help/folder.ts'
import { ListServer } from '../help/list-server.ts'
import { makeList, pemList } from '../help/revocation.ts'
import { eventually } from '../help/wait.ts'
import { listen } from './broker.ts'

const ca = makeCa('Listing CA')
const other = makeCa('Other CA')
const issuing = makeCa('Issuing CA', { issuer: ca })
const leaf = makeLeaf(ca)
const anchors = trustAnchors([ca.cert])
const day = 86_400_000
const hour = 3_600_000

interface Kept {
  readonly keeper: CrlKeeper
  readonly lines: { readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[]
  readonly fetches: boolean[]
  readonly files: Map<string, Buffer>
}

/** Patient where a test waits for what comes by itself, quick where it repeats. */
function keeping(more: Partial<KeeperDeps> = {}): Kept & Disposable {
  const lines: Kept['lines'] = []
  const fetches: boolean[] = []
  const files = new Map<string, Buffer>()
  const keeper = new CrlKeeper({
    read: (path) => {
      const bytes = files.get(path)
      if (bytes === undefined) throw new Error('there is no such file')
      return bytes
    },
    log: (_level, fields, message) => lines.push({ message, fields: { ...fields } }),
    onFetched: (succeeded) => fetches.push(succeeded),
    pace: { patience: 20_000, soonest: 20, latest: 40 },
    ...more,
  })
  return { keeper, lines, fetches, files, [Symbol.dispose]: () => keeper[Symbol.dispose]() }
}

/** The source of a place, in force; fetched first where it was never. */
async function adopt({ keeper }: Kept, place: string, state: string, refresh = hour): Promise<CrlSource> {
  const { sourceOf, fill, commit } = await keeper.prepare([place], state)
  const uses: Use[] = [{ source: sourceOf(place), anchors, refresh }]
  await fill(uses)
  commit(uses)
  return sourceOf(place)
}

const numberOf = ({ lists }: CrlSource): bigint | undefined => lists[0]?.number

test('a file is read at each load, and what it holds comes into force with the rest or not at all', async () => {
  using kept = keeping()
  kept.files.set('/list', makeList({ issuer: ca, number: 1 }))
  const source = await adopt(kept, '/list', '/nowhere')
  expect(numberOf(source)).toBe(1n)
  const { version } = source
  await adopt(kept, '/list', '/nowhere')
  expect(source.version).toBe(version)
  kept.files.set('/list', makeList({ issuer: ca, number: 2 }))
  const { commit } = await kept.keeper.prepare(['/list'], '/nowhere')
  expect(numberOf(source)).toBe(1n)
  commit([{ source, anchors, refresh: hour }])
  expect(numberOf(source)).toBe(2n)
  kept.files.set('/list', Buffer.from(ca.cert))
  await expect(kept.keeper.prepare(['/list'], '/nowhere')).rejects.toMatchObject({ code: 'crl-invalid' })
  expect(numberOf(source)).toBe(2n)
  expect(kept.lines.map(({ message, fields }) => [message, fields['number']])).toEqual([
    ['revocation list in force', '1'],
    ['revocation list in force', '2'],
  ])
})

test('a list is fetched, kept for the next start, and fetched again before it ends', async () => {
  await using state = await Folder.make()
  const ends = Date.now() + 4000
  await using server = await ListServer.start(Buffer.from(pemList(makeList({ issuer: ca, to: ends }))))
  using kept = keeping()
  const source = await adopt(kept, server.url, state.path)
  expect(source.lists).toHaveLength(1)
  expect(kept.lines[0]?.fields).toMatchObject({ crl: server.url, issuer: 'listing ca', revoked: 0 })
  server.answer = makeList({ issuer: ca, number: 2, revoked: [leaf] })
  await eventually('the next list', () => numberOf(source) === 2n)
  expect(Date.now()).toBeLessThan(ends)
  const [file = ''] = await eventually('the list on disk', async () => {
    const found = await readdir(state.at('trust/crl'))
    return found.length > 0 && !found[0]?.startsWith('.') && found
  })
  await eventually('the next list on disk', async () =>
    (await readFile(state.at(`trust/crl/${file}`))).equals(makeListBytes(server)),
  )
  expect((await stat(state.at(`trust/crl/${file}`))).mode & 0o777).toBe(0o600)
  expect(kept.fetches).not.toContain(false)

  await server[Symbol.asyncDispose]()
  using next = keeping()
  const after = await adopt(next, server.url, state.path)
  expect([numberOf(after), after.lists[0]?.serials.size]).toEqual([2n, 1])
  expect(next.fetches).toEqual([])
})

test('what was kept and is damaged is moved aside, and fetched again', async () => {
  await using state = await Folder.make()
  await using server = await ListServer.start(makeList({ issuer: ca, number: 7 }))
  using kept = keeping()
  await adopt(kept, server.url, state.path)
  const [file = ''] = await readdir(state.at('trust/crl'))
  await state.write(`trust/crl/${file}`, 'damaged')
  using alone = keeping({ readOnly: true })
  expect(numberOf(await adopt(alone, server.url, state.path))).toBe(7n)
  expect(alone.lines[0]?.fields['warning']).toContain('it stays where it is')
  expect(await readFile(state.at(`trust/crl/${file}`), 'utf8')).toBe('damaged')
  using next = keeping()
  expect(numberOf(await adopt(next, server.url, state.path))).toBe(7n)
  expect(next.lines[0]?.fields['warning']).toMatch(/is damaged: it was moved to .*broken-/)
  expect(await readFile(state.at(`trust/crl/${file}`))).toEqual(makeListBytes(server))
})

test('a failed fetch is repeated, and leaves in force what was', async () => {
  await using state = await Folder.make()
  await using server = await ListServer.start((_, response) => response.writeHead(503).end())
  using kept = keeping({ pace: { patience: 20_000, soonest: 20, latest: 40 } })
  const source = await adopt(kept, server.url, state.path)
  expect([source.lists, source.nextUpdate]).toEqual([[], undefined])
  await eventually('two more attempts', () => server.asked > 2)
  server.answer = makeList({ issuer: ca })
  await eventually('the list, also on disk', async () => {
    const [file = '.'] = await readdir(state.at('trust/crl')).catch(() => [])
    return source.lists.length === 1 && !file.startsWith('.')
  })
  expect(kept.fetches.slice(0, 3)).toEqual([false, false, false])
  expect(kept.lines[0]).toMatchObject({
    message: 'a revocation list could not be fetched',
    fields: { crl: server.url, error: 'it answered with status 503', failures: 1, inForceUntil: 'none' },
  })
})

test.each([
  ['older', makeList({ issuer: ca, number: 1 }), 'older than the list in force'],
  [
    'made before',
    makeList({ issuer: ca, number: 9, from: Date.now() - 5 * day }),
    'older than the list in force',
  ],
  [
    'forged',
    makeList({ issuer: ca, number: 9, signer: other }),
    'bears the name of listing ca and not its signature',
  ],
  ['of another CA', makeList({ issuer: other, number: 9 }), 'has no list by listing ca any more'],
  [
    'joined by one of another CA',
    Buffer.from(pemList(makeList({ issuer: ca, number: 9, from: Date.now() }), makeList({ issuer: other }))),
    'is by other ca, whom no chain has shown',
  ],
  ['no list', Buffer.from('<html>'), 'this is no revocation list'],
])('a list that is %s does not take the place of another', async (_, worse, says) => {
  await using state = await Folder.make()
  await using server = await ListServer.start(makeList({ issuer: ca, number: 5, revoked: [leaf] }))
  using kept = keeping()
  const source = await adopt(kept, server.url, state.path, 20)
  // A broker's chain has shown who signs it.
  const path = [leaf, ca].map(({ cert }) => new X509Certificate(cert))
  expect(new CrlShelf([source]).standingsOf(path)[0]?.revoked).toContain('revoked on')
  server.answer = worse
  await eventually('the refusal', () => kept.fetches.includes(false))
  expect(kept.lines.at(-1)?.fields['error']).toContain(says)
  expect(numberOf(source)).toBe(5n)
})

test('a list of an intermediate CA that nobody has met yet is let in, for handshakes to check', async () => {
  await using state = await Folder.make()
  await using server = await ListServer.start(makeList({ issuer: issuing, signer: other }))
  using kept = keeping()
  const source = await adopt(kept, server.url, state.path)
  const below = makeLeaf(issuing)
  const path = [below, issuing, ca].map(({ cert }) => new X509Certificate(cert))
  expect(new CrlShelf([source]).standingsOf(path)[0]).toMatchObject({ forged: true, spans: [] })
})

test('one request serves every upstream that names the URL', async () => {
  await using state = await Folder.make()
  await using server = await ListServer.start(makeList({ issuer: ca }))
  using kept = keeping()
  const { sourceOf, fill, commit } = await kept.keeper.prepare([server.url, server.url], state.path)
  const use = { source: sourceOf(server.url), anchors, refresh: hour }
  await fill([use, use])
  commit([use, use])
  expect([server.asked, Array.from(kept.keeper.sources).length]).toEqual([1, 1])
})

test('a server that never answers holds a start up only for a while', async () => {
  await using state = await Folder.make()
  await using server = await ListServer.start(() => {})
  using kept = keeping({ pace: { patience: 30, soonest: 60_000, latest: 60_000 } })
  expect((await adopt(kept, server.url, state.path)).lists).toEqual([])
})

test('a fetch follows a few redirects, and is bounded in size, time and where it may lead', async () => {
  const { signal } = new AbortController()
  const bytes = makeList({ issuer: ca })
  await using server = await ListServer.start(bytes)
  const ask = async (more: { timeout?: number } = {}): Promise<Buffer> =>
    await fetchList(server.url, { ca: [], signal, ...more })
  const redirect =
    (count: number, location = '/next'): ListServer['answer'] =>
    (_, response) => {
      const isOver = count-- <= 0
      if (isOver) response.end(bytes)
      else response.writeHead(302, { location }).end()
    }
  server.answer = redirect(3)
  expect(await ask()).toEqual(bytes)
  server.answer = redirect(4)
  await expect(ask()).rejects.toThrow('more than 3 times')
  server.answer = redirect(1, 'file:///etc/passwd')
  await expect(ask()).rejects.toThrow('it leads to another protocol')
  server.answer = (_, response) => {
    for (let mebibyte = 0; mebibyte < 17; mebibyte += 1) response.write(Buffer.alloc(1_048_576))
  }
  await expect(ask()).rejects.toThrow('larger than 16 MiB')
  server.answer = (_, response) => void response.write('a')
  await expect(ask({ timeout: 50 })).rejects.toThrow('it took too long')
  server.answer = (request) => void request.socket.destroy()
  await expect(ask()).rejects.toMatchObject({ code: 'ECONNRESET' })
})

test('over HTTPS the server may be of a public CA or of those of the upstream', async () => {
  const shown = makeLeaf(ca, { names: ['127.0.0.1'] })
  const bytes = makeList({ issuer: ca })
  await using server = await listen(
    createServer({ cert: shown.cert, key: shown.key }, (_, response) => void response.end(bytes)),
  )
  const { signal } = new AbortController()
  const url = `https://127.0.0.1:${server.port}/ca.crl`
  expect(await fetchList(url, { ca: [ca.cert], signal })).toEqual(bytes)
  await expect(fetchList(url, { ca: [other.cert], signal })).rejects.toMatchObject({
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  })
})

/** What the server answers now. */
function makeListBytes({ answer }: ListServer): Buffer {
  if (typeof answer === 'function') throw new Error('no list')
  return answer
}
