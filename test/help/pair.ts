// Two Pulsewards as their users run them, a near end and a far end, and what a test needs to speak in their way.

import { createPrivateKey, randomBytes } from 'node:crypto'
import { PAIR_PROTOCOL } from '../../src/pair/frame.ts'
import { makeIdentity, publicLine } from '../../src/pair/keys.ts'
import type { Pki } from './pki.ts'
import { Proxy, ward } from './proxy.ts'

export const pairProtocols = [PAIR_PROTOCOL]
export const pairProtocolOnWire = Buffer.from([PAIR_PROTOCOL.length, ...Buffer.from(PAIR_PROTOCOL)])

/** Where the identity of a Pulseward is among the files beside its proxy.yaml. */
const identityPath = 'state/pair/identity.pem'

export interface Named {
  readonly pem: string
  readonly line: string
}

export function newIdentity(): Named {
  const pem = makeIdentity()
  return { pem, line: publicLine(createPrivateKey(pem)) }
}

export function newSharedKey(): string {
  return randomBytes(32).toString('base64')
}

export type Served = Awaited<ReturnType<Pki['issue']>>

export interface FarOptions {
  readonly served: Served
  /** As in proxy.yaml; a listener without pair where there is none. */
  readonly pair?: Readonly<Record<string, unknown>>
  /** `mqtt://127.0.0.1:1883`. */
  readonly broker: string
  readonly identity?: Named
  /** Further files, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Of the upstream. */
  readonly upstream?: Readonly<Record<string, unknown>>
}

/** proxy.yaml of a far end: one listener "wan" for TLS, and one upstream "broker". */
export function farConfig({ pair, broker, upstream }: Omit<FarOptions, 'served'>): object {
  return {
    listeners: [
      {
        name: 'wan',
        bind: '127.0.0.1:0',
        accept: ['mqtts'],
        tls: { certificate: { cert: 'far.pem', key: 'far.key' } },
        upstream: 'broker',
        limits: { perAddress: 1000, halfClose: '20s' },
        ...(pair && { pair }),
      },
    ],
    upstreams: { broker: { servers: [broker], ...upstream } },
    metrics: { bind: '127.0.0.1:0' },
    reload: { watch: false },
    drain: { timeout: '3s' },
  }
}

export async function startFarEnd(options: FarOptions): Promise<Proxy> {
  const { served, identity, files } = options
  return await Proxy.start({
    config: farConfig(options),
    files: {
      'far.pem': served.chain,
      'far.key': served.key,
      ...(identity && { [identityPath]: identity.pem }),
      ...files,
    },
  })
}

export interface NearOptions {
  /** Where the far end is, or whoever answers in its place. */
  readonly port: number
  /** PEM of the CA of the far end. */
  readonly ca: string
  readonly pair?: Readonly<Record<string, unknown>>
  readonly identity?: Named
  readonly tls?: Readonly<Record<string, unknown>>
  readonly timeouts?: Readonly<Record<string, unknown>>
}

/** proxy.yaml of a near end: one listener "ward" for plaintext, and one upstream "hospital". */
export function nearConfig({ port, pair, tls, timeouts }: Omit<NearOptions, 'ca'>): object {
  return ward({
    brokers: [port],
    ...(pair && { pair }),
    ...(tls && { tls }),
    // Not left alone at all, so that every device brings another chance.
    timeouts: { distrust: '0s', ...timeouts },
  })
}

export async function startNearEnd(options: NearOptions): Promise<Proxy> {
  const { ca, identity } = options
  return await Proxy.start({
    config: nearConfig(options),
    files: { 'ca.pem': ca, ...(identity && { [identityPath]: identity.pem }) },
  })
}
