// One proxy.yaml, compiled: certificates loaded, trust settled, detectors made; frozen, and replaced as a whole.

import { createHash } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Detector } from '../detect/detector.ts'
import { createDetector } from '../detect/registry.ts'
import { PacketType } from '../mqtt/packet.ts'
import { nameOf, type PairKeys } from '../pair/keys.ts'
import type { Policy } from '../policy/decide.ts'
import type { Authority } from '../tls/authority.ts'
import { CrlShelf } from '../tls/crl-source.ts'
import type { CrlSource } from '../tls/crl-source.ts'
import type { Known } from '../tls/known.ts'
import { brokerContext, deviceContext, type BrokerContext } from '../tls/contexts.ts'
import { trustSettings, type TrustSettings } from '../tls/trust.ts'
import { readBounded } from './files.ts'
import type { Loaded } from './load.ts'
import { pairKeysOf } from './pairing.ts'
import { pinsInForce } from './pins-in-force.ts'
import { inspectionOf, type Inspection } from './rulebooks.ts'
import type { Config, ListenerConfig, UpstreamConfig } from './schema.ts'

/** What proxy.yaml says of one upstream, compiled. */
export interface UpstreamPlan {
  readonly name: string
  /** Changes with anything that bears on trust, file contents included: what was learnt under another key is void. */
  readonly key: string
  readonly servers: readonly { readonly host: string; readonly port: number }[]
  /** By which both ends prove to see the same connection; undefined where the servers are brokers or nobody's far end. */
  readonly pair: PairKeys | undefined
  /** Whether the servers are dialled without TLS, so that nothing proves who they are. */
  readonly plaintext: boolean
  /** Sent and checked instead of the server's host. */
  readonly serverName: string | undefined
  readonly context: BrokerContext
  readonly trust: TrustSettings
  /** Whether a trusted session may be resumed: then it is its ticket that counts, and no key is proven again. */
  readonly resumption: 'on' | 'off'
  /** Milliseconds. */
  readonly timeouts: {
    readonly dial: number
    readonly handshake: number
    readonly connack: number
    readonly distrust: number
  }
  /** The header every connection begins with, before TLS. */
  readonly proxyProtocol?: 'v1' | 'v2'
  /** Milliseconds before a certificate or pin ends, from which on the log says so. */
  readonly warnBefore: number
  /** Whether servers are held to what they showed before, and how many milliseconds they are watched for that. */
  readonly profile: { readonly mode: 'enforce' | 'report' | 'off'; readonly settle: number }
  /** Servers, `host:port`, whose first key is still to be seen, and is then to be trusted. */
  readonly strangers: ReadonlySet<string>
}

/** The upstreams that the devices of a listener may be taken to; one name may come twice. */
export function upstreamsOf({ upstream, mode, destinations }: ListenerConfig): string[] {
  const others = mode === 'direct' ? [] : destinations
  return [upstream, ...others.flatMap((one) => one.upstream ?? [])]
}

/** One listener, compiled. */
export interface ListenerSettings {
  readonly config: ListenerConfig
  /** What devices that speak TLS are shown; undefined where none may. */
  readonly deviceContext: SecureContext | undefined
  readonly inspection: Inspection
  /** Where this is the far end of a pair. */
  readonly pair: FarEnd | undefined
}

export interface FarEnd {
  readonly keys: PairKeys
  /** Whether devices that are no near end are served as well. */
  readonly others: boolean
}

export interface Snapshot {
  /** Which load since the start, from 1. */
  readonly version: number
  readonly sha256: string
  readonly config: Config
  readonly listeners: readonly ListenerSettings[]
  readonly upstreams: readonly UpstreamPlan[]
  readonly policy: Omit<Policy, 'rules'>
  /** Detectors by the number of the packet type they watch. */
  readonly detectors: readonly (readonly Detector[] | undefined)[]
  /** Absolute paths of the files it was made from, besides proxy.yaml. */
  readonly files: readonly string[]
  /** When the certificates minted for devices have to be made anew, in milliseconds since 1970; Infinity if none are. */
  readonly renewAt: number
  /** What an administrator should know of the certificates minted for devices. */
  readonly warnings: readonly string[]
}

/** What a snapshot is made from beside proxy.yaml. */
export interface Surroundings {
  readonly authority: () => Promise<Authority>
  /** What the state says of brokers: pins that were accepted, or taken over on first use. */
  readonly known: Known
  /** The revocation lists of a file or URL, kept fresh by others. */
  readonly listsOf: (place: string) => CrlSource
}

