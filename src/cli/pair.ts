// `pulseward pair`: makes the identity of this end of a pair, shows it, changes to the next one, and makes shared keys.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadState } from '../config/load.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { installIdentity, readPublicLine, switchIdentity } from '../pair/identity.ts'
import { makeSharedKey, nameOfPeer } from '../pair/keys.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const pairHelp = `usage: pulseward pair keygen [--next] [-c FILE | --state DIR]
       pulseward pair show [-c FILE | --state DIR] [--json]
       pulseward pair switch [-c FILE | --state DIR]
       pulseward pair keygen --shared

Two Pulsewards in paired mode prove to each other that they see the same TLS
connection; see docs/paired-mode.md. Each has an identity, kept in pair/ below
the state directory, readable by its user alone. Its public line goes into
"pair: peers" of the other end. Run this as the user that runs the proxy.

  keygen  makes the identity and prints its public line; never over another
      --next    makes the one to change to: list its line at the other end,
                beside the old one, and then switch
      --shared  makes a key for "pair: sharedKeys" and prints it: a secret for
                both ends, which is kept nowhere else
  show    prints public lines, and the names that keys have in the logs
  switch  changes to the next identity; the old one becomes previous.pem
  -c, --config FILE  the configuration that names the state, instead of proxy.yaml
      --state DIR    the state directory itself; no configuration is read
      --json         show: one JSON document on standard output:
                     { current, next: { line, name } }
  -h, --help         this text

exit status: 0 done; 1 it cannot be done; 2 usage
`

interface Arguments {
  readonly command: 'keygen' | 'show' | 'switch'
  readonly config: string
  readonly state: string | undefined
  readonly next: boolean
  readonly shared: boolean
  readonly json: boolean
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for what cannot be done; {ConfigError} for a
 *   configuration without a state directory that could be used.
 */
export async function pair(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(pairHelp)
    return 0
  }
  if (given.shared) {
    io.stdout(`${makeSharedKey()}\n`)
    return 0
  }
  const state =
    given.state === undefined ? loadState(given.config, io.env, io.cwd) : resolve(io.cwd, given.state)
  if (given.command === 'show') {
    io.stdout(await shown(state, given.json))
    return 0
  }
  if (given.command === 'keygen')
    io.stdout(`${await installIdentity(state, given.next ? 'next' : 'current')}\n`)
  else io.stdout(`${await switchIdentity(state)}\n`)
  return 0
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        state: { type: 'string' },
        next: { type: 'boolean', default: false },
        shared: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [command, ...more] = positionals
    const { config, state, next, shared, json } = values
    if ((command !== 'keygen' && command !== 'show' && command !== 'switch') || more.length > 0)
      throw new Error('expected keygen, show or switch')
    if ((next || shared) && command !== 'keygen') throw new Error('--next and --shared belong to keygen')
    if (next && shared) throw new Error('expected --next or --shared, not both')
    if (json && command !== 'show') throw new Error('--json belongs to show')
    if (config !== undefined && state !== undefined) throw new Error('expected --config or --state, not both')
    return { command, config: config ?? 'proxy.yaml', state, next, shared, json }
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), 'see "pulseward pair --help"')
  }
}

async function shown(state: string, json: boolean): Promise<string> {
  const [current, next] = [await readPublicLine(state, 'current'), await readPublicLine(state, 'next')]
  if (current === undefined && next === undefined) {
    throw new PulsewardError('identity-missing', 'config', `there is no identity below "${state}"`, {
      hint: 'make one with "pulseward pair keygen"',
    })
  }
  const named = (line: string | undefined) =>
    line === undefined ? undefined : { line, name: nameOfPeer(line) }
  const both = { current: named(current), next: named(next) }
  if (json) return `${JSON.stringify(both)}\n`
  return Object.entries(both)
    .flatMap(([place, one]) => (one === undefined ? [] : [`${place.padEnd(7)}  ${one.line}  ${one.name}\n`]))
    .join('')
}
