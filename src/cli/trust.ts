// `pulseward trust`: accepts the new pin of a broker after a rotation, lists what was accepted, and takes it back.
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { printable } from '../printable.ts'
import { acceptedFile, acceptPin, readAccepted, revokePin } from '../tls/accepted.ts'
import type { Accepted } from '../tls/accepted.ts'
import { readFirstUses } from '../tls/first-use.ts'
import type { FirstUsePin } from '../tls/first-use.ts'
import { parsePin, samePin } from '../tls/pins.ts'
import { isInForce } from '../tls/pinset.ts'
import { UsageError, userName } from './io.ts'
import type { Io } from './io.ts'
import { serverNamed, upstreamNamed } from './named.ts'
import { trustProfile } from './trust-profile.ts'

export const trustHelp = `usage: pulseward trust list [-c FILE] [--json]
       pulseward trust accept --upstream NAME --pin PIN [--server HOST:PORT]
                              [-c FILE] [--print]
       pulseward trust revoke --upstream NAME --pin PIN [-c FILE]
       pulseward trust profile show [--upstream NAME] [--server HOST:PORT]
                              [-c FILE] [--json]
       pulseward trust profile forget --upstream NAME [--server HOST:PORT]
                              [-c FILE]

After a broker changed to a key that is not pinned, accept lets the proxy trust
it without a restart: the pin is kept in trust/ below the state directory, with
the time and your name, and a proxy that watches its files takes it into force
by itself; others do on SIGHUP. Confirm the pin by another channel first: this
is the question the proxy stopped at. Move the pin into proxy.yaml when you can
and revoke it here; pins in proxy.yaml and their dates always win. Run this as
the user that runs the proxy.

With firstUse, accept replaces the pin of the key that a server showed first.

The proxy also learns what each server negotiates and how it answers, and
refuses one that becomes weaker. After an intended change, have it forgotten.

  list    what was accepted, what was trusted on first use, and what was done
  accept  adds a pin to those of an upstream
  revoke  takes an accepted pin back; open sessions stay
  profile show    what was learnt of each server, and what it is held to
  profile forget  has a server, or all of an upstream, learnt anew
      --upstream NAME  the upstream of proxy.yaml
      --server HOST:PORT  only this server of it; with firstUse and several
                       servers, accept asks whose first key is replaced
      --pin PIN        sha256/… as "pulseward pin" and the log show it
      --print          stores nothing: prints the line for proxy.yaml
  -c, --config FILE    the configuration, instead of proxy.yaml
      --json           one JSON document on standard output; list:
                       { file, pins: [{ upstream, pin, at, by, server }],
                       history: [{ action, upstream, pin, at, by, server }],
                       firstUse: [{ upstream, server, pin, at, address,
                       subject }] }; profile show: { file, profiles: [{
                       upstream, server, since, last, held, fields, floors }] }
  -h, --help           this text

exit status: 0 done; 1 it cannot be done; 2 usage
`

