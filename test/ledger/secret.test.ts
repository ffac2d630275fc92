// Hashes of logins: the same under one key, another under another, and the key private and kept.

import { readFile, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { openLoginHash } from '../../src/ledger/secret.ts'
import { Folder } from '../help/folder.ts'

const login = Buffer.from('\0\x04ward\0\x06s3cret')

test('a login has one hash under the key of a state directory, and another under another', async () => {
  await using folder = await Folder.make()
  await using other = await Folder.make()
  const first = (await openLoginHash(folder.path, 0)).of(login)
  expect((await openLoginHash(folder.path, 0)).of(login)).toBe(first)
  expect(first).toMatch(/^[0-9a-f]{4}:[0-9a-f]{16}$/)
  expect((await openLoginHash(folder.path, 0)).of(Buffer.from('other'))).not.toBe(first)
  expect((await openLoginHash(other.path, 0)).of(login)).not.toBe(first)
})

test('the key is readable by its owner alone', async () => {
  await using folder = await Folder.make()
  await openLoginHash(folder.path, 0)
  expect((await stat(folder.at('ledger/login.key'))).mode & 0o777).toBe(0o600)
})

test('a damaged key is moved aside, and said to be', async () => {
  await using folder = await Folder.make()
  const before = (await openLoginHash(folder.path, 0)).of(login)
  await writeFile(folder.at('ledger/login.key'), 'damaged')
  const { of, warning } = await openLoginHash(folder.path, 0)
  expect(warning).toContain('login.key.broken-')
  expect(of(login).slice(0, 4)).not.toBe(before.slice(0, 4))
  expect(await readFile(folder.at('ledger/login.key'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
})
