// From the command line to a command to an exit status.

import { analyze, analyzeHelp } from './cli/analyze.ts'
import { check, checkHelp } from './cli/check.ts'
import { evidence, evidenceHelp } from './cli/evidence.ts'
import { UsageError, type Io } from './cli/io.ts'
import { pair, pairHelp } from './cli/pair.ts'
import { patches, patchesHelp } from './cli/patches.ts'
import { pin, pinHelp } from './cli/pin.ts'
import { pki, pkiHelp } from './cli/pki.ts'
import { rules, rulesHelp } from './cli/rules.ts'
import { run, runHelp } from './cli/run.ts'
import { schema, schemaHelp } from './cli/schema.ts'
import { trust, trustHelp } from './cli/trust.ts'
import { ConfigError, formatDiagnostic } from './config/diagnostics.ts'
import { messageOf, PulsewardError } from './errors.ts'
import { version } from './version.ts'

const help = `usage: pulseward COMMAND [OPTIONS]

Stands between MQTT devices and their broker: judges every frame, upgrades the
link to TLS 1.3 with post-quantum key exchange, and pins the broker.

commands:
  run      start the proxy
  analyze  judge captures as live traffic would be judged
  check    find every mistake in proxy.yaml
  evidence list, show or verify the record of brokers that were not trusted
  pair     make and show the identity of this end of a pair, and shared keys
  patches  list the vulnerabilities that are stopped, and by which rule
  pin      show a broker's certificates and what to paste to pin it
  pki      show the local CA, or issue a certificate with it
  rules    print, set or clear the rules that take devices to the proxy
  schema   print the JSON Schema of proxy.yaml
  trust    accept a broker's new pin after a rotation, list or revoke it;
           show what was learnt of brokers, or have it forgotten

  -h, --help     this text; "pulseward COMMAND --help" says more
  -V, --version  the version

exit status: 0 done; 1 the input or its surroundings are at fault; 2 usage;
3 analyze: something was found
`

interface Command {
  readonly help: string
  readonly start: (argv: string[], io: Io) => Promise<number>
}

const io: Io = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  env: process.env,
  cwd: process.cwd(),
}

const commands: Readonly<Record<string, Command>> = {
  run: { help: runHelp, start: (argv) => run(argv, { ...io, signals: process }) },
  analyze: {
    help: analyzeHelp,
    start: (argv) => analyze(argv, { ...io, isTerminal: process.stderr.isTTY }),
  },
  check: { help: checkHelp, start: check },
  evidence: { help: evidenceHelp, start: evidence },
  pair: { help: pairHelp, start: pair },
  patches: { help: patchesHelp, start: patches },
  pin: { help: pinHelp, start: pin },
  pki: { help: pkiHelp, start: pki },
  rules: { help: rulesHelp, start: rules },
  schema: { help: schemaHelp, start: schema },
  trust: { help: trustHelp, start: trust },
}

process.exitCode = await main(process.argv.slice(2))
// A resolver that does not answer cannot be called off, and must not hold up the end.
setTimeout(() => process.exit(), 2000).unref()

async function main([name, ...argv]: string[]): Promise<number> {
  if (name === '-h' || name === '--help' || name === 'help') {
    io.stdout(commands[argv[0] ?? '']?.help ?? help)
    return 0
  }
  if (name === '-V' || name === '--version') {
    io.stdout(`${version}\n`)
    return 0
  }
  const command = name === undefined || !Object.hasOwn(commands, name) ? undefined : commands[name]
  if (command === undefined) {
    const what = name === undefined ? 'no command' : `unknown command "${name}"`
    return complain(new UsageError(what, 'see "pulseward --help"'))
  }
  try {
    return await command.start(argv, io)
  } catch (error) {
    return complain(error)
  }
}

function complain(error: unknown): number {
  if (error instanceof ConfigError) io.stderr(`${error.diagnostics.map(formatDiagnostic).join('\n')}\n`)
  else if (error instanceof PulsewardError) {
    io.stderr(`pulseward: ${error.message}\n${error.hint === undefined ? '' : `hint: ${error.hint}\n`}`)
  } else io.stderr(`pulseward: a defect: ${error instanceof Error ? error.stack : messageOf(error)}\n`)
  return error instanceof UsageError ? 2 : 1
}
