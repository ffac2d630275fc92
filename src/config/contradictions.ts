// Options that are right alone and wrong, or doubtful, together.
import { hostPort } from '../net/address.ts'
import { isWholePin } from '../tls/pins.ts'
import { hasFuture } from '../tls/pinset.ts'
import { formatPath } from './diagnostics.ts'
import type { Problem } from './diagnostics.ts'
import { overlaps } from './endpoint.ts'
import type { Address } from './endpoint.ts'
import { doubtfulPairs } from './pairing.ts'
import type { Part, Parts } from './parts.ts'
import { EMBEDDED } from './schema.ts'
import type { ListenerConfig, UpstreamConfig } from './schema.ts'
import { suggest } from './spelling.ts'

/** Everything the parts of one file hold against each other. */
export function contradictions(parts: Parts, now = Date.now()): Problem[] {
  return [
    ...sharedNames(parts),
    ...sharedBinds(parts),
    ...parts.listeners.flatMap((listener) => [
      ...unknownUpstream(listener, parts.upstreamNames),
      ...doubtfulListener(listener),
    ]),
    ...parts.upstreams.flatMap((upstream) => [...doubtfulUpstream(upstream), ...doubtfulPins(upstream, now)]),
    ...doubtfulPairs(parts),
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
  if (value.tls.weakCertificates === 'accept') {
    problems.push({
      path: [...path, 'tls', 'weakCertificates'],
      message:
        'a certificate signed with SHA-1, or with an RSA key of 1024 bits, can be forged by who can pay for it',
      hint: "pin the broker's key, have its certificate issued anew, then remove this",
      severity: 'warning',
    })
  }
  const { crl, staple, unknown } = value.tls.revocation
  if (unknown === 'refuse' && staple === 'off' && crl.length === 0) {
    problems.push({
      path: [...path, 'tls', 'revocation', 'unknown'],
      message: 'nobody is ever known to be good: there is no list, and no staple is asked for',
      hint: 'name the lists of its CAs in crl',
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

/** A set of pins has to outlive a change of the broker's key (RFC 7469, 4.3). */
function doubtfulPins({ path, value }: Part<UpstreamConfig>, now: number): Problem[] {
  if (value.servers.every(({ plaintext }) => plaintext)) return []
  const { pins, singlePin, pinMode, warnBefore, firstUse } = value.tls
  const at = [...path, 'tls', 'pins']
  const problems: Problem[] = []
  const warn = (message: string, hint: string, place: readonly PropertyKey[] = at): void =>
    void problems.push({ path: place, message, hint, severity: 'warning' })
  const lasting = pins.filter((pin) => hasFuture(pin, now))
  const different = new Set(lasting.map(({ pin }) => pin)).size
  if (firstUse === 'accept') problems.push(...doubtfulFirstUse(path, value))
  else if (pins.length === 0) {
    warn(
      'no pins: only the chain and the name of the broker are checked',
      'add what "pulseward pin HOST:PORT" prints',
    )
  } else if (different === 0) {
    warn('every pin has ended: no broker is trusted', 'list the pins of the keys in use, or renew notAfter')
  }
  if (different === 1 && singlePin === 'refuse') {
    const ended = lasting.length < pins.length ? ' that has not ended' : ''
    problems.push({
      path: at,
      message: `only one pin${ended}: a new key on the broker locks every device out`,
      hint: 'add the pin of a spare key, or of the CA; or set singlePin to accept',
    })
  }
  if (different > 1 && lasting.every(({ backup }) => backup)) {
    warn('every pin is a backup', 'leave backup out for the key the broker uses now')
  }
  if (pinMode === 'report' && pins.length > 0) {
    warn(
      'pinMode is report: a broker with another key is let through',
      'set it to enforce once the pins are right',
    )
  }
  for (const [index, pin] of pins.entries()) {
    const place = [...at, index]
    if (isWholePin(pin.pin)) {
      warn(
        'the pin of a whole certificate: every renewal breaks it, with the same key too',
        'pin the key instead: "pulseward pin HOST:PORT" prints it',
        place,
      )
    }
    if (pin.notAfter !== undefined && pin.notAfter < now + warnBefore) {
      const day = new Date(pin.notAfter).toISOString().slice(0, 10)
      const message = pin.notAfter < now ? `this pin ended on ${day}` : `this pin ends on ${day}`
      warn(message, 'list the pin of the next key, or renew notAfter', place)
    }
  }
  return problems
}

/** Where nothing is known, anything may be the first: somebody in the middle as well as the broker. */
function doubtfulFirstUse(path: readonly PropertyKey[], { tls, pair }: UpstreamConfig): Problem[] {
  const at = [...path, 'tls', 'firstUse']
  if (pair !== undefined) {
    const hint = 'remove firstUse: a pair proves who answers, with pins or without'
    return [{ path: at, message: 'the key of a far end that proved nothing yet would be stored', hint }]
  }
  if (tls.pins.length > 0) {
    const hint = 'remove firstUse, or remove pins'
    return [{ path: at, message: 'has no effect: there are pins, and they say who the broker is', hint }]
  }
  if (tls.pinMode === 'report') {
    const hint = 'remove pinMode: what was seen first is only worth something if nothing else is let through'
    return [{ path: at, message: 'pinMode is report: a broker with another key would be let through', hint }]
  }
  return [
    {
      path: at,
      message: 'the key a server shows first is trusted, and nothing proves whose it is',
      hint: 'compare "pulseward trust list" with the pin that the administrator of the broker names, then put it into pins',
      severity: 'warning',
    },
  ]
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
