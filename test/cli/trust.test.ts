import { userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { UsageError } from '../../src/cli/io.ts'
import { trust, trustHelp } from '../../src/cli/trust.ts'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { commandIn } from '../help/command.ts'

const pinOf = (number: number): string => `sha256/${Buffer.alloc(32, number).toString('base64')}`

const config = JSON.stringify({
  listeners: [{ name: 'ward', bind: '127.0.0.1:0', upstream: 'hospital' }],
  upstreams: {
    hospital: {
      servers: ['mqtts://broker.example'],
      tls: { pins: [pinOf(1), { pin: pinOf(2), notAfter: '2020-01-01' }, { pin: pinOf(3), backup: true }] },
    },
    unpinned: { servers: ['mqtts://broker.example'] },
  },
})

const place = () => commandIn(trust, { 'proxy.yaml': config })

const hospital = ['--upstream', 'hospital', '--pin'] as const

test('accept keeps a pin with time and user, list shows it, revoke takes it back', async () => {
  await using site = await place()
  expect((await site.run('list')).out).toBe('no pin is accepted beside those of proxy.yaml\n')
  const done = await site.run('accept', ...hospital, `sha256:${'09'.repeat(32)}`)
  expect(done).toEqual({
    status: 0,
    out: `hospital: ${pinOf(9)} accepted; a running proxy takes it into force by itself\n`,
    err: '',
  })
  const { pins, history, file } = JSON.parse((await site.run('list', '--json')).out) as Record<
    string,
    unknown
  >
  const by = expect.stringContaining(userInfo().username)
  expect(pins).toEqual([
    { upstream: 'hospital', pin: pinOf(9), at: expect.stringMatching(/^\d{4}-.*Z$/), by },
  ])
  expect(history).toEqual([expect.objectContaining({ action: 'accept', pin: pinOf(9), by })])
  expect(file).toBe(site.folder.at('state/trust/accepted-pins.json'))
  expect((await site.run('revoke', ...hospital, pinOf(9))).status).toBe(0)
  expect((await site.run('list')).out).toMatch(
    /^no pin is accepted.*\n\nwhat was done:\n {2}.* accept .*\n {2}.* revoke /,
  )
  await expect(site.run('revoke', ...hospital, pinOf(9))).rejects.toMatchObject({ code: 'pin-unknown' })
})

test('--print stores nothing and prints a line that proxy.yaml takes', async () => {
  await using site = await place()
  const { out } = await site.run('accept', ...hospital, pinOf(9), '--print')
  expect(parse(out)).toEqual([
    { pin: pinOf(9), comment: expect.stringMatching(/^accepted \d{4}-\d\d-\d\d by /) },
  ])
  expect((await site.run('list')).out).toContain('no pin is accepted')
})

test('what proxy.yaml says wins: a pin it has, one it has outside its dates, and one it does not pin', async () => {
  await using site = await place()
  expect((await site.run('accept', ...hospital, pinOf(1))).out).toContain('is in proxy.yaml already')
  await expect(site.run('accept', ...hospital, pinOf(2))).rejects.toMatchObject({ code: 'pin-outside-dates' })
  await expect(site.run('accept', '--upstream', 'unpinned', '--pin', pinOf(9))).rejects.toMatchObject({
    code: 'not-pinned',
  })
  await expect(site.run('accept', '--upstream', 'clinic', '--pin', pinOf(9))).rejects.toMatchObject({
    code: 'upstream-unknown',
    hint: 'it has hospital, unpinned',
  })
  expect((await site.run('list')).out).toContain('no pin is accepted')
})

test('a damaged file is told of and moved aside', async () => {
  await using site = await place()
  await site.run('accept', ...hospital, pinOf(9))
  await site.folder.write('state/trust/accepted-pins.json', 'x')
  const { status, err } = await site.run('accept', ...hospital, pinOf(8))
  expect(status).toBe(0)
  expect(err).toMatch(/^pulseward: warning: .* is damaged: it was moved to .*broken/)
  expect((await site.run('list')).out).toContain(pinOf(8))
})

test.each([
  [],
  ['eat'],
  ['accept'],
  ['accept', '--upstream', 'hospital'],
  ['accept', ...hospital, 'sha256/AAAA'],
  ['accept', 'twice', ...hospital, pinOf(9)],
  ['revoke', ...hospital, pinOf(9), '--print'],
  ['accept', ...hospital, pinOf(9), '--json'],
  ['list', '--pin', pinOf(9)],
  ['list', '--nonsense'],
])('%j %j %j %j makes no sense', async (...args) => {
  await using site = await place()
  await expect(site.run(...args)).rejects.toBeInstanceOf(UsageError)
})

test('a configuration with mistakes is an error for main to print', async () => {
  await using site = await place()
  await expect(site.run('list', '-c', 'none.yaml')).rejects.toBeInstanceOf(ConfigError)
})

test('--help explains it', async () => {
  await using site = await place()
  expect(await site.run('--help')).toEqual({ status: 0, out: trustHelp, err: '' })
  for (const line of trustHelp.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})