/** @throws {PulsewardError} where a file named in proxy.yaml is not what it should be. */
export async function compile(
  { config, sha256, files }: Loaded,
  version: number,
  { authority, known, listsOf }: Surroundings,
): Promise<Snapshot> {
  const listeners: ListenerSettings[] = []
  let renewAt = Infinity
  const warnings: string[] = []
  for (const listener of config.listeners) {
    const shown = await identity(listener, authority)
    if (shown !== undefined) {
      renewAt = Math.min(renewAt, shown.renewAt)
      warnings.push(...shown.warnings)
    }
    const { minVersion } = listener.tls
    const clientChooses = listener.pair !== undefined
    listeners.push(
      Object.freeze({
        config: listener,
        deviceContext: shown && deviceContext({ ...shown, minVersion, clientChooses }).context,
        inspection: inspectionOf(listener, config),
        pair: listener.pair && {
          keys: pairKeysOf(listener.pair, config.state, read),
          others: listener.pair.others === 'accept',
        },
      }),
    )
  }
  return Object.freeze({
    version,
    sha256,
    config,
    listeners: Object.freeze(listeners),
    upstreams: Object.freeze(
      Object.entries(config.upstreams).map(([name, upstream]) =>
        compileUpstream(name, upstream, { known, listsOf, state: config.state }),
      ),
    ),
    policy: policyOf(config),
    detectors: Object.freeze(detectorsOf(config)),
    files,
    renewAt,
    warnings: Object.freeze(warnings),
  })
}

interface Shown {
  readonly cert: readonly string[]
  readonly key: readonly string[]
  readonly renewAt: number
  readonly warnings: readonly string[]
}

async function identity(
  { accept, tls }: ListenerConfig,
  authority: () => Promise<Authority>,
): Promise<Shown | undefined> {
  if (!accept.includes('mqtts')) return undefined
  if (tls.certificate !== 'auto') {
    return {
      cert: [read(tls.certificate.cert)],
      key: [read(tls.certificate.key)],
      renewAt: Infinity,
      warnings: [],
    }
  }
  const { rsa, ec, renewAt, warnings } = await (await authority()).leaves(tls.names)
  return { cert: [ec.cert, rsa.cert], key: [ec.key, rsa.key], renewAt, warnings }
}

/** @throws {PulsewardError} where a file it names is not what it should be. */
export function compileUpstream(
  name: string,
  { servers, tls, timeouts, pair: paired, proxyProtocol: announce }: UpstreamConfig,
  { known, listsOf, state }: Omit<Surroundings, 'authority'> & { readonly state: string },
): UpstreamPlan {
  const { minVersion, pinMode, postQuantum, resumption, serverName, warnBefore, weakCertificates } = tls
  const { crl, staple, unknown } = tls.revocation
  const profile = { mode: tls.profile, settle: tls.profileAfter }
  const { pins, strangers } = pinsInForce(name, { servers, tls }, known)
  const forgotten = known.forgotten.filter(({ upstream }) => upstream === name)
  const ca = tls.ca === 'system' ? tls.ca : tls.ca.map(read)
  const own = tls.clientCertificate && {
    cert: read(tls.clientCertificate.cert),
    key: read(tls.clientCertificate.key),
  }
  const context = brokerContext({
    ca,
    minVersion,
    postQuantum,
    weakCertificates,
    ...(own && { clientCertificate: own }),
    staple: staple !== 'off',
  })
  const pair = paired && pairKeysOf(paired, state, read)
  const pairIds = [...(pair?.own ?? []), ...(pair?.accepted ?? [])].map(({ id }) => nameOf(id))
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        servers,
        { ...tls, pins },
        timeouts,
        ca,
        own,
        pairIds,
        forgotten,
        [...strangers],
        announce,
      ]),
    )
    .digest('hex')
  const trust = trustSettings({
    anchors: context.anchors,
    pins,
    pinMode,
    minVersion,
    postQuantum,
    weakCertificates,
    revocation: { staple, unknown, lists: new CrlShelf(crl.map(listsOf), weakCertificates) },
    firstUse: tls.firstUse === 'accept' ? { selfSigned: tls.ca === 'system' } : undefined,
  })
  const plaintext = servers.every((server) => server.plaintext)
  return Object.freeze({
    name,
    key,
    servers,
    pair,
    plaintext,
    serverName,
    context,
    trust,
    resumption,
    timeouts,
    warnBefore,
    profile,
    strangers,
    ...(announce !== 'off' && { proxyProtocol: announce }),
  })
}

/** What policy says of detectors, by proxy.yaml. */
export function policyOf({ policy, detectors }: Config): Omit<Policy, 'rules'> {
  return { mode: policy.mode, actions: new Map(detectors.map(({ kind, action }) => [kind, action])) }
}

/** Detectors by the number of the packet type they watch, as proxy.yaml lists them. */
export function detectorsOf(config: Config): (Detector[] | undefined)[] {
  const byType: (Detector[] | undefined)[] = []
  for (const entry of config.detectors) {
    const detector = createDetector(entry)
    for (const name of detector.watches) (byType[PacketType[name]] ??= []).push(detector)
  }
  return byType
}

function read(path: string): string {
  return readBounded(path).toString('utf8')
}
