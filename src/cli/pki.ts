// `pulseward pki`: shows the local authority, hands out its certificate for devices, and issues server certificates.
import type { X509Certificate } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { openAuthority } from '../tls/authority.ts'
import type { Authority } from '../tls/authority.ts'
import type { KeyKind } from '../tls/mint.ts'
import { certificateName } from '../tls/names.ts'
import { pinOf } from '../tls/pins.ts'
import { momentText, nameLine } from '../tls/words.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const pkiHelp = `usage: pulseward pki show [-c FILE | --state DIR] [--json]
       pulseward pki ca [-c FILE | --state DIR]
       pulseward pki issue [-c FILE | --state DIR] [--out DIR] [--key KIND] NAME...

The local authority signs the certificates that TLS devices are shown by
listeners with "certificate: auto". It is kept in pki/ below the state
directory and made where there is none, so run this as the user that runs the
proxy.

  show   its name, validity, fingerprint and pin
  ca     its certificate in PEM, to install on devices: pulseward pki ca > ca.pem
  issue  a server certificate for the given host names and addresses, written
         to FIRST-NAME.pem and FIRST-NAME.key; never over an existing file

  -c, --config FILE  the configuration that names the state, instead of proxy.yaml
      --state DIR    the state directory itself; no configuration is read
      --out DIR      where issue writes, instead of the current directory
      --key KIND     rsa or ec; rsa unless given, which every device can verify
      --json         show: one JSON document on standard output
  -h, --help         this text

exit status: 0; 1 the authority or a file cannot be used; 2 usage
`

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for a state or name that cannot be used;
 *   {ConfigError} for a configuration that cannot.
 */
export async function pki(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(pkiHelp)
    return 0
  }
  // Names are checked before an authority is made for them.
  const names = given.names.map((name) => certificateName(name).text)
  const state =
    given.state === undefined ? loadConfig(given.config, io.env, io.cwd).config.state : given.state
  const authority = await openAuthority(resolve(io.cwd, state), Date.now)
  for (const warning of authority.warnings) io.stderr(`pulseward: warning: ${warning}\n`)
  if (given.command === 'show')
    io.stdout(given.json ? showJson(authority.certificate) : showText(authority.certificate))
  else if (given.command === 'ca') io.stdout(authority.certificate.toString())
  else await issue(authority, names, given.key, resolve(io.cwd, given.out), io)
  return 0
}

interface Arguments {
  readonly command: 'show' | 'ca' | 'issue'
  readonly names: readonly string[]
  readonly config: string
  readonly state: string | undefined
  readonly out: string
  readonly key: KeyKind
  readonly json: boolean
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        state: { type: 'string' },
        out: { type: 'string', default: '.' },
        key: { type: 'string', default: 'rsa' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [command, ...names] = positionals
    const { config, state, out, key, json } = values
    if (command !== 'show' && command !== 'ca' && command !== 'issue')
      throw new Error('expected show, ca or issue')
    if (command === 'issue' ? names.length === 0 : names.length > 0)
      throw new Error('names belong to issue, at least one')
    if (config !== undefined && state !== undefined) throw new Error('expected --config or --state, not both')
    if (key !== 'rsa' && key !== 'ec') throw new Error('expected --key rsa or --key ec')
    return { command, names, config: config ?? 'proxy.yaml', state, out, key, json }
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), 'see "pulseward pki --help"')
  }
}

function showText(certificate: X509Certificate): string {
  const { subject, notBefore, notAfter, fingerprint, pin } = facts(certificate)
  return [
    subject,
    `  valid        ${notBefore} to ${notAfter}`,
    `  fingerprint  ${fingerprint} (SHA-256)`,
    `  pin          ${pin}`,
    '',
  ].join('\n')
}

function showJson(certificate: X509Certificate): string {
  return `${JSON.stringify(facts(certificate))}\n`
}

function facts(certificate: X509Certificate) {
  return {
    subject: nameLine(certificate.subject),
    notBefore: momentText(certificate.validFromDate),
    notAfter: momentText(certificate.validToDate),
    fingerprint: certificate.fingerprint256,
    pin: pinOf(certificate),
  }
}

async function issue(
  authority: Authority,
  names: readonly string[],
  key: KeyKind,
  out: string,
  io: Io,
): Promise<void> {
  const leaf = await authority.issue(names, key)
  const base = join(out, (names[0] ?? '').replaceAll('*', '_').replaceAll(':', '-'))
  await mkdir(out, { recursive: true })
  await writeNew(`${base}.key`, leaf.key, 0o600)
  try {
    await writeNew(`${base}.pem`, leaf.cert, 0o644)
  } catch (error) {
    await rm(`${base}.key`, { force: true }) // ours: it did not exist before
    throw error
  }
  io.stdout(`${base}.pem\n${base}.key\n`)
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    await using handle = await open(file, 'wx', mode)
    await handle.writeFile(text)
    await handle.sync()
  } catch (error) {
    throw new PulsewardError('file-unwritable', 'config', `cannot write "${file}": ${messageOf(error)}`, {
      hint: 'existing files are never overwritten: move them away, or name another directory with --out',
      cause: error,
    })
  }
}
