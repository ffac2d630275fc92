// The paths in proxy.yaml: made absolute, and listed.
import { resolve } from 'node:path'
import { isUrl } from './endpoint.ts'
import type { Config, KeyPair } from './schema.ts'

/** The same configuration with every path absolute; relative ones begin at `directory`. */
export function resolvePaths(config: Config, directory: string): Config {
  const pair = ({ cert, key }: KeyPair) => ({ cert: resolve(directory, cert), key: resolve(directory, key) })
  const listeners = config.listeners.map((listener) => {
    const { certificate } = listener.tls
    return certificate === 'auto'
      ? listener
      : { ...listener, tls: { ...listener.tls, certificate: pair(certificate) } }
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
    return [name, { ...upstream, tls }] as const
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
  return [...files]
}
