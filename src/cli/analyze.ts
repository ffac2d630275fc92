// `pulseward analyze`: judges the MQTT in captures as the proxy would judge it live, and says what was found.
import { createReadStream, existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { inspectionOf } from '../config/rulebooks.ts'
import { configSchema, EMBEDDED, type Config } from '../config/schema.ts'
import { detectorsOf, policyOf } from '../config/snapshot.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'
import { Replay } from '../replay/replay.ts'
import type { Plan } from '../replay/stage.ts'
import { analysisJson } from './analyze-document.ts'
import type { ReadFile } from './analyze-document.ts'
import { analysisText } from './analyze-report.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'
import { Progress } from './progress.ts'

export const analyzeHelp = `usage: pulseward analyze [-c FILE] [--policy] [--json] CAPTURE...

Judges the MQTT in captures (pcap, pcapng) as the proxy would judge it live, by
the clock of the capture, and lists what was found: when, which device, what,
how often, in which packets. MQTT is recognised on any port. TLS is not
decrypted: its clients are listed. Nothing is sent and nothing is changed.
Several captures are read as one, in the order given.

  -c, --config FILE  the configuration to judge by, instead of proxy.yaml, or of
                     the defaults where there is none
      --policy       what enforcement would have done: judges as if policy.mode
                     were enforce, and lists the sessions that would have ended
      --json         one JSON document on standard output instead of text:
                     { files, summary, incidents, tls, policy }; see
                     docs/analyze.md
  -h, --help         this text

exit status: 0 nothing found that is a warning or worse; 1 a capture cannot be
read, or the configuration has mistakes; 2 usage; 3 there are such findings
`

export interface AnalyzeIo extends Io {
  /** Whether standard error is a terminal, and shows how far it has come. */
  readonly isTerminal: boolean
}

const usual = 'proxy.yaml'
const chunkBytes = 1024 * 1024
const longestMessage = 1024

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know; {ConfigError} for a configuration that cannot be used;
 *   {PulsewardError} for a file that cannot be read or is no capture.
 */
export async function analyze(argv: string[], io: AnalyzeIo): Promise<number> {
  const { config: given, policy, json, help, captures } = readArguments(argv)
  if (help) {
    io.stdout(analyzeHelp)
    return 0
  }
  const file = given ?? (existsSync(resolve(io.cwd, usual)) ? usual : undefined)
  const config = file === undefined ? defaults() : loadConfig(file, io.env, io.cwd).config
  const replay = new Replay(plansOf(policy ? enforced(config) : config))
  const files = await readAll(captures, replay, io)
  for (const { name, problem } of files) {
    if (problem !== undefined)
      io.stderr(`pulseward: warning: "${printable(name)}": ${problem.what}, at byte ${problem.at}\n`)
  }
  const analysis = { replay, files, config: file, withPolicy: policy }
  io.stdout(json ? analysisJson(analysis) : analysisText(analysis))
  const { worst } = replay.stage.incidents
  if (worst === 'warning' || worst === 'critical') return 3
  return files.some(({ problem }) => problem?.kind === 'damaged') ? 1 : 0
}

function readArguments(argv: string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        policy: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (!values.help && positionals.length === 0) throw new Error('expected a capture to read')
    return { ...values, captures: positionals }
  } catch (thrown) {
    throw UsageError.of(thrown, 'analyze')
  }
}

/** What stands where nobody asks for anything else. */
function defaults(): Config {
  return configSchema.parse({ listeners: [{ name: 'default', bind: '0.0.0.0:1883', upstream: EMBEDDED }] })
}

function enforced(config: Config): Config {
  return { ...config, policy: { ...config.policy, mode: 'enforce' } }
}

function plansOf(config: Config): [Plan, ...Plan[]] {
  const detectors = detectorsOf(config)
  const plans = config.listeners.map((listener): Plan => {
    const { book, modes } = inspectionOf(listener, config)
    return {
      name: listener.name,
      port: listener.bind.port,
      book,
      policy: { ...policyOf(config), rules: modes },
      detectors,
      timeouts: { idle: listener.limits.idle },
    }
  })
  const [first, ...others] = plans
  if (first === undefined) throw new RangeError('a configuration without listeners')
  return [first, ...others]
}

async function readAll(captures: readonly string[], replay: Replay, io: AnalyzeIo): Promise<ReadFile[]> {
  const paths = captures.map((name) => resolve(io.cwd, name))
  const sizes = await Promise.all(
    paths.map(async (path) => (await stat(path).catch(() => undefined))?.size ?? 0),
  )
  using progress = new Progress({
    total: sizes.reduce((sum, size) => sum + size, 0),
    write: io.isTerminal ? io.stderr : () => {},
    clock: () => performance.now(),
  })
  const files: ReadFile[] = []
  let done = 0
  for (const [index, path] of paths.entries()) {
    const name = captures[index]!
    const reader = replay.open()
    for await (const chunk of chunksOf(name, path)) {
      reader.push(chunk)
      if (reader.problem !== undefined) break
      done += chunk.length
      progress.at(done, `${replay.packets.packets.toLocaleString('en')} packets`)
    }
    reader.end()
    const { problem } = reader
    if (problem?.kind === 'not-a-capture') {
      throw new PulsewardError('capture-unreadable', 'config', `"${printable(name)}": ${problem.what}`)
    }
    files.push({ name, problem })
  }
  replay.finish()
  return files
}

async function* chunksOf(name: string, path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) yield chunk as Buffer
  } catch (error) {
    throw new PulsewardError(
      'capture-unreadable',
      'config',
      printable(`"${name}": ${messageOf(error)}`, longestMessage),
      {
        cause: error,
      },
    )
  }
}
