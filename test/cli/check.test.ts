import { cp, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { check, checkHelp } from '../../src/cli/check.ts'
import { UsageError } from '../../src/cli/io.ts'
import type { Io } from '../../src/cli/io.ts'
import { schema, schemaHelp } from '../../src/cli/schema.ts'
import { renderJsonSchema } from '../../src/config/reference.ts'
import { makeCa } from '../help/certificates.ts'
import { makeList, pemList } from '../help/revocation.ts'

const root = join(import.meta.dirname, '../..')

const good = 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\n'
const doubtful = `
listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: hospital }]
upstreams: { hospital: { servers: [mqtts://broker.example] } }
`
const bad = `
listeners:
  - name: ward
    bind: 0.0.0.0
    upsteam: embedded
log: { level: \${LEVEL} }
`.replace('${LEVEL}', '"${LEVEL}"')

describe('pulseward check', () => {
  test('a good file: one line on stdout, exit 0', async () => {
    await using shell = await makeShell({ 'proxy.yaml': good })
    expect(await shell.run(check)).toBe(0)
    expect(shell.stdout).toBe('proxy.yaml: ok: 1 listener, 1 upstream, 2 detectors\n')
    expect(shell.stderr).toBe('')
  })

  test('the shipped file is good, without a warning', async () => {
    await using shell = await makeShell({})
    await cp(join(root, 'proxy.yaml'), join(shell.cwd, 'proxy.yaml'))
    expect(await shell.run(check)).toBe(0)
    expect(shell.stderr).toBe('')
  })

  test('a warning goes to stderr, and the file is still good', async () => {
    await using shell = await makeShell({ 'other.yaml': doubtful })
    expect(await shell.run(check, '--config', 'other.yaml')).toBe(0)
    expect(shell.stdout).toBe('other.yaml: ok: 1 listener, 1 upstream, 2 detectors\n')
    expect(shell.stderr).toMatch(
      /^other\.yaml:3:14 warning: upstreams\.hospital\.tls\.pins: no pins: .*\n {2}hint: .*\n$/,
    )
  })

  test('revocation lists in files: by whom, until when, and whether a CA that is trusted signed them', async () => {
    const [ca, other] = [makeCa('Hospital CA'), makeCa('Issuing CA')]
    const to = Date.UTC(2999, 0, 1)
    const lists = [
      makeList({ issuer: ca, number: 7, revoked: [other], to }),
      makeList({ issuer: other, to }),
      makeList({ issuer: ca, signer: other, to }),
    ]
    const config = {
      listeners: [{ name: 'ward', bind: '127.0.0.1:1883', upstream: 'hospital' }],
      upstreams: {
        hospital: {
          servers: ['mqtts://broker.example'],
          tls: { ca: 'ca.pem', revocation: { crl: ['lists.pem', 'http://pki.example/ca.crl'] } },
        },
      },
    }
    const files = { 'ca.pem': ca.cert, 'lists.pem': pemList(...lists), 'proxy.yaml': JSON.stringify(config) }
    await using shell = await makeShell(files)
    expect(await shell.run(check)).toBe(0)
    const file = `hospital: ${join(shell.cwd, 'lists.pem')}: list of`
    const until = 'until 2999-01-01T00:00:00.000Z'
    expect(shell.stdout.split('\n').slice(1, -1)).toEqual([
      `${file} hospital ca, number 7, 1 revoked, ${until}`,
      `${file} issuing ca, number 1, 0 revoked, ${until}; no CA of tls.ca signed it: it counts only if the broker shows the CA that did`,
      `${file} hospital ca, number 1, 0 revoked, ${until}; NOT signed by the CA of that name in tls.ca: it counts for nothing`,
    ])
    await shell.run(check, '--json')
    const { lists: reported } = JSON.parse(shell.stdout.slice(shell.stdout.indexOf('{'))) as {
      lists: object[]
    }
    expect(reported).toMatchObject([
      { signer: 'known', number: '7' },
      { signer: 'unknown' },
      { signer: 'forged' },
    ])
  })

  test('every mistake at once on stderr, nothing on stdout, exit 1', async () => {
    await using shell = await makeShell({ 'proxy.yaml': bad }, { LEVEL: 'hunter2' })
    expect(await shell.run(check)).toBe(1)
    expect(shell.stdout).toBe('')
    expect(shell.stderr.split('\n').filter((line) => line.startsWith('proxy.yaml:'))).toEqual([
      'proxy.yaml:3:5 listeners[0].upstream: this option is required',
      'proxy.yaml:4:11 listeners[0].bind: expected "host:port", got "0.0.0.0"',
      'proxy.yaml:5:5 listeners[0].upsteam: unknown option',
      'proxy.yaml:6:15 log.level: expected one of debug, info, warn, error, got "${LEVEL}"',
    ])
    expect(shell.stderr).toContain("  hint: did you mean 'upstream'?\n")
  })

  test('a missing file is a mistake of its own', async () => {
    await using shell = await makeShell({})
    expect(await shell.run(check, '-c', 'no/where.yaml')).toBe(1)
    expect(shell.stderr).toBe(
      'no/where.yaml:1:1 there is no such file\n  hint: name another with --config FILE\n',
    )
  })

  test('an absolute path does not begin at the working directory', async () => {
    await using elsewhere = await makeShell({ 'proxy.yaml': good })
    await using shell = await makeShell({})
    expect(await shell.run(check, '-c', join(elsewhere.cwd, 'proxy.yaml'))).toBe(0)
  })

  test('--json: one document on stdout, nothing on stderr, the same exit', async () => {
    await using shell = await makeShell({ 'proxy.yaml': bad, 'good.yaml': good })
    expect(await shell.run(check, '--json')).toBe(1)
    expect(JSON.parse(shell.stdout)).toEqual({
      ok: false,
      file: 'proxy.yaml',
      diagnostics: expect.arrayContaining([
        {
          file: 'proxy.yaml',
          line: 5,
          column: 5,
          path: 'listeners[0].upsteam',
          message: 'unknown option',
          hint: "did you mean 'upstream'?",
          severity: 'error',
        },
      ]),
    })
    expect(shell.stderr).toBe('')
    await using second = await makeShell({ 'proxy.yaml': good })
    expect(await second.run(check, '--json')).toBe(0)
    expect(JSON.parse(second.stdout)).toEqual({
      ok: true,
      file: 'proxy.yaml',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      diagnostics: [],
      lists: [],
    })
  })

  test.each([['--jsno'], ['proxy.yaml'], ['--config'], ['--json=yes']])(
    '%s is a usage error',
    async (...argv) => {
      await using shell = await makeShell({ 'proxy.yaml': good })
      await expect(shell.run(check, ...argv)).rejects.toThrow(UsageError)
      await expect(shell.run(check, ...argv)).rejects.toMatchObject({
        message: expect.stringMatching(/^[a-z]/),
        hint: 'see "pulseward check --help"',
      })
      expect(shell.stdout + shell.stderr).toBe('')
    },
  )
})

describe('pulseward schema', () => {
  test('prints the JSON Schema', async () => {
    await using shell = await makeShell({})
    expect(await shell.run(schema)).toBe(0)
    expect(shell.stdout).toBe(renderJsonSchema())
    expect(JSON.parse(shell.stdout)).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
    })
  })

  test('arguments are a usage error', async () => {
    await using shell = await makeShell({})
    await expect(shell.run(schema, 'proxy.yaml')).rejects.toThrow(UsageError)
  })
})

test.each([
  ['check', check, checkHelp, ['-c, --config FILE', '--live', '--json', '-h, --help']],
  ['schema', schema, schemaHelp, ['-h, --help']],
])('%s --help names every option and the exit status', async (name, command, help, options) => {
  await using shell = await makeShell({})
  expect(await shell.run(command, '--help')).toBe(0)
  expect(shell.stdout).toBe(help)
  expect(help).toMatch(new RegExp(`^usage: pulseward ${name}`))
  for (const text of [...options, 'exit status: 0']) expect(help).toContain(text)
  for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})

/** A working directory with files, and what commands that run there have written. */
async function makeShell(files: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'pulseward-check-'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder.path, name), content)
  const shell = {
    cwd: folder.path,
    stdout: '',
    stderr: '',
    run: async (command: (argv: string[], io: Io) => Promise<number>, ...argv: string[]) =>
      await command(argv, {
        stdout: (text) => (shell.stdout += text),
        stderr: (text) => (shell.stderr += text),
        env,
        cwd: folder.path,
      }),
    [Symbol.asyncDispose]: async () => await folder.remove(),
  }
  return shell
}
