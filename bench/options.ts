// The command line of the benchmark: which scenarios, which peers, how often.
import { parseArgs } from 'node:util'

export const SCENARIOS = ['a', 'b', 'c', 'd', 'e'] as const
export const PEERS = ['pulseward', 'haproxy', 'stunnel', 'nginx', 'relay'] as const

/** One letter per scenario of the table. */
export type ScenarioName = (typeof SCENARIOS)[number]
export type PeerName = (typeof PEERS)[number]

export interface Options {
  readonly scenarios: readonly ScenarioName[]
  /** Times the pure validator as well, or alone when no scenario is named. */
  readonly micro: boolean
  /** Times captures that are played back as well, or alone when no scenario is named. */
  readonly analyze: boolean
  readonly peers: readonly PeerName[]
  readonly rounds: number
  readonly quick: boolean
  /** The folder the JSON and Markdown results go to. */
  readonly out: string
  /** Puts the results into the documents as well. */
  readonly publish: boolean
  readonly help: boolean
}

export const USAGE = `usage: npm run bench -- [--only a,b,c,d,e,micro,analyze] [--peers ${PEERS.join(',')}]
                        [--rounds N] [--quick] [--out DIR] [--publish]

  a      500 connections, 8,000 QoS 0 publishes a second: CPU a message
  b      20 connections, as fast as it goes: CPU a message, messages a second
  c      1,500 short connections, full and resumed handshakes upstream: CPU a connection
  d      2,000 idle connections: resident memory a connection
  e      QoS 1 round trips: latency added to a direct TLS connection
  micro  the frame validator alone, without sockets (only when named)
  analyze  captures played back, as "pulseward analyze" does (only when named)

  --publish also puts the results into docs/benchmark.md and the README
`

const MAX_ROUNDS = 20

/**
 * Reads the arguments after the script's name.
 * @throws {RangeError} quoting the first argument that means nothing, fit to be shown to the user.
 */
export function readOptions(argv: readonly string[], defaultOut: string): Options {
  const { values } = parse(argv)
  const only =
    values.only === undefined ? SCENARIOS : chosen(values.only, '--only', [...SCENARIOS, 'micro', 'analyze'])
  const peers = values.peers === undefined ? PEERS : chosen(values.peers, '--peers', PEERS)
  const quick = values.quick ?? false
  return {
    scenarios: SCENARIOS.filter((name) => only.includes(name)),
    micro: only.includes('micro' as never),
    analyze: only.includes('analyze' as never),
    peers: PEERS.filter((name) => peers.includes(name)),
    rounds: values.rounds === undefined ? (quick ? 1 : 3) : wholeNumber(values.rounds),
    quick,
    out: values.out ?? defaultOut,
    publish: values.publish ?? false,
    help: values.help ?? false,
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string' },
        peers: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        out: { type: 'string' },
        publish: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function chosen<Name extends string>(text: string, option: string, known: readonly Name[]): Name[] {
  return text.split(',').map((part) => {
    const name = known.find((candidate) => candidate === part.trim())
    if (name === undefined) throw new RangeError(`${option}: "${part}" is none of ${known.join(', ')}`)
    return name
  })
}

function wholeNumber(text: string): number {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= MAX_ROUNDS) return rounds
  throw new RangeError(`--rounds: "${text}" is not a whole number from 1 to ${MAX_ROUNDS}`)
}
