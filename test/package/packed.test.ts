// What `npm pack` makes is whole: installed into an empty folder, it runs on the machine's own Node without the checkout.

import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { environment, ownNode, unreachable } from './machine.ts'

const root = join(import.meta.dirname, '../..')
const node = ownNode?.path ?? process.execPath
/** npm and npx as they stand beside the machine's own Node, or wherever they are. */
const path = [dirname(node), environment['PATH']].join(':')
const patience = 240_000

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

let folder: Folder
let packed: Packed
/** Why it could not be installed; without a network and with an empty cache that is nobody's fault. */
let notInstalled: string | undefined

beforeAll(async () => {
  folder = await Folder.make({ 'package.json': '{ "private": true }' })
  const pack = npm(root, 'pack', '--json', '--pack-destination', folder.path)
  ;[packed] = JSON.parse((await finished(pack)).stdout) as [Packed]
  const install = npm(
    folder.path,
    'install',
    '--omit=dev',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    packed.filename,
  )
  const { code, stderr } = await finished(install)
  if (code === 0) return
  if (process.env['CI'] === 'true' || !unreachable.test(stderr)) throw new Error(stderr)
  notInstalled = 'npm reaches no registry, and its cache lacks a dependency'
}, patience)

afterAll(async () => await folder?.[Symbol.asyncDispose]())

test('it holds the launcher, every source compiled, proxy.yaml, deploy/ and the documents; and nothing else', async () => {
  const sources = await readdir(join(root, 'src'), { recursive: true })
  const compiled = sources
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `dist/${file.replace(/ts$/, 'js')}`)
  const paths = packed.files.map((file) => file.path)
  expect(paths.filter((file) => file.startsWith('dist/')).toSorted()).toEqual(compiled.toSorted())
  const documents = (await readdir(join(root, 'docs'))).filter((file) => file.endsWith('.md'))
  const deployed = await readdir(join(root, 'deploy'), { recursive: true, withFileTypes: true })
  const deployment = deployed
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  expect(paths.filter((file) => !file.startsWith('dist/')).toSorted()).toEqual(
    [
      ...deployment,
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin/pulseward.js',
      'package.json',
      'proxy.yaml',
      'docs/proxy.schema.json',
      ...documents.map((file) => `docs/${file}`),
    ].toSorted(),
  )
})

describe(`installed, on Node ${ownNode?.major ?? process.versions.node}`, () => {
  test('no dependency of the checkout alone came along', async (context) => {
    await installed(context)
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>
    }
    const modules = await readdir(folder.at('node_modules'), { recursive: true })
    const strangers = Object.keys(devDependencies).filter((name) => modules.includes(`${name}/package.json`))
    // Types some dependency asks for are not code.
    expect(strangers.filter((name) => !name.startsWith('@types/'))).toEqual([])
  })

  test('npx pulseward --help', async (context) => {
    await installed(context)
    const { code, stdout } = await finished(run('npx', '--no-install', 'pulseward', '--help'))
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('usage: pulseward COMMAND') })
  })

  test('npx pulseward check, on the shipped proxy.yaml and on one with a mistake', async (context) => {
    await installed(context)
    await copyFile(folder.at('node_modules/pulseward/proxy.yaml'), folder.at('proxy.yaml'))
    const good = await finished(run('npx', '--no-install', 'pulseward', 'check'))
    expect(good).toMatchObject({ code: 0, stdout: expect.stringMatching(/^proxy\.yaml: ok: 1 listener, /) })
    await writeFile(
      folder.at('bad.yaml'),
      'listeners:\n  - name: ward\n    bind: 0.0.0.0:99999\n    upstream: embedded\n',
    )
    const bad = await finished(run('npx', '--no-install', 'pulseward', 'check', '-c', 'bad.yaml'))
    expect(bad).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^bad\.yaml:3:11 listeners\[0\]\.bind: /m),
    })
  })

  test('pulseward run: starts, answers, and ends on SIGTERM with 0', async (context) => {
    await installed(context)
    const shipped = await readFile(folder.at('node_modules/pulseward/proxy.yaml'), 'utf8')
    const config = shipped.replace('0.0.0.0:1883', '127.0.0.1:0').replace('127.0.0.1:9464', '127.0.0.1:0')
    await folder.write('run.yaml', config)
    // Not through npx, which would be told of the signal in the place of the launcher.
    await using proxy = run(node, 'node_modules/pulseward/bin/pulseward.js', 'run', '-c', 'run.yaml')
    const [, address] = await proxy.says(/metrics +(http:\/\/\S+)\/metrics/)
    const answer = await fetch(`${address}/healthz`)
    expect(answer.status).toBe(200)
    const metrics = await (await fetch(`${address}/metrics`)).text()
    expect(metrics).toMatch(/^pulseward_build_info\{.*node="v?2[6-9]\./m)
    proxy.process.kill('SIGTERM')
    expect(await proxy.ended).toEqual({ code: 0, signal: null })
  })
})

async function installed(context: TestContext): Promise<void> {
  context.skip(notInstalled !== undefined, notInstalled)
}

function npm(cwd: string, ...args: string[]): Child {
  return new Child('npm', args, { cwd, env: { ...environment, PATH: path } })
}

function run(command: string, ...args: string[]): Child {
  return new Child(command, args, { cwd: folder.path, env: { ...environment, PATH: path } })
}

async function finished(child: Child): Promise<{ code: number | null; stdout: string; stderr: string }> {
  await using _ = child
  const { code } = await child.ended
  return { code, stdout: child.stdout.toString(), stderr: child.stderr }
}
