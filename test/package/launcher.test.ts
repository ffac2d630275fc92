// bin/pulseward.js hands over to a Node that is new enough: arguments and signals go down, the exit status comes up.

import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { environment, ownNode } from './machine.ts'

const root = join(import.meta.dirname, '../..')
const signals = ['SIGHUP', 'SIGTERM', 'SIGINT'] as const

/** Says what it was given, then what signals it gets; ends as its first argument says. */
const stand = `
const [how, what] = process.argv.slice(2)
for (const [index, signal] of ${JSON.stringify(signals)}.entries()) {
  process.on(signal, () => {
    console.error('heard ' + signal)
    process.exit(40 + index)
  })
}
console.error('node ' + process.versions.node.split('.')[0] + ' ' + process.argv[1] + ' ' + JSON.stringify(process.argv.slice(2)))
if (how === 'flags') console.error('flags ' + process.execArgv.join(' '))
if (how === 'exit') process.exit(Number(what))
if (how === 'die') process.kill(process.pid, what)
setInterval(() => {}, 1000)
`

const old = ownNode !== undefined && ownNode.major < 26 ? ownNode.path : undefined
const why = old === undefined ? " (this machine's own Node is not older than 26)" : ''

describe.skipIf(old === undefined)(`called by an older Node${why}`, () => {
  test.each(signals)('%s reaches the child, and its exit status comes back', async (signal) => {
    await using stage = await makePackage('src/main.ts')
    await using child = launch(old, stage, [])
    await child.says(/^node /m)
    child.process.kill(signal)
    expect(await child.ended).toEqual({ code: 40 + signals.indexOf(signal), signal: null })
    expect(child.stderr.match(/heard \w+/g)).toEqual([`heard ${signal}`])
  })

  test.each([0, 1, 2, 77])('exit status %d passes through', async (status) => {
    await using stage = await makePackage('src/main.ts')
    await using child = launch(old, stage, ['exit', String(status)])
    expect(await child.ended).toEqual({ code: status, signal: null })
  })

  test.each(['SIGKILL', 'SIGUSR2'] as const)('death by %s passes through', async (signal) => {
    await using stage = await makePackage('src/main.ts')
    await using child = launch(old, stage, ['die', signal])
    expect(await child.ended).toEqual({ code: null, signal })
  })

  test('runs the sources of a checkout, with the arguments as given, on Node 26', async () => {
    await using stage = await makePackage('src/main.ts', 'dist/main.js')
    const given = ['exit', '0', '', 'two words', '$(x)', '--', '-c']
    await using child = launch(old, stage, given)
    await child.ended
    expect(child.stderr).toBe(`node 26 ${stage.at('src/main.ts')} ${JSON.stringify(given)}\n`)
  })

  test('runs what was compiled where there are no sources', async () => {
    await using stage = await makePackage('dist/main.js')
    await using child = launch(old, stage, ['exit', '0'])
    await child.ended
    expect(child.stderr).toMatch(`node 26 ${stage.at('dist/main.js')} `)
  })

  test('says what to do where no newer Node came along', async () => {
    await using stage = await makePackage('dist/main.js', { modules: false })
    await using child = launch(old, stage, ['exit', '0'])
    expect(await child.ended).toEqual({ code: 1, signal: null })
    expect(child.stderr).toMatch(/^pulseward: Node \d+\.\d+\.\d+ is too old, .*\nhint: install Node 26 .*\n$/)
  })

  test('the real commands end as they should', async () => {
    await using version = launch(old, root, ['--version'])
    expect((await version.succeeds()).toString()).toMatch(/^\d+\.\d+\.\d+\n$/)
    await using usage = launch(old, root, ['chekc'])
    expect(await usage.ended).toEqual({ code: 2, signal: null })
    await using input = launch(old, root, ['check', '-c', 'no-such-file.yaml'])
    expect(await input.ended).toEqual({ code: 1, signal: null })
  })
})

describe('called by Node 26', () => {
  test('the flags of the caller stay, and the heap gets its own', async () => {
    await using stage = await makePackage('src/main.ts')
    await using child = new Child(
      process.execPath,
      ['--no-warnings', stage.at('bin/pulseward.js'), 'flags'],
      { env: environment },
    )
    await child.says(/^flags --initial-old-space-size=64 --max-semi-space-size=1 --no-warnings$/m)
  })

  test.each(signals)('there is no second process, and %s arrives', async (signal) => {
    await using stage = await makePackage('src/main.ts')
    await using child = launch(process.execPath, stage, ['own'])
    await child.says(/^node 26 \S+src\/main\.ts \["own"\]$/m)
    child.process.kill(signal)
    expect(await child.ended).toEqual({ code: 40 + signals.indexOf(signal), signal: null })
  })
})

function launch(node = process.execPath, home: Folder | string, args: readonly string[]): Child {
  const launcher = typeof home === 'string' ? join(home, 'bin/pulseward.js') : home.at('bin/pulseward.js')
  return new Child(node, [launcher, ...args], { env: environment })
}

/** A package with the real launcher and a stand-in for everything behind it. */
async function makePackage(...parts: (string | { readonly modules: boolean })[]): Promise<Folder> {
  const folder = await Folder.make({ 'package.json': '{ "type": "module" }' })
  await mkdir(folder.at('bin'))
  await copyFile(join(root, 'bin/pulseward.js'), folder.at('bin/pulseward.js'))
  for (const part of parts) {
    if (typeof part !== 'string') continue
    await mkdir(folder.at(part.split('/')[0] ?? ''))
    await writeFile(folder.at(part), stand)
  }
  const { modules = true } = parts.find((part) => typeof part !== 'string') ?? {}
  if (modules) await symlink(join(root, 'node_modules'), folder.at('node_modules'))
  return folder
}