interface Arguments {
  readonly command: 'list' | 'accept' | 'revoke'
  readonly config: string
  readonly upstream: string
  /** Canonical. */
  readonly pin: string
  readonly server: string | undefined
  readonly print: boolean
  readonly json: boolean
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for what cannot be done; {ConfigError} for a
 *   configuration that cannot be used.
 */
export async function trust(argv: string[], io: Io): Promise<number> {
  const wantsHelp = argv.includes('--help') || argv.includes('-h')
  if (wantsHelp) {
    io.stdout(trustHelp)
    return 0
  }
  if (argv[0] === 'profile') return await trustProfile(argv.slice(1), io)
  const given = readArguments(argv)
  const { config } = loadConfig(given.config, io.env, io.cwd)
  if (given.command === 'list') await list(given, config, io)
  else if (given.command === 'revoke') await revoke(given, config, io)
  else await accept(given, config, io)
  return 0
}

async function list({ json }: Arguments, { state }: Config, io: Io): Promise<void> {
  const { warnings, pins: firstUse } = await readFirstUses(state)
  for (const warning of warnings) io.stderr(`pulseward: warning: ${warning}\n`)
  const { pins, history } = await accepted(state, io)
  const found = { pins, history, firstUse }
  io.stdout(json ? `${JSON.stringify({ file: acceptedFile(state), ...found })}\n` : listText(found))
}

async function revoke({ upstream, pin }: Arguments, { state }: Config, io: Io): Promise<void> {
  const deed = { upstream, pin, at: new Date().toISOString(), by: userName() }
  if ((await revokePin(state, await accepted(state, io), deed)) === undefined) {
    throw new PulsewardError('pin-unknown', 'config', `no such pin was accepted for "${upstream}"`, {
      hint: '"pulseward trust list" shows what was; pins of proxy.yaml are taken out there',
    })
  }
  io.stdout(`${upstream}: ${pin} is no longer accepted\n`)
}

async function accept(given: Arguments, config: Config, io: Io): Promise<void> {
  const at = new Date().toISOString()
  const upstream = upstreamNamed(config, given.config, given.upstream)
  const deed = { upstream: given.upstream, pin: given.pin, at, by: userName(), ...placeOf(given, upstream) }
  const { pins, firstUse } = upstream.tls
  if (given.print) {
    const comment = `accepted ${at.slice(0, 10)} by ${printable(deed.by, 64)}`
    io.stdout(`        - { pin: ${given.pin}, comment: ${JSON.stringify(comment)} }\n`)
    return
  }
  if (pins.length === 0 && firstUse === 'refuse') {
    throw new PulsewardError('not-pinned', 'config', `"${given.upstream}" has no pins, so none is missing`, {
      hint: 'to begin pinning, put the pin into proxy.yaml: --print shows the line',
    })
  }
  const known = pins.find(({ pin }) => samePin(pin, given.pin))
  if (known !== undefined && isInForce(known, Date.now())) {
    io.stdout(`${given.upstream}: ${given.pin} is in ${given.config} already\n`)
    return
  }
  if (known !== undefined) {
    const message = `${given.config} has this pin, outside its dates`
    throw new PulsewardError('pin-outside-dates', 'config', message, {
      hint: 'change notBefore or notAfter there: proxy.yaml always wins',
    })
  }
  await acceptPin(config.state, await accepted(config.state, io), deed)
  const how = config.reload.watch
    ? 'a running proxy takes it into force by itself'
    : 'send SIGHUP to the proxy'
  io.stdout(`${given.upstream}: ${given.pin} accepted; ${how}\n`)
}

/** Whose first key an accepted pin replaces: with several servers, that has to be said. */
function placeOf({ server }: Arguments, upstream: UpstreamConfig): { readonly server?: string } {
  if (server !== undefined) return { server: serverNamed(upstream, server) }
  if (upstream.tls.firstUse === 'refuse' || upstream.servers.length === 1) return {}
  const servers = upstream.servers.map(({ host, port }) => hostPort(host, port)).join(', ')
  throw new PulsewardError('server-missing', 'config', 'each server has a first key of its own', {
    hint: `say with --server which one changed: ${servers}`,
  })
}

function readArguments(argv: string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        upstream: { type: 'string' },
        pin: { type: 'string' },
        server: { type: 'string' },
        print: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    })
    const [command, ...more] = positionals
    const { config, upstream, pin, server, print, json } = values
    if ((command !== 'list' && command !== 'accept' && command !== 'revoke') || more.length > 0)
      throw new Error('expected list, accept, revoke or profile')
    if (server !== undefined && command !== 'accept') throw new Error('--server belongs to accept')
    if (print && command !== 'accept') throw new Error('--print belongs to accept')
    if (json && command !== 'list') throw new Error('--json belongs to list')
    if (command === 'list') {
      if (upstream !== undefined || pin !== undefined)
        throw new Error('list takes neither --upstream nor --pin')
      return { command, config, upstream: '', pin: '', server, print, json }
    }
    if (upstream === undefined || pin === undefined) throw new Error('expected --upstream NAME and --pin PIN')
    return { command, config, upstream, pin: parsePin(pin), server, print, json }
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

function listText({
  pins,
  history,
  firstUse,
}: Accepted & { readonly firstUse: readonly FirstUsePin[] }): string {
  const lines = [
    ...(pins.length === 0 ? ['no pin is accepted beside those of proxy.yaml'] : []),
    ...pins.map(({ upstream, pin, at, by }) => `${upstream}  ${pin}  accepted ${at} by ${printable(by)}`),
    ...(firstUse.length === 0 ? [] : ['', 'stored on first use, of which nothing proves whose it is:']),
    ...firstUse.map(({ upstream, server, pin, at, address, subject }) =>
      [upstream, server, pin, at, address, subject].map((text) => printable(text)).join('  '),
    ),
    ...(history.length === 0 ? [] : ['', 'what was done:']),
    ...history.map(
      ({ action, upstream, pin, at, by }) => `  ${at}  ${action}  ${upstream}  ${pin}  ${printable(by)}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
