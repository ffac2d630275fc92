// The options of paired mode: what is wrong with them, the keys they stand for, and where plaintext to a broker may be.
import { resolve } from 'node:path'
import { PulsewardError } from '../errors.ts'
import { identityFile } from '../pair/identity.ts'
import { identityKeys, parseIdentity, parseSharedKey, sharedKeys } from '../pair/keys.ts'
import type { PairKeys } from '../pair/keys.ts'
import type { Problem } from './diagnostics.ts'
import { isLoopback } from './endpoint.ts'
import type { Part, Parts } from './parts.ts'
import type { PairConfig } from './pair-schema.ts'
import type { ListenerConfig, UpstreamConfig } from './schema.ts'

type Path = readonly PropertyKey[]

/** Reads the text of a file, or throws a PulsewardError that says why not. */
type Read = (file: string) => string

/** What the options of pairs hold against each other and against the rest. */
export function doubtfulPairs(parts: Parts): Problem[] {
  return [
    ...[...parts.listeners, ...parts.upstreams].flatMap(({ path, value }) => chosenKeys(path, value.pair)),
    ...parts.listeners.flatMap(doubtfulFarEnd),
    ...parts.upstreams.flatMap((upstream) => [...doubtfulNearEnd(upstream), ...plaintext(upstream, parts)]),
  ]
}

/** What is wrong with the keys that pairs name; `directory` is where their paths begin. */
export function checkPairKeys(
  { listeners, upstreams, state }: Parts,
  directory: string,
  read: Read,
): Problem[] {
  const problems: Problem[] = []
  const check = (path: Path, run: () => unknown): void => {
    try {
      run()
    } catch (thrown) {
      if (!(thrown instanceof PulsewardError)) throw thrown
      // Never quoted: what stands there may be a key.
      problems.push({ path, message: thrown.message, hint: thrown.hint })
    }
  }
  for (const { path, value } of [...listeners, ...upstreams]) {
    const { peers, sharedKeys: shared = [] } = value.pair ?? {}
    for (const [index, key] of shared.entries()) {
      check([...path, 'pair', 'sharedKeys', index], () =>
        readShared(key, (file) => read(resolve(directory, file))),
      )
    }
    if (peers === undefined || state === undefined) continue
    check([...path, 'pair', 'peers'], () => readIdentity(resolve(directory, state), read))
  }
  return problems
}

/**
 * The keys of a pair whose paths are absolute.
 *
 * @throws {PulsewardError} where a file is not what it should be.
 */
export function pairKeysOf(
  { peers, sharedKeys: shared = [] }: PairConfig,
  state: string,
  read: Read,
): PairKeys {
  if (peers === undefined) return sharedKeys(shared.map((key) => readShared(key, read)))
  return identityKeys(readIdentity(state, read), peers)
}

function readShared(key: string | { readonly file: string }, read: Read): Buffer {
  return parseSharedKey(typeof key === 'string' ? key : read(key.file))
}

function readIdentity(state: string, read: Read): ReturnType<typeof parseIdentity> {
  let pem: string
  try {
    pem = read(identityFile(state))
  } catch (cause) {
    if (!(cause instanceof PulsewardError)) throw cause
    const message = `no identity of this end in pair/identity.pem below state: ${cause.message}`
    throw new PulsewardError(cause.code, 'config', message, {
      cause,
      hint: 'make one with "pulseward pair keygen", as the user that runs the proxy',
    })
  }
  return parseIdentity(pem)
}

function chosenKeys(path: Path, pair: PairConfig | undefined): Problem[] {
  if (pair === undefined || (pair.peers === undefined) !== (pair.sharedKeys === undefined)) return []
  const message = pair.peers === undefined ? 'no key to prove by' : 'peers and sharedKeys exclude each other'
  const hint = 'give peers, the public lines of the other end, or sharedKeys'
  return [{ path: [...path, 'pair'], message, hint, atKey: true }]
}

function doubtfulFarEnd({ path, value, given }: Part<ListenerConfig>): Problem[] {
  const { pair, accept, limits } = value
  if (pair === undefined) return []
  const problems: Problem[] = []
  if (!accept.includes('mqtts')) {
    const message = 'a pair proves a TLS connection, and accept lacks mqtts'
    problems.push({ path: [...path, 'pair'], message, hint: 'add mqtts to accept', atKey: true })
  }
  if (pair.others === 'refuse' && given.has('accept') && accept.includes('mqtt')) {
    problems.push({
      path: [...path, 'accept'],
      message: 'mqtt has no effect: who speaks plaintext is no near end, and pair.others is refuse',
      hint: 'leave mqtt out; or set pair.others to accept where devices connect here themselves',
      severity: 'warning',
    })
  }
  if (limits.perAddress < Math.min(1000, limits.connections)) {
    problems.push({
      path,
      message: `limits.perAddress is ${limits.perAddress}, and all devices of a near end come from one address`,
      hint: 'set it to as many devices as the near end serves',
      severity: 'warning',
    })
  }
  return problems
}

function doubtfulNearEnd({ path, value }: Part<UpstreamConfig>): Problem[] {
  if (value.pair === undefined || value.tls.minVersion === 'TLSv1.3') return []
  return [
    {
      path: [...path, 'tls', 'minVersion'],
      message: 'a pair needs TLS 1.3: before it, two connections can be made to look the same (RFC 7627)',
      hint: 'leave minVersion out',
    },
  ]
}

/** Plaintext to a broker is for the far end of a pair alone: everywhere else it would undo what Pulseward is for. */
function plaintext({ path, value, given }: Part<UpstreamConfig>, { listeners }: Parts): Problem[] {
  const open = value.servers.flatMap(({ plaintext: isOpen, host }, index) =>
    isOpen ? [{ host, index }] : [],
  )
  const [first] = open
  if (first === undefined) return []
  const problem = (message: string, hint: string, index = first.index): Problem => ({
    path: [...path, 'servers', index],
    message,
    hint,
    quote: true,
  })
  const users = listeners.filter(({ value: { upstream } }) => upstream === path.at(-1))
  const unpaired = users.find(({ value: { pair } }) => pair?.others !== 'refuse')
  if (users.length === 0 || unpaired !== undefined) {
    const who = unpaired === undefined ? '' : `, and "${unpaired.value.name}" is not`
    return [
      problem(
        `plaintext to a broker is only for listeners that are paired and refuse others${who}`,
        'Pulseward speaks TLS to a broker, that is what it is for: give the TLS port, like "mqtts://broker.example:8883"',
      ),
    ]
  }
  if (open.length < value.servers.length) {
    return [problem('mqtt:// and mqtts:// in one upstream', 'make two upstreams of them')]
  }
  const problems: Problem[] = []
  if (value.pair !== undefined) {
    const message = 'has no effect: there is no TLS to this broker that could be proven'
    problems.push({ path: [...path, 'pair'], message, hint: 'remove it, or use mqtts://', atKey: true })
  }
  if (given.has('tls')) {
    const message = 'has no effect: this broker is reached in plaintext'
    problems.push({ path: [...path, 'tls'], message, hint: 'remove it', severity: 'warning', atKey: true })
  }
  for (const { host, index } of open) {
    if (isLoopback(host)) continue
    if (value.plaintext === 'loopback') {
      const hint =
        'run this far end on the machine of the broker; or set plaintext to accept, where nobody else is on the network between them'
      problems.push(problem('plaintext to this broker would cross a network', hint, index))
    } else {
      const hint = 'whoever is on the network between them reads and changes everything'
      problems.push({ ...problem('this broker is reached in plaintext', hint, index), severity: 'warning' })
    }
  }
  return problems
}
