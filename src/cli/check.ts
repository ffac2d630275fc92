// `pulseward check`: reads proxy.yaml as the proxy would and says everything that is wrong with it.
import { parseArgs } from 'node:util'
import { ConfigError, formatDiagnostic } from '../config/diagnostics.ts'
import type { Diagnostic } from '../config/diagnostics.ts'
import { loadConfig } from '../config/load.ts'
import type { Loaded } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const checkHelp = `usage: pulseward check [-c FILE] [--json]

Reads a configuration as "pulseward run" would, the certificates and keys it
names included, and lists every mistake with its line and column on standard
error. Nothing is started, and no broker is asked.

  -c, --config FILE  the configuration, instead of proxy.yaml
      --json         one JSON document on standard output instead of text:
                     { ok, file, sha256, diagnostics: [{ file, line, column,
                     path, message, hint, severity }] }
  -h, --help         this text

exit status: 0 it can be used, perhaps with warnings; 1 it cannot; 2 usage
`

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know.
 */
export async function check(argv: string[], io: Io): Promise<number> {
  const { config: file, json, help } = readArguments(argv)
  if (help) {
    io.stdout(checkHelp)
    return 0
  }
  const outcome = load(file, io)
  const diagnostics = 'loaded' in outcome ? outcome.loaded.warnings : outcome.diagnostics
  if (json) {
    const sha256 = 'loaded' in outcome ? outcome.loaded.sha256 : undefined
    io.stdout(`${JSON.stringify({ ok: 'loaded' in outcome, file, sha256, diagnostics })}\n`)
  } else {
    for (const diagnostic of diagnostics) io.stderr(`${formatDiagnostic(diagnostic)}\n`)
    if ('loaded' in outcome) io.stdout(`${file}: ok: ${summarise(outcome.loaded.config)}\n`)
  }
  return 'loaded' in outcome ? 0 : 1
}

function readArguments(argv: string[]): { config: string; json: boolean; help: boolean } {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
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
