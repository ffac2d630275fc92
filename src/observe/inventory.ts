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
    /** How many of them were taken over on first use. */
    readonly firstUse?: number
    /** Those of them that end; milliseconds since 1970. */
    readonly dated?: readonly DatedPin[]
    /** Its revocation lists, which may be renewed at any time. */
    readonly lists?: readonly RenewedList[]
  }[]
}

/** A revocation list, asked whenever somebody scrapes. */
export interface RenewedList {
  /** File or URL. */
  readonly name: string
  /** Milliseconds since 1970; undefined while there is none. */
  readonly nextUpdate: number | undefined
}

export interface DatedPin {
  readonly pin: string
  /** What a metric calls it. */
  readonly label: string
  readonly notAfter: number
  /** Whether proxy.yaml says that it is of a spare key. */
  readonly backup: boolean
}

/** The chain that was verified last, the leaf first. */
export interface ChainView {
  /** What metrics call the key of each certificate. */
  readonly labels: readonly string[]
  /** The pins it answers to. */
  readonly inUse: readonly string[]
}

interface ListenerGauges {
  open: number
  plain: number
  tls: number
  /** Undefined once the listener left proxy.yaml; its last sessions may outlive it. */
  limit: number | undefined
}

/** How one address of a server stands; read at every scrape. */
export interface AddressGauge {
  readonly address: string
  /** A verdict, or why there is none. */
  readonly verdict: string
  /** Milliseconds since 1970; 0 before the first check. */
  readonly checkedAt: number
}

interface UpstreamGauges {
  readonly trusted: Map<string, boolean>
  /** By server. */
  readonly addresses: Map<string, readonly AddressGauge[]>
  readonly pins: number
  readonly firstUse: number
  readonly dated: readonly DatedPin[]
  readonly lists: readonly RenewedList[]
  notAfter: readonly number[]
  view: ChainView | undefined
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
      upstreams.map(({ name, servers, pins, firstUse = 0, dated = [], lists = [] }) => {
        const old = before.get(name)
        const trusted = new Map(servers.map((server) => [server, old?.trusted.get(server) ?? false]))
        const addresses = new Map(servers.map((server) => [server, old?.addresses.get(server) ?? []]))
        const chain = { notAfter: old?.notAfter ?? [], view: old?.view }
        return [name, { trusted, addresses, pins, firstUse, dated, lists, ...chain }]
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

  /** Takes the place of what was known of this server's addresses; at most sixteen are kept. */
  addresses(upstream: string, server: string, states: readonly AddressGauge[]): void {
    const servers = this.#upstreams.get(upstream)?.addresses
    if (servers?.has(server)) servers.set(server, states.slice(0, 16))
  }

  /** `notAfter` in milliseconds since 1970, the leaf first; at most ten are kept. */
  chain(upstream: string, notAfter: readonly number[], view?: ChainView): void {
    const gauges = this.#upstreams.get(upstream)
    if (gauges === undefined) return
    gauges.notAfter = notAfter.slice(0, 10)
    gauges.view = view
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

  *addressTrust(): Iterable<Sample> {
    for (const [labels, { verdict }] of this.#everyAddress()) {
      yield { labels, value: verdict === 'trusted' ? 1 : 0 }
    }
  }

  *addressChecks(): Iterable<Sample> {
    for (const [labels, { checkedAt }] of this.#everyAddress()) yield { labels, value: checkedAt / 1000 }
  }

  *notAfter(): Iterable<Sample> {
    for (const [upstream, { notAfter, view }] of this.#upstreams) {
      for (const [position, end] of notAfter.entries()) {
        // A certificate without a readable end of validity has no such line.
        if (Number.isFinite(end))
          yield {
            labels: { upstream, position: String(position), pin: view?.labels[position] ?? '' },
            value: end / 1000,
          }
      }
    }
  }

  /** A pin is a backup in effect while the chain seen has nothing it is of; before one was seen, proxy.yaml decides. */
  *pinEnds(): Iterable<Sample> {
    for (const [upstream, { dated, view }] of this.#upstreams) {
      for (const { pin, label, notAfter, backup } of dated) {
        const spare = view === undefined ? backup : !view.inUse.includes(pin)
        yield { labels: { upstream, pin: label, role: spare ? 'backup' : 'current' }, value: notAfter / 1000 }
      }
    }
  }

  *listEnds(): Iterable<Sample> {
    for (const [upstream, { lists }] of this.#upstreams) {
      for (const { name: crl, nextUpdate = 0 } of lists) {
        yield { labels: { upstream, crl }, value: nextUpdate / 1000 }
      }
    }
  }

  *pins(): Iterable<Sample> {
    for (const [upstream, { pins }] of this.#upstreams) yield { labels: { upstream }, value: pins }
  }

  *firstUsePins(): Iterable<Sample> {
    for (const [upstream, { firstUse }] of this.#upstreams) yield { labels: { upstream }, value: firstUse }
  }

  *#everyAddress(): Iterable<readonly [Sample['labels'], AddressGauge]> {
    for (const [upstream, { addresses }] of this.#upstreams) {
      for (const [server, states] of addresses) {
        for (const state of states) yield [{ upstream, server, address: state.address }, state]
      }
    }
  }

  #forget(name: string, { open, plain, tls, limit }: ListenerGauges): void {
    if (limit === undefined && open + plain + tls === 0) this.#listeners.delete(name)
  }
}
