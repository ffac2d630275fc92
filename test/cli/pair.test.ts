import { stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/cli/io.ts'
import { pair, pairHelp } from '../../src/cli/pair.ts'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { nameOfPeer, parsePeer, parseSharedKey } from '../../src/pair/keys.ts'
import { commandIn } from '../help/command.ts'

const place = (files: Readonly<Record<string, string>> = { 'proxy.yaml': 'state: kept' }) =>
  commandIn(pair, files)

test('keygen makes an identity once, for this user alone, and prints the line for the other end', async () => {
  await using site = await place()
  const { status, out, err } = await site.run('keygen')
  expect([status, err]).toEqual([0, ''])
  expect(`${parsePeer(out)}\n`).toBe(out)
  expect((await stat(site.folder.at('kept/pair/identity.pem'))).mode & 0o777).toBe(0o600)
  expect((await site.run('show')).out).toBe(`current  ${out.trim()}  ${nameOfPeer(out.trim())}\n`)
  await expect(site.run('keygen')).rejects.toMatchObject({ code: 'identity-exists' })
})

test('the state is found in a configuration that cannot be used yet for want of the identity', async () => {
  const yaml = 'state: kept\nlisteners: [{ name: wan, pair: { peers: [nonsense] } }]'
  await using site = await place({ 'proxy.yaml': yaml })
  expect((await site.run('keygen', '-c', 'proxy.yaml')).status).toBe(0)
  expect((await site.run('show', '--state', 'kept')).out).toMatch(/^current {2}ed25519\//)
  await using broken = await place({ 'proxy.yaml': 'state: [1]' })
  await expect(broken.run('keygen')).rejects.toBeInstanceOf(ConfigError)
})

test('a next identity is made beside the current one, shown with it, and changed to', async () => {
  await using site = await place()
  const [current, next] = [
    (await site.run('keygen')).out.trim(),
    (await site.run('keygen', '--next')).out.trim(),
  ]
  const named = (line: string) => ({ line, name: nameOfPeer(line) })
  expect(JSON.parse((await site.run('show', '--json')).out)).toEqual({
    current: named(current),
    next: named(next),
  })
  expect(await site.run('switch')).toEqual({ status: 0, out: `${next}\n`, err: '' })
  expect(JSON.parse((await site.run('show', '--json')).out)).toEqual({ current: named(next) })
  await expect(site.run('switch')).rejects.toMatchObject({ code: 'identity-missing' })
})

test('a shared key is printed and kept nowhere', async () => {
  await using site = await place({})
  const { out } = await site.run('keygen', '--shared')
  expect(parseSharedKey(out)).toHaveLength(32)
  expect((await site.run('keygen', '--shared')).out).not.toBe(out)
  await expect(stat(site.folder.at('state'))).rejects.toMatchObject({ code: 'ENOENT' })
})

test('nothing to show is said with what to do', async () => {
  await using site = await place()
  await expect(site.run('show')).rejects.toMatchObject({
    code: 'identity-missing',
    hint: expect.stringContaining('keygen'),
  })
})

test.each([
  [[]],
  [['make']],
  [['keygen', 'more']],
  [['show', '--next']],
  [['keygen', '--next', '--shared']],
  [['switch', '--json']],
  [['show', '-c', 'proxy.yaml', '--state', 'kept']],
])('%j makes no sense', async (args) => {
  await using site = await place()
  await expect(site.run(...args)).rejects.toBeInstanceOf(UsageError)
})

test('--help is the help', async () => {
  await using site = await place({})
  expect(await site.run('--help')).toEqual({ status: 0, out: pairHelp, err: '' })
})
