// One listening port: accepts up to its limits, counts what it turns away, and survives running out of descriptors.

import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { PulsewardError } from '../errors.ts'
import { peerAddress, type Endpoint } from './address.ts'
import { descriptorOf, type Native } from './native.ts'

export interface ListenerLimits {
  readonly connections: number
  readonly perAddress: number
  /** Addresses without a limit of their own: proxies that will say for whom they speak. */
  readonly exempt?: (address: string) => boolean
}

/** Why a connection was turned away before a byte was read. */
export type TurnedAway = 'over-limit' | 'over-address-limit' | 'accept-error' | 'gone'

/** How devices that have another address in their settings get here; undefined where they come by themselves. */
export type Interception =
  | { readonly mode: 'redirect'; readonly native: Native | undefined }
  /** Without `native` nothing can be intercepted, and only who comes by himself gets in. */
  | { readonly mode: 'tproxy'; readonly native: Native | undefined }

export interface ListenerEvents {
  /**
   * The receiver owns the socket, and must call `release` of the listener once it is closed. `destination` is where the
   * device wanted to go, which is this listener where nobody intercepted it; undefined where that is not to be known.
   */
  accepted(socket: Socket, address: string, destination: Endpoint | undefined): void
  turnedAway(reason: TurnedAway, address: string, error?: Error): void
}

export class Listener implements AsyncDisposable {
  readonly name: string
  /** May change while it listens, but for `tproxy`, which is how the socket was made. */
  interception: Interception | undefined
  #limits: ListenerLimits
  readonly #server: Server
  readonly #events: ListenerEvents
  /** Open connections by address; an address leaves the map with its last connection. */
  readonly #perAddress = new Map<string, number>()
  #open = 0

  private constructor(name: string, limits: ListenerLimits, events: ListenerEvents) {
    this.name = name
    this.#limits = limits
    this.#events = events
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
    this.#server.on('connection', (socket: Socket) => this.#accept(socket))
  }

  /** Starts to listen; rejects with a `PulsewardError` that blames the configuration where the port is not to be had. */
  static async open(
    name: string,
    bind: { readonly host: string; readonly port: number },
    limits: ListenerLimits,
    events: ListenerEvents,
    interception?: Interception,
  ): Promise<Listener> {
    const listener = new Listener(name, limits, events)
    listener.interception = interception
    await listener.#listen(bind)
    return listener
  }

  get address(): AddressInfo {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error(`listener "${this.name}" is closed`)
    return address
  }

  get open(): number {
    return this.#open
  }

  set limits(limits: ListenerLimits) {
    this.#limits = limits
  }

  /** A connection from `from` is one of `to` from now on; false, and nothing changes, where `to` has enough of them. */
  rename(from: string, to: string): boolean {
    const ofAddress = this.#perAddress.get(to) ?? 0
    if (ofAddress >= this.#limits.perAddress && from !== to) return false
    this.#perAddress.set(to, ofAddress + 1)
    this.#open += 1
    this.release(from)
    return true
  }

  /** From now on the kernel keeps the SYN of every connection, for whoever asks of it. */
  keepSyns(native: Native | undefined): void {
    const fd = descriptorOf(this.#server)
    if (native === undefined || fd === undefined) return
    try {
      native.saveSyn(fd)
    } catch {
      // A kernel before 5.10 keeps none with its Ethernet header; then there is one thing less to know of devices.
    }
  }

  /** Gives back the place that an accepted connection took. */
  release(address: string): void {
    this.#open -= 1
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
  }

  /** Stops accepting; connections that are open stay so. Resolves when the port is free. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = Promise.withResolvers<void>()
    this.#server.close(() => closed.resolve())
    // `close` waits for connections too; the port itself is free at once.
    if (this.#open > 0) closed.resolve()
    await closed.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(socket: Socket): void {
    const address = peerAddress(socket.remoteAddress)
    if (socket.remoteAddress === undefined) return this.#turnAway(socket, 'gone', address)
    if (this.#open >= this.#limits.connections) return this.#turnAway(socket, 'over-limit', address)
    const ofAddress = this.#perAddress.get(address) ?? 0
    if (ofAddress >= this.#limits.perAddress && this.#limits.exempt?.(address) !== true)
      return this.#turnAway(socket, 'over-address-limit', address)
    this.#open += 1
    this.#perAddress.set(address, ofAddress + 1)
    this.#events.accepted(socket, address, this.#destination(socket))
  }

  #destination(socket: Socket): Endpoint | undefined {
    if (this.interception === undefined) return undefined
    const { mode, native } = this.interception
    const address = peerAddress(socket.localAddress)
    const reached = { address, port: socket.localPort ?? 0 }
    if (mode === 'tproxy') return reached
    const fd = descriptorOf(socket)
    if (native === undefined || fd === undefined) return undefined
    return native.originalDestination(fd, address.includes(':') ? 6 : 4) ?? reached
  }

  /** A reset instead of an orderly close: a flood leaves no TIME_WAIT behind, and the peer learns at once. */
  #turnAway(socket: Socket, reason: TurnedAway, address: string): void {
    socket.on('error', () => {})
    socket.resetAndDestroy()
    this.#events.turnedAway(reason, address)
  }

  #place(bind: { readonly host: string; readonly port: number }): typeof bind | { readonly fd: number } {
    if (this.interception?.mode !== 'tproxy' || this.interception.native === undefined) return bind
    return { fd: this.interception.native.transparentListener({ address: bind.host, port: bind.port }) }
  }

  async #listen(bind: { readonly host: string; readonly port: number }): Promise<void> {
    const ready = Promise.withResolvers<void>()
    const server = this.#server
    server.once('error', ready.reject)
    try {
      // `exclusive` keeps the port ours; a backlog that bursts of reconnecting devices fit in (the kernel caps it).
      const options = { backlog: 4096, exclusive: true, ipv6Only: false }
      server.listen({ ...options, ...this.#place(bind) }, () => ready.resolve())
      await ready.promise
    } catch (error) {
      const why = error as NodeJS.ErrnoException
      throw new PulsewardError(
        'listen-failed',
        'config',
        `cannot listen on "${bind.host}:${bind.port}": ${why.code}`,
        {
          cause: error,
          hint: listenHint(why.code),
        },
      )
    }
    server.off('error', ready.reject)
    // Out of descriptors, libuv closes the connections it cannot take and tells us once; the port stays open.
    server.on('error', (error) => this.#events.turnedAway('accept-error', 'unknown', error))
  }
}

function listenHint(code: string | undefined): string {
  if (code === 'EADDRINUSE') return 'another program holds the port; see "ss -ltnp"'
  if (code === 'EACCES') return 'ports below 1024 need root or CAP_NET_BIND_SERVICE'
  if (code === 'EADDRNOTAVAIL') return 'the address is not one of this machine; see "ip address"'
  return 'check the address and port of bind'
}
