// `pulseward evidence`: lists and shows the record of brokers that were not trusted, and checks that nobody changed it.
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { audit } from '../evidence/audit.ts'
import type { Audit } from '../evidence/audit.ts'
import { isHash, isId } from '../evidence/chain.ts'
import { listJson, listText, showJson, showText, verifyJson, verifyText } from './evidence-report.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const evidenceHelp = `usage: pulseward evidence list   [-c FILE | --dir DIR] [--json]
       pulseward evidence show   [-c FILE | --dir DIR] [--json] ID
       pulseward evidence verify [-c FILE | --dir DIR] [--json] [--head HASH]

Every time a broker is not trusted, an incident is recorded in evidence/ below
the state directory: what was served, the verdict and its reasons, what was held
back, and that nothing was sent. Nothing is changed by these commands, and the
proxy may run meanwhile.

  list    the incidents, the oldest first
  show    one of them; its certificates are in chain.pem of its folder
  verify  compares every file with the hash chain and names where it breaks

  -c, --config FILE  the configuration that names the state, instead of proxy.yaml
      --dir DIR      the evidence folder itself, as for one that was moved away
      --head HASH    verify: this hash, as the log line "evidence recorded" has
                     it, has to be in the chain
      --json         one JSON document on standard output instead of text
  -h, --help         this text

exit status: 0; 1 the chain is broken, or there is no such incident; 2 usage
`

/** A proxy that writes just now can make a store look unfinished; a second look does not find it so. */
const secondLook = 300

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for a store or incident that is not there;
 *   {ConfigError} for a configuration that cannot be used.
 */
export async function evidence(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(evidenceHelp)
    return 0
  }
  const { command, json, head } = given
  const folder =
    given.dir === undefined
      ? join(loadConfig(given.config, io.env, io.cwd).config.state, 'evidence')
      : resolve(io.cwd, given.dir)
  // Without a configuration that says so, an absent folder is a mistyped one.
  if (given.dir !== undefined) await mustBeDirectory(folder)
  const found = await look(folder)
  if (command === 'list') {
    io.stdout(json ? listJson(found) : listText(found))
    if (isBroken(found))
      io.stderr('pulseward: warning: the hash chain is broken; see "pulseward evidence verify"\n')
    return 0
  }
  if (command === 'verify') {
    const missing = head !== undefined && !found.lines.some(({ hash }) => hash === head) ? head : undefined
    io.stdout(json ? verifyJson(found, missing) : verifyText(found, missing))
    return isBroken(found) || missing !== undefined ? 1 : 0
  }
  const kept = found.incidents.find(({ told }) => told.id === given.id)
  if (kept === undefined) {
    throw new PulsewardError('incident-unknown', 'config', `there is no incident ${given.id}`, {
      hint: 'see "pulseward evidence list"',
    })
  }
  io.stdout(json ? showJson(folder, kept) : showText(folder, kept))
  return kept.json === undefined && !kept.told.rotated ? 1 : 0
}

async function look(folder: string): Promise<Audit> {
  try {
    const found = await audit(folder)
    if (!isBroken(found)) return found
    await sleep(secondLook)
    return await audit(folder)
  } catch (error) {
    throw new PulsewardError('evidence-unreadable', 'config', messageOf(error), {
      hint: 'run this as the user that runs the proxy',
      cause: error,
    })
  }
}

function isBroken({ breaks, torn }: Audit): boolean {
  return breaks.length + torn.length > 0
}

async function mustBeDirectory(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() === true) return
  throw new PulsewardError('evidence-unreadable', 'config', `there is no folder "${folder}"`)
}

interface Arguments {
  readonly command: 'list' | 'show' | 'verify'
  readonly id: string
  readonly config: string
  readonly dir: string | undefined
  readonly head: string | undefined
  readonly json: boolean
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        dir: { type: 'string' },
        head: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [command, id = '', ...rest] = positionals
    const { config, dir, head, json } = values
    if (command !== 'list' && command !== 'show' && command !== 'verify')
      throw new Error('expected list, show or verify')
    if (rest.length > 0 || (id !== '') !== (command === 'show'))
      throw new Error('show takes one ID, nobody else does')
    if (command === 'show' && !isId(id)) throw new Error('an ID looks like 000001-20261122T080000Z')
    if (config !== undefined && dir !== undefined) throw new Error('expected --config or --dir, not both')
    if (head !== undefined && (command !== 'verify' || !isHash(head)))
      throw new Error('--head belongs to verify and takes 64 hex digits')
    return { command, id, config: config ?? 'proxy.yaml', dir, head, json }
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), 'see "pulseward evidence --help"')
  }
}
