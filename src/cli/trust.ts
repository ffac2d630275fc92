// `pulseward trust`: accepts the new pin of a broker after a rotation, lists what was accepted, and takes it back.
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'
import { acceptedFile, acceptPin, readAccepted, revokePin } from '../tls/accepted.ts'
import type { Accepted } from '../tls/accepted.ts'
import { parsePin, samePin } from '../tls/pins.ts'
import { isInForce } from '../tls/pinset.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'
import { userName } from './user.ts'

export const trustHelp = `usage: pulseward trust list [-c FILE] [--json]
       pulseward trust accept --upstream NAME --pin PIN [-c FILE] [--print]
       pulseward trust revoke --upstream NAME --pin PIN [-c FILE]

After a broker changed to a key that is not pinned, accept lets the proxy trust
it without a restart: the pin is kept in trust/ below the state directory, with
the time and your name, and a proxy that watches its files takes it into force
by itself; others do on SIGHUP. Confirm the pin by another channel first: this
is the question the proxy stopped at. Move the pin into proxy.yaml when you can
and revoke it here; pins in proxy.yaml and their dates always win. Run this as
the user that runs the proxy.

  list    what was accepted, and everything that was done
  accept  adds a pin to those of an upstream
  revoke  takes an accepted pin back; open sessions stay
      --upstream NAME  the upstream of proxy.yaml
      --pin PIN        sha256/… as "pulseward pin" and the log show it
      --print          stores nothing: prints the line for proxy.yaml
  -c, --config FILE    the configuration, instead of proxy.yaml
      --json           list: one JSON document on standard output:
                       { file, pins: [{ upstream, pin, at, by }],
                       history: [{ action, upstream, pin, at, by }] }
  -h, --help           this text

exit status: 0 done; 1 it cannot be done; 2 usage
`

interface Arguments {
  readonly command: 'list' | 'accept' | 'revoke'
  readonly config: string
  readonly upstream: string
  /** Canonical. */
  readonly pin: string
  readonly print: boolean
  readonly json: boolean
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for what cannot be done; {ConfigError} for a
 *   configuration that cannot be used.
 */
export async function trust(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(trustHelp)
    return 0
  }
  const { config } = loadConfig(given.config, io.env, io.cwd)
  const { state, upstreams } = config
  if (given.command === 'list') {
    const { pins, history } = await accepted(state, io)
    io.stdout(given.json ? listJson(state, { pins, history }) : listText({ pins, history }))
    return 0
  }
  const at = new Date().toISOString()
  const deed = { upstream: given.upstream, pin: given.pin, at, by: userName() }
  if (given.command === 'revoke') {
    if ((await revokePin(state, await accepted(state, io), deed)) === undefined) {
      throw new PulsewardError('pin-unknown', 'config', `no such pin was accepted for "${given.upstream}"`, {
        hint: '"pulseward trust list" shows what was; pins of proxy.yaml are taken out there',
      })
    }
    io.stdout(`${given.upstream}: ${given.pin} is no longer accepted\n`)
    return 0
  }
  const upstream = Object.hasOwn(upstreams, given.upstream) ? upstreams[given.upstream] : undefined
  if (upstream === undefined) {
    throw new PulsewardError(
      'upstream-unknown',
      'config',
      `${given.config} has no upstream "${given.upstream}"`,
      {
        hint: `it has ${Object.keys(upstreams).join(', ') || 'none'}`,
      },
    )
  }
  const { pins } = upstream.tls
  if (given.print) {
    const comment = `accepted ${at.slice(0, 10)} by ${printable(deed.by, 64)}`
    io.stdout(`        - { pin: ${given.pin}, comment: ${JSON.stringify(comment)} }\n`)
    return 0
  }
  if (pins.length === 0) {
    throw new PulsewardError('not-pinned', 'config', `"${given.upstream}" has no pins, so none is missing`, {
      hint: 'to begin pinning, put the pin into proxy.yaml: --print shows the line',
    })
  }
  const known = pins.find(({ pin }) => samePin(pin, given.pin))
  if (known !== undefined && isInForce(known, Date.now())) {
    io.stdout(`${given.upstream}: ${given.pin} is in ${given.config} already\n`)
    return 0
  }
  if (known !== undefined) {
    throw new PulsewardError(
      'pin-outside-dates',
      'config',
      `${given.config} has this pin, outside its dates`,
      {
        hint: 'change notBefore or notAfter there: proxy.yaml always wins',
      },
    )
  }
  await acceptPin(state, await accepted(state, io), deed)
  const how = config.reload.watch
    ? 'a running proxy takes it into force by itself'
    : 'send SIGHUP to the proxy'
  io.stdout(`${given.upstream}: ${given.pin} accepted; ${how}\n`)
  return 0
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        upstream: { type: 'string' },
        pin: { type: 'string' },
        print: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [command, ...more] = positionals
    const { config, upstream, pin, print, json } = values
    if ((command !== 'list' && command !== 'accept' && command !== 'revoke') || more.length > 0)
      throw new Error('expected list, accept or revoke')
    if (print && command !== 'accept') throw new Error('--print belongs to accept')
    if (json && command !== 'list') throw new Error('--json belongs to list')
    if (command === 'list') {
      if (upstream !== undefined || pin !== undefined)
        throw new Error('list takes neither --upstream nor --pin')
      return { command, config, upstream: '', pin: '', print, json }
    }
    if (upstream === undefined || pin === undefined) throw new Error('expected --upstream NAME and --pin PIN')
    return { command, config, upstream, pin: parsePin(pin), print, json }
  } catch (thrown) {
    const hint = thrown instanceof PulsewardError ? thrown.hint : undefined
    throw new UsageError(messageOf(thrown), hint ?? 'see "pulseward trust --help"')
  }
}

async function accepted(state: string, io: Io): Promise<Accepted> {
  const { warnings, ...found } = await readAccepted(state, Date.now)
  for (const warning of warnings) io.stderr(`pulseward: warning: ${warning}\n`)
  return found
}

function listText({ pins, history }: Accepted): string {
  const lines = [
    ...(pins.length === 0 ? ['no pin is accepted beside those of proxy.yaml'] : []),
    ...pins.map(({ upstream, pin, at, by }) => `${upstream}  ${pin}  accepted ${at} by ${printable(by)}`),
    ...(history.length === 0 ? [] : ['', 'what was done:']),
    ...history.map(
      ({ action, upstream, pin, at, by }) => `  ${at}  ${action}  ${upstream}  ${pin}  ${printable(by)}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}

function listJson(state: string, found: Accepted): string {
  return `${JSON.stringify({ file: acceptedFile(state), ...found })}\n`
}
