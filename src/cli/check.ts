// `pulseward check`: reads proxy.yaml as the proxy would and says everything that is wrong with it.
import { parseArgs } from 'node:util'
import { ConfigError, formatDiagnostic } from '../config/diagnostics.ts'
import type { Diagnostic } from '../config/diagnostics.ts'
import { loadConfig } from '../config/load.ts'
import type { Loaded } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { systemLookup } from '../net/resolve.ts'
import type { Lookup } from '../net/resolve.ts'
import { listLine, reportLists } from './check-lists.ts'
import { checkLive } from './check-live.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const checkHelp = `usage: pulseward check [-c FILE] [--live] [--json]

Reads a configuration as "pulseward run" would, the certificates and keys it
names included, and lists every mistake with its line and column on standard
error; of revocation lists in files it says by whom they are and until when
they count. Nothing is started, and no broker is asked unless --live says so.

  -c, --config FILE  the configuration, instead of proxy.yaml
      --live         then shakes hands with every address of every server of
                     every upstream, as the canary of a running proxy does, and
                     prints verdict, reasons, hint and the end of certificates;
                     no MQTT is sent, and the proxy need not run
      --json         one JSON document on standard output instead of text:
                     { ok, file, sha256, diagnostics: [{ file, line, column,
                     path, message, hint, severity }], lists: [{ upstream,
                     file, issuer, number, revoked, nextUpdate, signer }] };
                     with --live also
                     live: [{ upstream, server, trusted, omitted, addresses:
                     [{ address, verdict, causes, reasons, remarks, hint, link,
                     certificates: [{ subject, notAfter }] }] }]
  -h, --help         this text

exit status: 0 it can be used, perhaps with warnings; 1 it cannot, or --live
found an address that is not trusted; 2 usage
`

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know; {PulsewardError} for a certificate that cannot be used.
 */
export async function check(argv: string[], io: Io, lookup: Lookup = systemLookup): Promise<number> {
  const { config: file, live: isLive, json, help } = readArguments(argv)
  if (help) {
    io.stdout(checkHelp)
    return 0
  }
  const outcome = load(file, io)
  const diagnostics = 'loaded' in outcome ? outcome.loaded.warnings : outcome.diagnostics
  const lists = 'loaded' in outcome ? reportLists(outcome.loaded.config) : undefined
  if (!json) {
    for (const diagnostic of diagnostics) io.stderr(`${formatDiagnostic(diagnostic)}\n`)
    if ('loaded' in outcome) io.stdout(`${file}: ok: ${summarise(outcome.loaded.config)}\n`)
    for (const list of lists ?? []) io.stdout(`${listLine(list)}\n`)
  }
  const warn = (warning: string): void => io.stderr(`pulseward: warning: ${warning}\n`)
  const live = isLive && 'loaded' in outcome ? await checkLive(outcome.loaded, lookup, warn) : undefined
  const ok = 'loaded' in outcome && live?.ok !== false
  if (json) {
    const sha256 = 'loaded' in outcome ? outcome.loaded.sha256 : undefined
    io.stdout(`${JSON.stringify({ ok, file, sha256, diagnostics, lists, live: live?.servers })}\n`)
  } else if (live !== undefined) io.stdout(live.text)
  return ok ? 0 : 1
}

function readArguments(argv: string[]): { config: string; live: boolean; json: boolean; help: boolean } {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        live: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    return values
  } catch (thrown) {
    throw UsageError.of(thrown, 'check')
  }
}

function load(file: string, io: Io): { loaded: Loaded } | { diagnostics: readonly Diagnostic[] } {
  try {
    return { loaded: loadConfig(file, io.env, io.cwd) }
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return { diagnostics: thrown.diagnostics }
  }
}

function summarise(config: Config): string {
  const upstreams = new Set([
    ...Object.keys(config.upstreams),
    ...config.listeners.map(({ upstream }) => upstream),
  ])
  return [
    plural(config.listeners.length, 'listener'),
    plural(upstreams.size, 'upstream'),
    plural(config.detectors.length, 'detector'),
  ].join(', ')
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
