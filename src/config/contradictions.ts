// Options that are right alone and wrong, or doubtful, together.
import { hostPort } from '../net/address.ts'
import { formatPath } from './diagnostics.ts'
import type { Problem } from './diagnostics.ts'
import { overlaps } from './endpoint.ts'
import type { Address } from './endpoint.ts'
import type { Part, Parts } from './parts.ts'
import { EMBEDDED } from './schema.ts'
import type { ListenerConfig, UpstreamConfig } from './schema.ts'
import { suggest } from './spelling.ts'

/** Everything the parts of one file hold against each other. */
export function contradictions(parts: Parts): Problem[] {
  return [
    ...sharedNames(parts),
    ...sharedBinds(parts),
    ...parts.listeners.flatMap((listener) => [
      ...unknownUpstream(listener, parts.upstreamNames),
      ...doubtfulListener(listener),
    ]),
    ...parts.upstreams.flatMap(doubtfulUpstream),
    ...reservedNames(parts),
    ...idleUpstreams(parts),
  ]
}

function sharedNames({ listeners }: Parts): Problem[] {
  const taken = new Map<string, string>()
  return listeners.flatMap(({ path, value }) => {
    const holder = taken.get(value.name)
    if (holder !== undefined) {
      return [{ path: [...path, 'name'], message: `${holder} already has this name`, quote: true }]
    }
    taken.set(value.name, formatPath(path))
    return []
  })
}

function sharedBinds({ listeners, metrics }: Parts): Problem[] {
  const taken: { bind: Address; holder: string }[] = []
  const problems: Problem[] = []
  const take = (bind: Address, path: readonly PropertyKey[]) => {
    const rival = taken.find((other) => overlaps(other.bind, bind))
    if (rival !== undefined) {
      const message = `${rival.holder} already listens there`
      problems.push({ path: [...path, 'bind'], message, quote: true })
    }
    taken.push({ bind, holder: formatPath(path) })
  }
  for (const { path, value } of listeners) take(value.bind, path)
  if (metrics !== undefined) take(metrics, ['metrics'])
  return problems
}

function unknownUpstream({ path, value }: Part<ListenerConfig>, names: readonly string[]): Problem[] {
  const known = [...names, EMBEDDED]
  if (known.includes(value.upstream)) return []
  return [
    {
      path: [...path, 'upstream'],
      message: 'no upstream has this name',
      hint: suggest(value.upstream, known),
      quote: true,
    },
  ]
}

function doubtfulListener({ path, value, given }: Part<ListenerConfig>): Problem[] {
  const problems: Problem[] = []
  if (new Set(value.accept).size < value.accept.length) {
    problems.push({ path: [...path, 'accept'], message: 'names one protocol twice' })
  }
  if (given.has('tls') && !value.accept.includes('mqtts')) {
    problems.push({
      path: [...path, 'tls'],
      message: 'has no effect: accept lacks mqtts',
      hint: 'add mqtts to accept, or remove tls',
      severity: 'warning',
      atKey: true,
    })
  }
  return problems
}

function doubtfulUpstream({ path, value }: Part<UpstreamConfig>): Problem[] {
  const problems: Problem[] = []
  const seen = new Set<string>()
  for (const [index, server] of value.servers.entries()) {
    const spelled = hostPort(server.host, server.port)
    if (seen.has(spelled)) {
      problems.push({
        path: [...path, 'servers', index],
        message: 'this server is listed twice',
        quote: true,
      })
    }
    seen.add(spelled)
  }
  const pins = new Set(value.tls.pins).size
  if (pins === 0) {
    problems.push({
      path: [...path, 'tls', 'pins'],
      message: 'no pins: only the chain and the name of the broker are checked',
      hint: 'add what "pulseward pin HOST:PORT" prints',
      severity: 'warning',
    })
  }
  if (pins === 1) {
    problems.push({
      path: [...path, 'tls', 'pins'],
      message: 'only one pin: a new key on the broker locks every device out',
      hint: 'add the pin of a spare key, or of the CA',
      severity: 'warning',
    })
  }
  if (value.tls.postQuantum === 'require' && value.tls.minVersion !== 'TLSv1.3') {
    problems.push({
      path: [...path, 'tls', 'minVersion'],
      message: 'has no effect: postQuantum is "require", and only TLSv1.3 has post-quantum key exchange',
      severity: 'warning',
    })
  }
  return problems
}

function reservedNames({ upstreamNames }: Parts): Problem[] {
  if (!upstreamNames.includes(EMBEDDED)) return []
  return [
    {
      path: ['upstreams', EMBEDDED],
      message: 'this name is taken by the broker inside Pulseward',
      hint: 'choose another one',
      atKey: true,
    },
  ]
}

function idleUpstreams({ upstreams, wanted }: Parts): Problem[] {
  return upstreams
    .filter(({ path }) => !wanted.has(String(path.at(-1))))
    .map(({ path }) => ({
      path,
      message: 'no listener uses this upstream',
      severity: 'warning',
      atKey: true,
    }))
}
