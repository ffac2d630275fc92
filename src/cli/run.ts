// `pulseward run`: starts the proxy, says where it stands, and obeys SIGHUP, SIGTERM and SIGINT.

import { parseArgs } from 'node:util'
import { App } from '../app.ts'
import { hostPort } from '../net/address.ts'
import { createLog, type RootLog } from '../observe/log.ts'
import { createMetrics } from '../observe/metrics.ts'
import { version } from '../version.ts'
import { UsageError, type Io } from './io.ts'

export const runHelp = `usage: pulseward run [-c FILE]

Starts the proxy in the foreground. The log goes to standard output as JSON
lines, a summary for humans to standard error.

  -c, --config FILE  the configuration, instead of proxy.yaml
  -h, --help         this text

signals: HUP reads the configuration again; TERM and INT let open sessions end
for as long as drain.timeout says, and exit; a second one closes them at once

exit status: 0 stopped as asked; 1 could not start; 2 usage
`

/** The process as far as `run` needs it. */
export interface Signals {
  on(signal: 'SIGHUP' | 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

/** @returns the exit status, once the proxy has stopped. */
export async function run(argv: string[], io: Io & { readonly signals: Signals }): Promise<number> {
  const { config: path, help } = readArguments(argv)
  if (help) {
    io.stdout(runHelp)
    return 0
  }
  using metrics = createMetrics({ version })
  const log = createLog({ level: 'info', onDrop: () => (metrics.logLinesDropped += 1) })
  let app: App | undefined
  io.signals.on('SIGHUP', () => void app?.reload('SIGHUP'))
  const { asked, askedAgain } = heed(io.signals, log)
  app = await App.start({ path, cwd: io.cwd, env: io.env, log, metrics })
  try {
    io.stderr(summary(app, path))
    const { sha256 } = app.snapshot
    log.info({ version, sha256, listening: app.listening.map(({ address }) => address) }, 'started')
    await asked
    await Promise.race([app.drain(), askedAgain])
  } finally {
    await app[Symbol.asyncDispose]()
  }
  log.info({}, 'stopped')
  return 0
}

/** Two like signals within this many milliseconds are one. */
const echo = 200

/** From before the start: a process that is the first of its container loses signals that nobody listens to. */
function heed(signals: Signals, log: RootLog) {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let next = first
  let last = { signal: '', at: -Infinity }
  const stop = (signal: string) => (): void => {
    // systemd signals a whole process group, and a launcher in it hands its own on: that is one wish, told twice.
    const told = last
    last = { signal, at: performance.now() }
    if (told.signal === signal && last.at - told.at < echo) return
    log.info({ signal }, next === first ? 'stopping' : 'stopping at once')
    next.resolve()
    next = second
  }
  signals.on('SIGTERM', stop('SIGTERM'))
  signals.on('SIGINT', stop('SIGINT'))
  return { asked: first.promise, askedAgain: second.promise }
}

function summary(app: App, path: string): string {
  const { config, upstreams } = app.snapshot
  const lines = [`pulseward ${version}, configured by ${path}`]
  for (const { name, address } of app.listening) {
    const listener = config.listeners.find((one) => one.name === name)
    lines.push(`  listening  ${address} (${name}; ${listener?.accept.join(', ')}) -> ${listener?.upstream}`)
  }
  for (const { name, servers, trust } of upstreams) {
    const places = servers.map(({ host, port }) => hostPort(host, port)).join(', ')
    const pins =
      trust.pins.length === 0
        ? 'chain and name only, no pins'
        : `chain, name and pins (${trust.pins.length}${trust.pinMode === 'report' ? ', only reported' : ''})`
    lines.push(`  trusts     ${name}: ${places} by ${pins}; ${trust.minVersion} or later`)
  }
  if (config.listeners.some(({ upstream }) => upstream === 'embedded')) {
    lines.push('  trusts     embedded: a broker inside, for trials, by the local CA and its pins; TLSv1.3')
  }
  lines.push(`  metrics    http://${app.adminAddress}/metrics, /healthz, /readyz`)
  const plain = config.listeners.findIndex(({ accept }) => accept.includes('mqtt'))
  const open = app.listening[plain]
  if (open !== undefined) {
    const { host = '' } = config.listeners[plain]?.bind ?? {}
    const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
    lines.push(`  try        mosquitto_pub -h ${reached} -p ${open.port} -t ward/1/pulse -m 72`)
  }
  lines.push('')
  return lines.join('\n')
}

function readArguments(argv: string[]): { config: string; help: boolean } {
  try {
    return parseArgs({
      args: argv,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (thrown) {
    throw UsageError.of(thrown, 'run')
  }
}
