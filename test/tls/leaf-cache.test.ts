import { X509Certificate } from 'node:crypto'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openAuthority } from '../../src/tls/authority.ts'
import { Folder } from '../help/folder.ts'

const DAY = 86_400_000
const NAMES = ['gateway.example', '127.0.0.1']
const NOW = Date.now()

function daysLater(days: number): () => number {
  return () => NOW + days * DAY
}

test('a restart shows the same leaves; other names get others', async () => {
  await using state = await Folder.make()
  const first = await (await openAuthority(state.path, Date.now)).leaves(NAMES)
  const authority = await openAuthority(state.path, Date.now)
  const { rsa, ec, warnings } = await authority.leaves(NAMES)
  expect([rsa, ec, warnings]).toEqual([first.rsa, first.ec, []])
  expect((await authority.leaves(['Gateway.Example.', '127.0.0.1', '127.0.0.1'])).rsa).toEqual(rsa)
  const other = await authority.leaves([...NAMES, '::1'])
  expect(other.rsa.cert).not.toBe(rsa.cert)
  expect(new X509Certificate(other.ec.cert).checkIP('::1')).toBe('::1')
  for (const file of await readdir(state.at('pki/leaves'))) {
    expect((await stat(join(state.at('pki/leaves'), file))).mode & 0o777).toBe(0o600)
  }
})

test('those who ask at once get one and the same', async () => {
  await using state = await Folder.make()
  const authority = await openAuthority(state.path, Date.now)
  const [one, two] = await Promise.all([authority.leaves(NAMES), authority.leaves(NAMES)])
  expect(two).toBe(one)
})

test('renewed when a third of the life is left, and said when that will be', async () => {
  await using state = await Folder.make()
  const first = await (await openAuthority(state.path, daysLater(0))).leaves(NAMES)
  expect(Math.round((first.renewAt - NOW) / DAY)).toBe(Math.round((397 * 2) / 3))
  const before = await (await openAuthority(state.path, () => first.renewAt - 1000)).leaves(NAMES)
  expect(before.rsa).toEqual(first.rsa)
  const after = await (await openAuthority(state.path, () => first.renewAt + 1000)).leaves(NAMES)
  expect(after.rsa.cert).not.toBe(first.rsa.cert)
  expect(after.renewAt).toBeGreaterThan(first.renewAt)
  expect(after.warnings).toEqual([])
})

test('what is left of old names goes when it expires', async () => {
  await using state = await Folder.make()
  await (await openAuthority(state.path, daysLater(0))).leaves(['old.example'])
  await (await openAuthority(state.path, daysLater(300))).leaves(NAMES)
  expect(await readdir(state.at('pki/leaves'))).toHaveLength(4)
  await (await openAuthority(state.path, daysLater(500))).leaves(['new.example'])
  expect(await readdir(state.at('pki/leaves'))).toHaveLength(4)
})

test('a damaged leaf is set aside, reported and replaced', async () => {
  await using state = await Folder.make()
  const first = await (await openAuthority(state.path, Date.now)).leaves(NAMES)
  const directory = state.at('pki/leaves')
  const file = (await readdir(directory)).find((name) => name.startsWith('rsa-')) ?? ''
  await writeFile(join(directory, file), first.ec.cert + first.rsa.key)
  const { rsa, ec, warnings } = await (await openAuthority(state.path, Date.now)).leaves(NAMES)
  expect(rsa.cert).not.toBe(first.rsa.cert)
  expect(ec).toEqual(first.ec)
  expect(warnings).toHaveLength(1)
  const aside = (await readdir(directory)).find((name) => name.includes('.broken-')) ?? ''
  expect(warnings[0]).toContain(aside)
  expect(await readFile(join(directory, aside), 'utf8')).toBe(first.ec.cert + first.rsa.key)
})

test('a leaf of another authority is not shown', async () => {
  await using state = await Folder.make()
  await using other = await Folder.make()
  await (await openAuthority(state.path, Date.now)).leaves(NAMES)
  await (await openAuthority(other.path, Date.now)).leaves(NAMES)
  for (const file of await readdir(state.at('pki/leaves'))) {
    await writeFile(join(state.at('pki/leaves'), file), await readFile(join(other.at('pki/leaves'), file)))
  }
  const authority = await openAuthority(state.path, Date.now)
  const { rsa, warnings } = await authority.leaves(NAMES)
  expect(new X509Certificate(rsa.cert).verify(authority.certificate.publicKey)).toBe(true)
  expect(warnings).toHaveLength(2)
})

test('where nothing can be kept, leaves are shown all the same, with a warning', async () => {
  await using state = await Folder.make()
  const authority = await openAuthority(state.path, Date.now)
  await rm(state.at('pki/leaves'), { recursive: true, force: true })
  await writeFile(state.at('pki/leaves'), 'in the way')
  const { rsa, warnings } = await authority.leaves(NAMES)
  expect(new X509Certificate(rsa.cert).verify(authority.certificate.publicKey)).toBe(true)
  expect(warnings.some((warning) => warning.includes('cannot be written'))).toBe(true)
})

test('no names, too many and impossible ones are refused', async () => {
  await using state = await Folder.make()
  const authority = await openAuthority(state.path, Date.now)
  const many = Array.from({ length: 101 }, (_, at) => `n${at}.example`)
  for (const names of [[], many, ['a b']]) {
    await expect(authority.leaves(names)).rejects.toMatchObject({ code: 'name-invalid', blame: 'config' })
  }
})
