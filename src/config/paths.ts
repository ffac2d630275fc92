// The paths in proxy.yaml: made absolute, and listed.
import { resolve } from 'node:path'
import { identityFile } from '../pair/identity.ts'
import { isUrl } from './endpoint.ts'
import type { PairConfig } from './pair-schema.ts'
import type { Config, KeyPair } from './schema.ts'

/** The same configuration with every path absolute; relative ones begin at `directory`. */
export function resolvePaths(config: Config, directory: string): Config {
  const pair = ({ cert, key }: KeyPair) => ({ cert: resolve(directory, cert), key: resolve(directory, key) })
  const shared = <Pair extends PairConfig>(given: Pair): Pair =>
    given.sharedKeys === undefined
      ? given
      : {
          ...given,
          sharedKeys: given.sharedKeys.map((key) =>
            typeof key === 'string' ? key : { file: resolve(directory, key.file) },
          ),
        }
  const listeners = config.listeners.map((listener) => {
    const { certificate } = listener.tls
    return {
      ...listener,
      ...(certificate !== 'auto' && { tls: { ...listener.tls, certificate: pair(certificate) } }),
      ...(listener.pair && { pair: shared(listener.pair) }),
    }
  })
  const upstreams = Object.entries(config.upstreams).map(([name, upstream]) => {
    const { ca, clientCertificate, revocation } = upstream.tls
    const tls = {
      ...upstream.tls,
      ca: ca === 'system' ? ca : ca.map((file) => resolve(directory, file)),
      revocation: {
        ...revocation,
        crl: revocation.crl.map((place) => (isUrl(place) ? place : resolve(directory, place))),
      },
      ...(clientCertificate === undefined ? {} : { clientCertificate: pair(clientCertificate) }),
    }
    return [name, { ...upstream, tls, ...(upstream.pair && { pair: shared(upstream.pair) }) }] as const
  })
  return {
    ...config,
    listeners,
    upstreams: Object.fromEntries(upstreams),
    state: resolve(directory, config.state),
  }
}

/** Every file a configuration names, for whoever watches them. */
export function filesOf(config: Config): string[] {
  const files = new Set<string>()
  for (const { tls } of config.listeners) {
    if (tls.certificate !== 'auto') files.add(tls.certificate.cert).add(tls.certificate.key)
  }
  for (const { tls } of Object.values(config.upstreams)) {
    if (tls.ca !== 'system') for (const file of tls.ca) files.add(file)
    for (const place of tls.revocation.crl) if (!isUrl(place)) files.add(place)
    if (tls.clientCertificate !== undefined)
      files.add(tls.clientCertificate.cert).add(tls.clientCertificate.key)
  }
  for (const { pair } of [...config.listeners, ...Object.values(config.upstreams)]) {
    if (pair?.peers !== undefined) files.add(identityFile(config.state))
    for (const key of pair?.sharedKeys ?? []) if (typeof key !== 'string') files.add(key.file)
  }
  return [...files]
}
