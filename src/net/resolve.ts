// Every address a host name stands for, as this machine resolves it: bounded in number and in time.

import { lookup as systemResolver } from 'node:dns/promises'
import { isIP } from 'node:net'

/** All addresses of a host name, IPv4 and IPv6; rejects as `dns.lookup` does. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** The resolver that connections use too: hosts file, DNS and whatever else this machine is set up with. */
export const systemLookup: Lookup = async (host) => {
  const found = await systemResolver(host, { all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}

/** More than these are left out: a name must not make work, or metrics, without end. */
const most = 16

interface ResolveOptions {
  readonly lookup: Lookup
  /** Milliseconds. */
  readonly timeout: number
  readonly signal: AbortSignal
}

interface Resolved {
  /** In an order that stays the same however the answers rotate. */
  readonly addresses: readonly string[]
  /** How many more there are. */
  readonly omitted: number
}

/** The addresses of `host`; an address stands for itself. Rejects with the code of the resolver, or one of ours. */
export async function resolveAll(
  host: string,
  { lookup, timeout, signal }: ResolveOptions,
): Promise<Resolved> {
  if (isIP(host) > 0) return { addresses: [host], omitted: 0 }
  const givenUp = (): Error => Object.assign(new Error('given up'), { code: 'ABORT_ERR' })
  if (signal.aborted) throw givenUp()
  const { promise: never, reject } = Promise.withResolvers<never>()
  const cancel = (): void => reject(givenUp())
  const late = (): void => reject(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }))
  const timer = setTimeout(late, timeout)
  signal.addEventListener('abort', cancel)
  try {
    const found = await Promise.race([never, lookup(host)])
    const distinct = [...new Set(found)].filter((address) => isIP(address) > 0).toSorted()
    if (distinct.length === 0) throw Object.assign(new Error('no address'), { code: 'ENODATA' })
    return { addresses: distinct.slice(0, most), omitted: Math.max(0, distinct.length - most) }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}
