// `pulseward check --live`: one round of the canary without the proxy, and what it says of each server and address.
import type { Loaded } from '../config/load.ts'
import { messageOf } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import type { Lookup } from '../net/resolve.ts'
import { printable } from '../printable.ts'
import type { Outcome } from '../proxy/meeting.ts'
import { round } from '../proxy/round.ts'
import { leastLink, type Least } from '../tls/drift.ts'
import { offeredGroups } from '../tls/groups.ts'
import { adaptTo } from '../tls/profile.ts'
import { readProfiles } from '../tls/profile-book.ts'
import { compileAlone } from './lists.ts'
import { momentText, nameLine } from '../tls/words.ts'

interface LiveCertificate {
  readonly subject: string
  /** ISO 8601. */
  readonly notAfter: string
}

interface LiveAddress {
  readonly address: string
  /** A verdict, or the reason why there was no handshake. */
  readonly verdict: string
  readonly causes: readonly string[]
  readonly reasons: readonly string[]
  /** What was noticed and not held against it. */
  readonly remarks?: readonly string[] | undefined
  readonly hint?: string | undefined
  /** `TLSv1.3 X25519MLKEM768`, and with whom it is paired, or `plaintext`; absent where there was no connection. */
  readonly link?: string
  /** Of the verified path, or of what was served where none verifies; the leaf first. */
  readonly certificates: readonly LiveCertificate[]
}

interface LiveServer {
  readonly upstream: string
  readonly server: string
  readonly trusted: boolean
  /** How many addresses more than the ones below its name has. */
  readonly omitted: number
  readonly addresses: readonly LiveAddress[]
}

export interface LiveReport {
  /** Whether every server has an address and every address is trusted. */
  readonly ok: boolean
  readonly servers: readonly LiveServer[]
  readonly text: string
}

interface Found {
  omitted: number
  readonly addresses: Map<string, LiveAddress>
}

/**
 * Shakes hands with every address of every server of every upstream; sends no MQTT, changes nothing.
 *
 * @throws {PulsewardError} where a file named in proxy.yaml is not what it should be.
 */
export async function checkLive(
  { config }: Loaded,
  lookup: Lookup,
  warn: (warning: string) => void,
): Promise<LiveReport> {
  // The proxy tells of a damaged file; here it only means that nothing is known.
  const profiles = await readProfiles(config.state).catch(() => undefined)
  const plans = await compileAlone(config, Object.keys(config.upstreams), warn)
  const { signal } = new AbortController()
  const found = await Promise.all(
    plans.map(async (plan) => {
      const byServer = new Map(
        plan.servers.map((one): [typeof one, Found] => [one, { omitted: 0, addresses: new Map() }]),
      )
      const note = (
        server: { readonly host: string; readonly port: number },
        address: string,
        outcome: Outcome,
      ): void => void byServer.get(server)?.addresses.set(address, describe(address, outcome))
      const least = (server: string): Least | undefined => {
        const { mode, settle } = plan.profile
        const profile = mode === 'enforce' ? profiles?.get(plan.name)?.get(server) : undefined
        if (profile === undefined) return undefined
        adaptTo(profile, offeredGroups(plan.trust.postQuantum))
        return leastLink(profile, settle)
      }
      await round({ ...plan, least }, plan.servers, {
        lookup,
        signal,
        onAddresses: (server, _addresses, omitted) => {
          const one = byServer.get(server)
          if (one !== undefined) one.omitted = omitted
        },
        onUnresolved: (server, outcome) => note(server, server.host, outcome),
        onOutcome: note,
        onDone: () => {},
      })
      return Array.from(byServer, ([{ host, port }, { omitted, addresses }]): LiveServer => {
        const sorted = [...addresses.values()].toSorted((a, b) => (a.address < b.address ? -1 : 1))
        const trusted = sorted.length > 0 && sorted.every(({ verdict }) => verdict === 'trusted')
        return { upstream: plan.name, server: hostPort(host, port), trusted, omitted, addresses: sorted }
      })
    }),
  )
  const servers = found.flat()
  const ok = servers.every(({ trusted }) => trusted)
  const lines = servers.length === 0 ? ['live: no upstream to ask'] : servers.flatMap(linesOf)
  return { ok, servers, text: `${lines.join('\n')}\n` }
}

function describe(address: string, outcome: Outcome): LiveAddress {
  const unseen = { address, causes: [], certificates: [] }
  if (outcome.kind === 'failed') {
    const { reason, hint, suspicion } = outcome
    if (suspicion === undefined) return { ...unseen, verdict: reason, reasons: [], hint }
    return { ...unseen, verdict: suspicion.verdict, causes: [reason], reasons: [suspicion.says], hint }
  }
  if (outcome.kind === 'defect') {
    return { ...unseen, verdict: 'unjudged', reasons: [`a defect in Pulseward: ${messageOf(outcome.error)}`] }
  }
  const { facts, verdict, pairedWith } = outcome
  const { verdict: kind, causes, reported, hint, path, remarks } = verdict
  const reasons = reported?.reasons.map((one) => `let through by pinMode: ${one}`) ?? verdict.reasons
  const certificates = (path.length > 0 ? path : facts.served).map((certificate) => ({
    subject: nameLine(certificate.subject),
    notAfter: momentText(certificate.validToDate),
  }))
  const proven = pairedWith === undefined ? '' : `, paired with ${pairedWith}`
  const link = facts.protocol === 'none' ? 'plaintext' : `${facts.protocol} ${facts.group}${proven}`
  return { address, verdict: kind, causes, reasons, remarks, hint, link, certificates }
}

function linesOf({ upstream, server, omitted, addresses }: LiveServer): string[] {
  return [
    `${upstream} ${server}`,
    ...addresses.flatMap(({ address, verdict, causes, reasons, remarks = [], hint, link, certificates }) => [
      `  ${address}  ${verdict}${causes.length > 0 ? ` (${causes.join(', ')})` : ''}${link === undefined ? '' : `  ${link}`}`,
      ...reasons.map((reason) => `    ${printable(reason)}`),
      ...remarks.map((remark) => `    noticed: ${printable(remark)}`),
      ...(hint === undefined ? [] : [`    hint: ${hint}`]),
      ...certificates.map(({ subject, notAfter }) => `    until ${notAfter}  ${subject}`),
    ]),
    ...(omitted === 0 ? [] : [`  ${omitted} more addresses were not asked`]),
  ]
}
