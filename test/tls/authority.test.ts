import { execFile } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openAuthority } from '../../src/tls/authority.ts'
import { Folder } from '../help/folder.ts'

const DAY = 86_400_000
const run = promisify(execFile)
const pem = (path: string): Promise<string> => readFile(path, 'utf8')

async function expectPair(directory: string): Promise<X509Certificate> {
  const certificate = new X509Certificate(await pem(join(directory, 'ca.pem')))
  expect(certificate.checkPrivateKey(createPrivateKey(await pem(join(directory, 'ca.key'))))).toBe(true)
  return certificate
}

test('is made at first use, private, and the same ever after', async () => {
  await using state = await Folder.make()
  const first = await openAuthority(join(state.path, 'new', 'state'), Date.now)
  const directory = join(state.path, 'new', 'state', 'pki')
  expect(first.warnings).toEqual([])
  expect((await expectPair(directory)).fingerprint256).toBe(first.certificate.fingerprint256)
  expect((await stat(directory)).mode & 0o777).toBe(0o700)
  expect((await stat(join(directory, 'ca.key'))).mode & 0o777).toBe(0o600)
  const second = await openAuthority(join(state.path, 'new', 'state'), Date.now)
  expect(second.certificate.fingerprint256).toBe(first.certificate.fingerprint256)
  expect(await readdir(join(state.path, 'new', 'state'))).toEqual(['pki']) // no drafts left
})

test('many who start at once end up with one authority', async () => {
  await using state = await Folder.make()
  const opened = await Promise.all(Array.from({ length: 8 }, () => openAuthority(state.path, Date.now)))
  const fingerprints = new Set(opened.map(({ certificate }) => certificate.fingerprint256))
  expect(fingerprints.size).toBe(1)
  expect(fingerprints).toContain((await expectPair(state.at('pki'))).fingerprint256)
  expect(await readdir(state.path)).toEqual(['pki'])
})

test('so do processes', async () => {
  await using state = await Folder.make()
  const module = new URL('../../src/tls/authority.ts', import.meta.url).href
  const script = `const { openAuthority } = await import(${JSON.stringify(module)})
    const { certificate } = await openAuthority(${JSON.stringify(state.path)}, Date.now)
    console.log(certificate.fingerprint256)`
  const start = (): Promise<{ stdout: string }> =>
    run(process.execPath, ['--input-type=module', '--eval', script], { timeout: 25_000 })
  const printed = await Promise.all([start(), start(), start()])
  const { fingerprint256 } = await expectPair(state.at('pki'))
  expect(printed.map(({ stdout }) => stdout.trim())).toEqual([fingerprint256, fingerprint256, fingerprint256])
})

test.each([
  [
    'a truncated key',
    async (pki: string) =>
      await writeFile(join(pki, 'ca.key'), (await pem(join(pki, 'ca.key'))).slice(0, 99)),
  ],
  ['an empty certificate', async (pki: string) => await writeFile(join(pki, 'ca.pem'), '')],
  ['no key', async (pki: string) => await rm(join(pki, 'ca.key'))],
  ['no certificate', async (pki: string) => await rm(join(pki, 'ca.pem'))],
  [
    'a key of something else',
    async (pki: string) => {
      await using elsewhere = await Folder.make()
      await openAuthority(elsewhere.path, Date.now)
      await writeFile(join(pki, 'ca.key'), await pem(join(elsewhere.path, 'pki', 'ca.key')))
    },
  ],
  [
    'leaves only',
    async (pki: string) => {
      await rm(join(pki, 'ca.pem'))
      await rm(join(pki, 'ca.key'))
    },
  ],
])('%s: set aside whole, reported, replaced', async (_, spoil) => {
  await using state = await Folder.make()
  const directory = state.at('pki')
  const before = await openAuthority(state.path, Date.now)
  await before.leaves(['a.example'])
  await spoil(directory)
  const spoilt = await readdir(directory)
  const after = await openAuthority(state.path, Date.now)
  expect(after.certificate.fingerprint256).not.toBe(before.certificate.fingerprint256)
  const names = (await readdir(state.path)).toSorted()
  expect(names).toHaveLength(2)
  const [kept, aside = ''] = names
  expect(kept).toBe('pki')
  expect(aside).toMatch(/^pki\.broken-/)
  expect(await readdir(state.at(aside))).toEqual(spoilt)
  expect(after.warnings).toHaveLength(1)
  expect(after.warnings[0]).toContain(aside)
  await expectPair(directory)
  expect((await openAuthority(state.path, Date.now)).warnings).toEqual([])
})

test('two who find it broken at once still end up with one', async () => {
  await using state = await Folder.make()
  await mkdir(state.at('pki'))
  await writeFile(join(state.at('pki'), 'ca.pem'), 'broken')
  const opened = await Promise.all(Array.from({ length: 4 }, () => openAuthority(state.path, Date.now)))
  const { fingerprint256 } = await expectPair(state.at('pki'))
  expect(opened.map(({ certificate }) => certificate.fingerprint256)).toContain(fingerprint256)
  const aside = (await readdir(state.path)).filter((name) => name.includes('broken'))
  expect(aside.length).toBeGreaterThanOrEqual(1)
})

test('a key others can read, and an end that is near, are warned about', async () => {
  await using state = await Folder.make()
  await openAuthority(state.path, Date.now)
  await chmod(join(state.at('pki'), 'ca.key'), 0o644)
  const { warnings } = await openAuthority(state.path, () => Date.now() + 3600 * DAY)
  expect(warnings.some((warning) => warning.includes('mode 644'))).toBe(true)
  expect(warnings.some((warning) => warning.includes('ends on'))).toBe(true)
})

test('an expired authority signs nothing more', async () => {
  await using state = await Folder.make()
  await openAuthority(state.path, Date.now)
  const late = await openAuthority(state.path, () => Date.now() + 3700 * DAY)
  await expect(late.leaves(['a.example'])).rejects.toMatchObject({
    code: 'authority-expired',
    blame: 'config',
  })
  await expect(late.issue(['a.example'], 'ec')).rejects.toMatchObject({ code: 'authority-expired' })
})

test('a state that is a file is an error with a hint', async () => {
  await using state = await Folder.make({ file: 'x' })
  await expect(openAuthority(state.at('file'), Date.now)).rejects.toMatchObject({
    code: 'state-unusable',
    blame: 'config',
  })
})
