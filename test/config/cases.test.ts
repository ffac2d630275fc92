// Golden files: a proxy.yaml, a line of dashes, and what `pulseward check` says about it.
import { createPrivateKey } from 'node:crypto'
import { mkdtempDisposable, readFile, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigError, formatDiagnostic } from '../../src/config/diagnostics.ts'
import type { Diagnostic } from '../../src/config/diagnostics.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeCa } from '../help/certificates.ts'
import { makeList, pemList } from '../help/revocation.ts'
import { makePki } from '../help/pki.ts'

const cases = join(import.meta.dirname, 'cases')
/** UPDATE_CASES=1 writes what is said now into the files; read the difference before you believe it. */
const update = process.env['UPDATE_CASES'] === '1'

let directory: string
let remove: () => Promise<unknown>

beforeAll(async () => {
  const made = await mkdtempDisposable(join(tmpdir(), 'pulseward-cases-'))
  directory = made.path
  remove = async () => await made.remove()
  const pki = await makePki()
  const [leaf, other] = await Promise.all([pki.issue(), pki.issue()])
  const locked = createPrivateKey(other.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'hunter2',
  })
  const files = {
    'ca.pem': `a comment, as bundles have it\n${pki.ca.cert}`,
    'leaf.pem': leaf.cert,
    'leaf.key': leaf.key,
    'other.key': other.key,
    'locked.key': locked,
    'damaged.pem': pki.ca.cert + leaf.cert.replace(/\n.{40}/, '\n'),
    'shared.key': `${Buffer.alloc(32, 9).toString('base64')}\n`,
    'empty.pem': '',
    'list.pem': pemList(makeList({ issuer: makeCa('Listing CA') })),
    'ended.pem': pemList(makeList({ issuer: makeCa('Listing CA'), to: Date.UTC(2026, 0, 2) })),
    'large.key': Buffer.alloc(1_048_577),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
})

afterAll(async () => await remove())

const names = (await readdir(cases)).filter((name) => name.endsWith('.txt')).toSorted()

test.each(names)('%s', async (name) => {
  const path = join(cases, name)
  const [, input = '', expected = ''] = /^(.*)^-{10}\n(.*)$/ms.exec(await readFile(path, 'utf8')) ?? []
  await writeFile(join(directory, 'proxy.yaml'), input)
  const said = judge(environmentOf(input))
  if (update) await writeFile(path, `${input}----------\n${said}`)
  else expect(said).toBe(expected)
})

function judge(environment: Record<string, string>): string {
  const { verdict, diagnostics } = load(environment)
  const text = diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n`).join('')
  expect(text).not.toContain('hunter2')
  return `${text}${verdict}\n`
}

function load(environment: Record<string, string>): { verdict: string; diagnostics: readonly Diagnostic[] } {
  try {
    return { verdict: 'ok', diagnostics: loadConfig('proxy.yaml', environment, directory).warnings }
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return { verdict: 'refused', diagnostics: thrown.diagnostics }
  }
}

/** `# env: NAME=value NAME=value` at the top of a case. */
function environmentOf(input: string): Record<string, string> {
  const [, pairs = ''] = /^# env: (.*)$/m.exec(input) ?? []
  return Object.fromEntries(pairs.split(' ').flatMap((pair) => (pair === '' ? [] : [pair.split('=', 2)])))
}
