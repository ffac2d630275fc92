// `pulseward pin`: shakes hands with a broker, shows what it proves, and prints the pins to paste into proxy.yaml.
import { resolve } from 'node:path'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { parseArgs } from 'node:util'
import { readBounded } from '../config/files.ts'
import { parseHost, parseServer } from '../config/endpoint.ts'
import type { Server } from '../config/endpoint.ts'
import { loadConfig } from '../config/load.ts'
import { parseDuration } from '../config/units.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { PAIR_PROTOCOL } from '../pair/frame.ts'
import { brokerContext, brokerOptions } from '../tls/contexts.ts'
import type { BrokerContext } from '../tls/contexts.ts'
import { CrlShelf } from '../tls/crl-source.ts'
import { explainFailure } from '../tls/failure.ts'
import { describe, keepStaple } from '../tls/handshake.ts'
import { judge, trustSettings } from '../tls/trust.ts'
import type { HandshakeFacts } from '../tls/verdict.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'
import { compileAlone } from './lists.ts'
import { failureReport, handshakeReport } from './pin-report.ts'

export const pinHelp = `usage: pulseward pin HOST[:PORT] [--servername NAME] [--ca FILE]... [--json]
       pulseward pin HOST[:PORT] -c FILE [--upstream NAME] [--json]

Shakes hands with a broker and prints its certificates, the TLS version, cipher
and key exchange it agreed to, whether chain and name verify, and a block with
pins to paste into proxy.yaml. Not one byte of MQTT is sent.

With a configuration, it says instead how the broker stands to the pins there:
which certificate has which pin, which pins are backups, what changed, and how
many days are left.

A pin printed over the network is only as good as the network: compare it with
what the broker's administrator reads from the certificate on the broker itself.

  HOST[:PORT]            port 8883 unless given; IPv6 in brackets, [::1]:8883
      --servername NAME  ask for this name and check it, instead of HOST
      --ca FILE          PEM file of the CAs to trust, instead of this machine's;
                         may be given several times
  -c, --config FILE      compare with this configuration; its ca and serverName
                         are used where none are given here
      --upstream NAME    compare with this upstream, of proxy.yaml unless -c
                         names another; else with the one that has HOST:PORT
      --timeout TIME     give up after so long, 10s unless given
      --json             one JSON document on standard output instead of text
  -h, --help             this text

exit status: 0 chain and name verify, and pins where there is a configuration;
1 they do not, or there was no handshake; 2 usage
`

interface Arguments {
  readonly server: Server
  /** The name asked for and checked. */
  readonly name: string
  readonly serverName: string | undefined
  /** As given on the command line. */
  readonly ca: readonly string[]
  /** Milliseconds. */
  readonly timeout: number
  readonly json: boolean
  readonly config: string | undefined
  readonly upstream: string | undefined
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for a CA file that cannot be used.
 */
export async function pin(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(pinHelp)
    return 0
  }
  const compared = await configured(given, io)
  const { ca: knownCa = 'system', serverName = given.serverName } = compared?.tls ?? {}
  const ca = given.ca.length > 0 || knownCa === 'system' ? given.ca : knownCa
  const name = given.serverName ?? serverName ?? given.server.host
  const context = brokerContext({
    ca: ca.length === 0 ? 'system' : ca.map((file) => readCa(resolve(io.cwd, file), file)),
    minVersion: 'TLSv1.2', // the least a broker may speak at all; what it really speaks is printed
    postQuantum: 'prefer',
    staple: true,
    ...(compared && { weakCertificates: compared.tls.weakCertificates }),
  })
  let facts: HandshakeFacts
  try {
    facts = await introduced({ ...given, name }, context)
  } catch (error) {
    const failure = failureReport(given.server, error)
    if (given.json) io.stdout(failure.json)
    else io.stderr(failure.text)
    return 1
  }
  const { anchors } = context
  const revocation = { staple: 'check', unknown: 'accept', lists: new CrlShelf([]) } as const
  const lenient = { anchors, pins: [], minVersion: 'TLSv1.2', postQuantum: 'prefer', revocation } as const
  const settings = compared === undefined ? lenient : { ...compared.plan.trust, anchors }
  const verdict = judge(facts, trustSettings(settings))
  const { text, json } = handshakeReport(given, facts, verdict, compared)
  io.stdout(given.json ? json : text)
  return verdict.verdict === 'trusted' ? 0 : 1
}

