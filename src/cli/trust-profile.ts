// `pulseward trust profile`: shows what the proxy learnt of its brokers, and has it forgotten after an intended change.
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'
import { leastLink } from '../tls/drift.ts'
import { forgetProfile, readForgotten } from '../tls/forgotten.ts'
import type { Forgotten } from '../tls/forgotten.ts'
import { isSettled } from '../tls/profile.ts'
import type { Profile } from '../tls/profile.ts'
import { profilesFile, readProfiles } from '../tls/profile-book.ts'
import { UsageError, userName } from './io.ts'
import type { Io } from './io.ts'
import { serverNamed, upstreamNamed } from './named.ts'

interface Arguments {
  readonly command: 'show' | 'forget'
  readonly config: string
  readonly upstream: string | undefined
  readonly server: string | undefined
  readonly json: boolean
}

interface Shown {
  readonly upstream: string
  readonly server: string
  readonly profile: Profile
  /** Milliseconds; the `profileAfter` of its upstream. */
  readonly settle: number
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for what cannot be done.
 */
export async function trustProfile(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  const { config } = loadConfig(given.config, io.env, io.cwd)
  if (given.command === 'show') {
    const shown = await profilesOf(config, given)
    io.stdout(given.json ? showJson(config.state, shown) : showText(shown))
    return 0
  }
  const { upstream = '', server } = given
  const known = upstreamNamed(config, given.config, upstream)
  const order: Forgotten = {
    upstream,
    ...(server !== undefined && { server: serverNamed(known, server) }),
    at: new Date().toISOString(),
    by: userName(),
  }
  const { forgotten, warnings } = await readForgotten(config.state, Date.now)
  for (const warning of warnings) io.stderr(`pulseward: warning: ${warning}\n`)
  await forgetProfile(config.state, forgotten, order)
  const how = config.reload.watch ? 'a running proxy takes note by itself' : 'send SIGHUP to the proxy'
  io.stdout(`${upstream}${server === undefined ? '' : ` ${server}`}: learnt anew from now on; ${how}\n`)
  return 0
}

function readArguments(argv: string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        upstream: { type: 'string' },
        server: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
    const [command, ...more] = positionals
    if ((command !== 'show' && command !== 'forget') || more.length > 0)
      throw new Error('expected profile show or profile forget')
    const { config, upstream, server, json } = values
    if (json && command === 'forget') throw new Error('--json belongs to show')
    if (upstream === undefined && (command === 'forget' || server !== undefined))
      throw new Error('expected --upstream NAME')
    return { command, config, upstream, server, json }
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), 'see "pulseward trust --help"')
  }
}

async function profilesOf(config: Config, { upstream, server }: Arguments): Promise<Shown[]> {
  const profiles = await readProfiles(config.state)
  if (profiles === undefined) {
    throw new PulsewardError('profiles-damaged', 'config', `${profilesFile(config.state)} is damaged`, {
      hint: 'the proxy moves it aside when it starts, and learns anew',
    })
  }
  return Array.from(profiles, ([name, byServer]) =>
    Array.from(byServer, ([place, profile]): Shown => {
      const settle = config.upstreams[name]?.tls.profileAfter ?? 0
      return { upstream: name, server: place, profile, settle }
    }),
  )
    .flat()
    .filter((one) => upstream === undefined || one.upstream === upstream)
    .filter((one) => server === undefined || one.server === server)
}

function showText(shown: readonly Shown[]): string {
  if (shown.length === 0) return 'nothing was learnt yet\n'
  return shown.map((one) => `${linesOf(one).join('\n')}\n`).join('\n')
}

function linesOf({ upstream, server, profile, settle }: Shown): string[] {
  const least = leastLink(profile, settle)
  const held = Object.values(least ?? {}).filter((part) => part !== undefined)
  return [
    `${printable(upstream)} ${printable(server)}`,
    `  learnt since ${moment(profile.since)}, last seen ${moment(profile.last)}`,
    held.length === 0 ? '  not known well enough to be held to anything' : `  held to ${held.join(', ')}`,
    ...Array.from(profile.fields, ([name, field]) => {
      const values = field.varies ? 'varies' : field.values.map(({ value }) => printable(value)).join(' | ')
      return `  ${name.padEnd(26)}  ${values}${isSettled(field, settle) || field.varies ? '' : ` (seen ${field.count} times)`}`
    }),
    ...timeLine('connect-time', profile.floors.connect),
    ...timeLine('handshake-time', profile.floors.handshake),
  ]
}

function timeLine(name: string, floor: number | undefined): string[] {
  return floor === undefined ? [] : [`  ${name.padEnd(26)}  at least ${floor} ms`]
}

function showJson(state: string, shown: readonly Shown[]): string {
  const profiles = shown.map(({ upstream, server, profile, settle }) => ({
    upstream,
    server,
    since: moment(profile.since),
    last: moment(profile.last),
    held: leastLink(profile, settle) ?? null,
    fields: Object.fromEntries(
      Array.from(profile.fields, ([name, field]) => [
        name,
        {
          values: field.values.map(({ value }) => value),
          varies: field.varies,
          seen: field.count,
          settled: isSettled(field, settle),
        },
      ]),
    ),
    floors: profile.floors,
  }))
  return `${JSON.stringify({ file: profilesFile(state), profiles })}\n`
}

function moment(at: number): string {
  return new Date(at).toISOString()
}
