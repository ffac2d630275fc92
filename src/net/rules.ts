// The rules that make Linux hand devices to Pulseward: nftables, the same for iptables, and routes; as text, nothing is run.

import type { Destination } from './destinations.ts'

/** What one listener intercepts. */
export interface Intercepting {
  readonly listener: string
  readonly mode: 'redirect' | 'tproxy'
  /** Undefined where it takes every address of its family. */
  readonly host: string | undefined
  readonly port: number
  /** Devices come by these only; by any where there are none. */
  readonly interfaces: readonly string[]
  readonly destinations: readonly Destination[]
}

export interface RulePlan {
  readonly listeners: readonly Intercepting[]
  /** Whether brokers see the addresses of devices: their answers then have to be kept from travelling on. */
  readonly preserveSource: boolean
}

/** A program and its arguments. */
export type Command = readonly [string, ...string[]]

/** The one table we own. */
export const nftTable = ['inet', 'pulseward'] as const

/** Of packets that are for a socket here though their address is not; and the routing table that says so. */
const localMark = '0x5058'
const routeTable = '20568'

/** What `nft -f` takes: replaces our table as a whole, or makes it; nobody sees half of it. */
export function nftScript(plan: RulePlan): string {
  const table = nftTable.join(' ')
  const chains = [...redirectChain(plan), ...divertChain(plan)]
  return [...nftRemoval(), `table ${table} {`, ...chains.map((line) => `  ${line}`), '}', ''].join('\n')
}

/** What `nft -f` takes to delete our table, whether there is one or not. */
export function nftRemoval(): string[] {
  const table = nftTable.join(' ')
  return [`table ${table}`, `delete table ${table}`]
}

/** Takes marked packets to this machine's own sockets; empty where nothing is marked. */
export function routeCommands(plan: RulePlan, verb: 'add' | 'del'): Command[] {
  if (!diverts(plan)) return []
  return (['-4', '-6'] as const).flatMap((family): Command[] => [
    ['ip', family, 'rule', verb, 'fwmark', localMark, 'lookup', routeTable, 'priority', routeTable],
    [
      'ip',
      family,
      'route',
      verb === 'add' ? 'replace' : 'del',
      'local',
      'default',
      'dev',
      'lo',
      'table',
      routeTable,
    ],
  ])
}

/** The same in the words of iptables, in a chain of our own in each table; for firewalls that are kept with it. */
export function iptablesCommands(plan: RulePlan): Command[] {
  return ([4, 6] as const).flatMap((family) => [
    ...natCommands(plan, family),
    ...mangleCommands(plan, family),
  ])
}

export function iptablesRemoval(plan: RulePlan): Command[] {
  const tables = [...(redirects(plan) ? ['nat'] : []), ...(diverts(plan) ? ['mangle'] : [])]
  return (['iptables', 'ip6tables'] as const).flatMap((program) =>
    tables.flatMap((table): Command[] => [
      [program, '-t', table, '-D', 'PREROUTING', '-j', chain],
      [program, '-t', table, '-F', chain],
      [program, '-t', table, '-X', chain],
    ]),
  )
}

const chain = 'PULSEWARD'

/** One destination of one listener. */
interface Match extends Intercepting {
  readonly family: 4 | 6
  readonly network: string
  readonly to: number
}

function matches({ listeners }: RulePlan, mode: Intercepting['mode']): Match[] {
  return listeners
    .filter((one) => one.mode === mode)
    .flatMap((one) =>
      one.destinations.map(({ network, port }) => {
        const family = network.base.length === 4 ? (4 as const) : (6 as const)
        return { ...one, family, network: network.text, to: port }
      }),
    )
}

function redirects({ listeners }: RulePlan): boolean {
  return listeners.some(({ mode }) => mode === 'redirect')
}

function diverts({ listeners, preserveSource }: RulePlan): boolean {
  return preserveSource || listeners.some(({ mode }) => mode === 'tproxy')
}

/** Prerouting sees what comes from outside only: what this machine sends itself cannot be caught by either chain. */
function redirectChain(plan: RulePlan): string[] {
  if (!redirects(plan)) return []
  return [
    'chain redirected {',
    '  type nat hook prerouting priority dstnat; policy accept;',
    '  fib daddr type local return',
    ...matches(plan, 'redirect').map((match) => `  ${nftMatch(match)} ${nftRedirect(match)}`),
    '}',
  ]
}