/** The upstream to compare with, where one was asked for. */
async function configured({ server, config, upstream }: Arguments, io: Io) {
  if (config === undefined && upstream === undefined) return undefined
  const file = config ?? 'proxy.yaml'
  const loaded = loadConfig(file, io.env, io.cwd).config
  const { upstreams } = loaded
  const found = Object.entries(upstreams).find(([name, { servers }]) =>
    upstream === undefined
      ? servers.some(({ host, port }) => host === server.host && port === server.port)
      : name === upstream,
  )
  if (found === undefined) {
    const what =
      upstream === undefined
        ? `no upstream with ${hostPort(server.host, server.port)}`
        : `no upstream "${upstream}"`
    throw new PulsewardError('upstream-unknown', 'config', `${file} has ${what}`, {
      hint: `name one with --upstream: it has ${Object.keys(upstreams).join(', ') || 'none'}`,
    })
  }
  const warn = (warning: string): void => io.stderr(`pulseward: warning: ${warning}\n`)
  const [plan] = await compileAlone(loaded, [found[0]], warn)
  if (plan === undefined) throw new Error('an upstream that was there')
  return { plan, file, tls: found[1].tls }
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        servername: { type: 'string' },
        ca: { type: 'string', multiple: true, default: [] },
        timeout: { type: 'string', default: '10s' },
        config: { type: 'string', short: 'c' },
        upstream: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [target] = positionals
    if (target === undefined || positionals.length > 1) throw new Error('expected one HOST:PORT')
    const server = parseServer(/^mqtts:\/\//i.test(target) ? target : `mqtts://${target}`)
    const serverName = values.servername === undefined ? undefined : parseHost(values.servername)
    const timeout = parseDuration(values.timeout)
    const { ca, json, config, upstream } = values
    return { server, name: serverName ?? server.host, serverName, ca, timeout, json, config, upstream }
  } catch (thrown) {
    const hint = thrown instanceof PulsewardError ? thrown.hint : undefined
    throw new UsageError(messageOf(thrown), hint ?? 'see "pulseward pin --help"')
  }
}

function readCa(path: string, asGiven: string): string {
  try {
    return readBounded(path).toString('latin1')
  } catch (error) {
    throw new PulsewardError('ca-invalid', 'config', `cannot read "${asGiven}": ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** The far end of a pair shakes hands with nobody who does not offer to prove himself. */
async function introduced(given: Arguments, context: BrokerContext): Promise<HandshakeFacts> {
  try {
    return await shakeHands(given, context)
  } catch (error) {
    if (explainFailure(error).reason !== 'no-protocol') throw error
    return await shakeHands(given, context, [PAIR_PROTOCOL])
  }
}

/** One handshake, then the connection ends: nothing is ever written to the socket. */
async function shakeHands(
  { server, name, timeout }: Arguments,
  context: BrokerContext,
  protocols: readonly string[] = [],
): Promise<HandshakeFacts> {
  const { promise, resolve: settle, reject } = Promise.withResolvers<HandshakeFacts>()
  const socket: TLSSocket = connect({ ...server, ...brokerOptions(context, name, protocols) })
  keepStaple(socket)
  const timer = setTimeout(
    () => reject(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })),
    timeout,
  )
  socket.once('secureConnect', () => settle(describe(socket, { name, at: Date.now() })))
  socket.on('error', reject)
  socket.once('close', () =>
    reject(Object.assign(new Error('closed in the handshake'), { code: 'ECONNRESET' })),
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
