// The gauges of what proxy.yaml names: open connections by listener, trust, pins and certificates by upstream.

import type { Sample } from './counters.ts'

export type Transport = 'plain' | 'tls'

/** The names of the snapshot in force, as far as metrics show them. */
export interface Inventory {
  readonly listeners: readonly { readonly name: string; readonly limit: number }[]
  readonly upstreams: readonly {
    readonly name: string
    /** `host:port` of each server, as proxy.yaml has it. */
    readonly servers: readonly string[]
    /** How many pins are configured. */
    readonly pins: number
  }[]
}

interface ListenerGauges {
  open: number
  plain: number
  tls: number
  /** Undefined once the listener left proxy.yaml; its last sessions may outlive it. */
  limit: number | undefined
}

interface UpstreamGauges {
  readonly trusted: Map<string, boolean>
  readonly pins: number
  notAfter: readonly number[]
}

export class Gauges {
  readonly #listeners = new Map<string, ListenerGauges>()
  #upstreams = new Map<string, UpstreamGauges>()

  /** Takes a new set of names: what vanished loses its series, what stayed keeps its values. */
  adopt({ listeners, upstreams }: Inventory): void {
    const limits = new Map(listeners.map(({ name, limit }) => [name, limit]))
    for (const name of limits.keys()) this.listener(name)
    for (const [name, gauges] of this.#listeners) {
      gauges.limit = limits.get(name)
      this.#forget(name, gauges)
    }
    const before = this.#upstreams
    this.#upstreams = new Map(
      upstreams.map(({ name, servers, pins }) => {
        const old = before.get(name)
        const trusted = new Map(servers.map((server) => [server, old?.trusted.get(server) ?? false]))
        return [name, { trusted, pins, notAfter: old?.notAfter ?? [] }]
      }),
    )
  }

  /** The gauges of a listener, made when first asked for: names come from proxy.yaml, never from a device. */
  listener(name: string): ListenerGauges {
    const known = this.#listeners.get(name)
    if (known !== undefined) return known
    const fresh = { open: 0, plain: 0, tls: 0, limit: undefined }
    this.#listeners.set(name, fresh)
    return fresh
  }

  /** Takes one away again; when a removed listener's last connection ends, its series end too. */
  leave(name: string, what: 'open' | Transport): void {
    const gauges = this.#listeners.get(name)
    if (gauges === undefined) return
    gauges[what] -= 1
    this.#forget(name, gauges)
  }

  /** Ignored for a server that is no longer configured: a handshake may end after the reload that removed it. */
  trust(upstream: string, server: string, trusted: boolean): void {
    const servers = this.#upstreams.get(upstream)?.trusted
    if (servers?.has(server)) servers.set(server, trusted)
  }

  /** `notAfter` in milliseconds since 1970, the leaf first; at most ten are kept. */
  chain(upstream: string, notAfter: readonly number[]): void {
    const gauges = this.#upstreams.get(upstream)
    if (gauges !== undefined) gauges.notAfter = notAfter.slice(0, 10)
  }

  *connections(): Iterable<Sample> {
    for (const [listener, { open }] of this.#listeners) yield { labels: { listener }, value: open }
  }

  *limits(): Iterable<Sample> {
    for (const [listener, { limit }] of this.#listeners) {
      if (limit !== undefined) yield { labels: { listener }, value: limit }
    }
  }

  *sessions(): Iterable<Sample> {
    for (const [listener, { plain, tls }] of this.#listeners) {
      yield { labels: { listener, transport: 'plain' }, value: plain }
      yield { labels: { listener, transport: 'tls' }, value: tls }
    }
  }

  *trusted(): Iterable<Sample> {
    for (const [upstream, { trusted }] of this.#upstreams) {
      for (const [server, yes] of trusted) yield { labels: { upstream, server }, value: yes ? 1 : 0 }
    }
  }

  *notAfter(): Iterable<Sample> {
    for (const [upstream, { notAfter }] of this.#upstreams) {
      for (const [position, end] of notAfter.entries()) {
        // A certificate without a readable end of validity has no such line.
        if (Number.isFinite(end))
          yield { labels: { upstream, position: String(position) }, value: end / 1000 }
      }
    }
  }

  *pins(): Iterable<Sample> {
    for (const [upstream, { pins }] of this.#upstreams) yield { labels: { upstream }, value: pins }
  }

  #forget(name: string, { open, plain, tls, limit }: ListenerGauges): void {
    if (limit === undefined && open + plain + tls === 0) this.#listeners.delete(name)
  }
}