/** `wildcard 0`: a socket that listens for everything is no reason to keep what is for others. */
function divertChain(plan: RulePlan): string[] {
  if (!diverts(plan)) return []
  return [
    'chain diverted {',
    '  type filter hook prerouting priority mangle; policy accept;',
    `  meta l4proto tcp socket transparent 1 socket wildcard 0 meta mark set ${localMark} accept`,
    '  fib daddr type local return',
    ...matches(plan, 'tproxy').map((match) => `  ${nftMatch(match)} ${nftTproxy(match)}`),
    '}',
  ]
}

function nftMatch({ interfaces, family, network, to }: Match): string {
  const from = interfaces.length === 0 ? '' : `iifname { ${interfaces.map((one) => `"${one}"`).join(', ')} } `
  return `${from}${family === 4 ? 'ip' : 'ip6'} daddr ${network} tcp dport ${to}`
}

/** A listener of one address cannot be found by "redirect", which goes to the address of the interface. */
function nftRedirect({ family, host, port }: Match): string {
  if (host === undefined) return `redirect to :${port}`
  return family === 4 ? `dnat ip to ${host}:${port}` : `dnat ip6 to [${host}]:${port}`
}

function nftTproxy({ family, host, port }: Match): string {
  const kind = family === 4 ? 'ip' : 'ip6'
  const where = host === undefined ? '' : family === 4 ? host : `[${host}]`
  return `tproxy ${kind} to ${where}:${port} meta mark set ${localMark} accept`
}

function natCommands(plan: RulePlan, family: 4 | 6): Command[] {
  if (!redirects(plan)) return []
  const rule = begin(family, 'nat')
  return [
    ...newChain(family, 'nat'),
    rule('-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'RETURN'),
    ...matches(plan, 'redirect')
      .filter((match) => match.family === family)
      .flatMap((match) => iptablesMatches(match).map((words) => rule(...words, ...iptablesRedirect(match)))),
  ]
}

function mangleCommands(plan: RulePlan, family: 4 | 6): Command[] {
  if (!diverts(plan)) return []
  const rule = begin(family, 'mangle')
  const ours = ['-p', 'tcp', '-m', 'socket', '--transparent']
  return [
    ...newChain(family, 'mangle'),
    rule(...ours, '-j', 'MARK', '--set-mark', localMark),
    rule(...ours, '-j', 'ACCEPT'),
    rule('-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'RETURN'),
    ...matches(plan, 'tproxy')
      .filter((match) => match.family === family)
      .flatMap((match) => iptablesMatches(match).map((words) => rule(...words, ...iptablesTproxy(match)))),
  ]
}

function begin(family: 4 | 6, table: string): (...words: string[]) => Command {
  const program = family === 4 ? 'iptables' : 'ip6tables'
  return (...words) => [program, '-t', table, '-A', chain, ...words]
}

function newChain(family: 4 | 6, table: string): Command[] {
  const program = family === 4 ? 'iptables' : 'ip6tables'
  return [
    [program, '-t', table, '-N', chain],
    [program, '-t', table, '-A', 'PREROUTING', '-j', chain],
  ]
}

/** iptables knows no sets of interfaces: one rule for each. */
function iptablesMatches({ interfaces, network, to }: Match): string[][] {
  const rest = ['-d', network, '-p', 'tcp', '--dport', `${to}`]
  return interfaces.length === 0 ? [rest] : interfaces.map((one) => ['-i', one, ...rest])
}

function iptablesRedirect({ family, host, port }: Match): string[] {
  if (host === undefined) return ['-j', 'REDIRECT', '--to-ports', `${port}`]
  return ['-j', 'DNAT', '--to-destination', family === 4 ? `${host}:${port}` : `[${host}]:${port}`]
}

function iptablesTproxy({ host, port }: Match): string[] {
  const where = host === undefined ? [] : ['--on-ip', host]
  return ['-j', 'TPROXY', '--on-port', `${port}`, ...where, '--tproxy-mark', localMark]
}
