// Upstreams and servers as commands are given them: found in proxy.yaml, or said to be unknown with what there is.
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'

/** @throws {PulsewardError} `upstream-unknown`, blame `config`. */
export function upstreamNamed({ upstreams }: Config, file: string, name: string): UpstreamConfig {
  const upstream = Object.hasOwn(upstreams, name) ? upstreams[name] : undefined
  if (upstream !== undefined) return upstream
  throw new PulsewardError('upstream-unknown', 'config', `${file} has no upstream "${name}"`, {
    hint: `it has ${Object.keys(upstreams).join(', ') || 'none'}`,
  })
}

/**
 * The server as proxy.yaml has it, `host:port`.
 *
 * @throws {PulsewardError} `server-unknown`, blame `config`.
 */
export function serverNamed({ servers }: UpstreamConfig, name: string): string {
  const known = servers.map(({ host, port }) => hostPort(host, port))
  if (known.includes(name)) return name
  throw new PulsewardError('server-unknown', 'config', `no server "${name}"`, {
    hint: `write it as host:port: there is ${known.join(', ')}`,
  })
}
