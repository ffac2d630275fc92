// The listening ports: opened before a configuration comes into force, swapped with it, and every connection through them.

import type { Socket } from 'node:net'
import type { ListenerSettings, Snapshot } from '../config/snapshot.ts'
import type { Abilities } from '../net/abilities.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort, type Endpoint } from '../net/address.ts'
import { Destinations } from '../net/destinations.ts'
import { Listener, type Interception, type TurnedAway } from '../net/listener.ts'
import { isHere } from '../net/own-addresses.ts'
import { Arrival } from './arrival.ts'
import { Churn } from '../mqtt/rate.ts'
import type { Connection, Hub, ListenerPlan } from './hub.ts'
import { keyOf, limitsOf, planOf } from './listener-plan.ts'
import type { Registrar } from './registrar.ts'
import type { Upstream } from './upstream.ts'

type Shared = Pick<Hub, 'metrics' | 'log' | 'limited' | 'sweep' | 'own'> & { readonly abilities: Abilities }
type Upstreams = ReadonlyMap<string, Upstream>

/** One port with what it does now; a reload swaps the hub, connections keep the one they came in with. */
interface Port {
  readonly listener: Listener
  /** For devices that were not intercepted, and those that go where no other says. */
  hub: Hub
  /** Of devices that were intercepted, by where they wanted to go; undefined where nobody is. */
  ways: Destinations<Hub> | undefined
}

/** A port that listens for a configuration that is not in force yet. */
interface FreshPort {
  readonly port: Port
  /** Serves the connections that came meanwhile, and those to come. */
  readonly begin: () => void
  /** Closes it, and the connections that came meanwhile. */
  readonly abandon: () => Promise<void>
}

/** The ports of a configuration, ready to come into force. */
export interface Change {
  /** Cannot fail; resolves when the ports that are no longer wanted are closed. */
  readonly swap: () => Promise<void>
  /** The configuration is not to be: closes what was opened for it. */
  readonly abandon: () => Promise<void>
}

export class Ports {
  /** Connections of all ports together; each takes two descriptors, and one too many would starve all the others. */
  capacity = Infinity
  /** Knows the devices of the configuration that is about to come into force. */
  registrar: Registrar | undefined
  readonly #shared: Shared
  readonly #connections = new Set<Connection>()
  readonly #churn = new Churn()
  #ports: ReadonlyMap<string, Port> = new Map()
  #draining = false
  #emptied: (() => void) | undefined

  constructor(shared: Shared) {
    this.#shared = shared
  }

  /** Connections open now. */
  get open(): number {
    return this.#connections.size
  }

  /** Where each listener really listens, in the order of proxy.yaml. */
  get listening(): { readonly name: string; readonly address: string; readonly port: number }[] {
    return Array.from(this.#ports.values(), ({ listener, hub }) => {
      const { address, port } = listener.address
      return { name: hub.plan.name, address: hostPort(address, port), port }
    })
  }

  /** Opens the ports that are new in `snapshot`; rejects, and leaves none of them open, where one cannot be had. */
  async prepare(snapshot: Snapshot, upstreams: Upstreams): Promise<Change> {
    const ports = new Map<string, Port>()
    const fresh: FreshPort[] = []
    const abandon = async (): Promise<void> => {
      await Promise.all(fresh.map((one) => one.abandon()))
    }
    try {
      for (const settings of snapshot.listeners) {
        const key = keyOf(settings)
        let port = this.#ports.get(key)
        if (port === undefined) {
          const opened = await this.#open(settings, snapshot, upstreams)
          fresh.push(opened)
          port = opened.port
        }
        ports.set(key, port)
      }
    } catch (error) {
      await abandon()
      throw error
    }
    return { abandon, swap: () => this.#swap(ports, fresh, snapshot, upstreams) }
  }

  /** Stops accepting and tells every device; resolves when all connections are over, or after `timeout` milliseconds. */
  async drain(timeout: number): Promise<void> {
    this.#draining = true
    await this.close()
    const emptied = new Promise<void>((settle) => (this.#emptied = settle))
    for (const connection of this.#connections) connection.drain()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((settle) => (timer = setTimeout(settle, timeout)))
    if (this.#connections.size > 0) await Promise.race([emptied, late])
    clearTimeout(timer)
  }

  /** Stops accepting; open connections stay. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#ports.values(), ({ listener }) => listener.close()))
  }

  /** Closes every connection at once. */
  destroy(): void {
    this.#draining = true
    for (const connection of this.#connections) connection.destroy()
  }

  async #swap(
    ports: ReadonlyMap<string, Port>,
    fresh: readonly FreshPort[],
    snapshot: Snapshot,
    upstreams: Upstreams,
  ): Promise<void> {
    const left = [...this.#ports].filter(([key]) => !ports.has(key))
    this.#ports = ports
    for (const settings of snapshot.listeners) {
      const port = ports.get(keyOf(settings))
      if (port === undefined) continue
      Object.assign(port, this.#hubs(settings, snapshot, upstreams, port.listener))
      port.listener.limits = limitsOf(settings)
      if (port.listener.interception?.mode !== 'tproxy')
        port.listener.interception = this.#interception(settings)
    }
    for (const { begin } of fresh) begin()
    await Promise.all(left.map(([, { listener }]) => listener.close()))
  }

  async #open(settings: ListenerSettings, snapshot: Snapshot, upstreams: Upstreams): Promise<FreshPort> {
    const { config } = settings
    let port: Port | undefined
    // What arrives between listening and the swap waits for it: the configuration may yet fail.
    let early: Accepted[] | undefined = []
    const events = {
      accepted: (socket: Socket, address: string, destination: Endpoint | undefined): void => {
        if (early === undefined) this.#accept(port, { socket, address, destination })
        else early.push({ socket, address, destination })
      },
      turnedAway: (reason: TurnedAway, address: string, error?: Error): void => {
        this.#turnedAway(port?.hub.plan.name ?? config.name, reason, address, error)
      },
    }
    const interception = this.#interception(settings)
    const opening = Listener.open(config.name, config.bind, limitsOf(settings), events, interception)
    const listener = await opening.catch((error: unknown) => {
      throw this.#ownPort(config.bind.port, error)
    })
    port = { listener, ...this.#hubs(settings, snapshot, upstreams, listener) }
    const begin = (): void => {
      const waiting = early ?? []
      early = undefined
      for (const one of waiting) this.#accept(port, one)
    }
    const abandon = async (): Promise<void> => {
      for (const { socket } of early ?? []) socket.destroy()
      await listener.close()
    }
    return { port, begin, abandon }
  }

  /** Of one port, an address and "any address" exclude each other: then the other program is this one. */
  #ownPort(wanted: number, error: unknown): unknown {
    const own = [...this.#ports.values()].some(({ listener }) => listener.address.port === wanted)
    if (!own || !(error instanceof PulsewardError)) return error
    const hint = 'this proxy holds the port already, at another address: restart it, or take another port'
    return new PulsewardError(error.code, error.blame, error.message, { cause: error.cause, hint })
  }

  #accept(port: Port | undefined, { socket, address, destination }: Accepted): void {
    if (port === undefined) return void socket.destroy()
    const { name } = port.hub.plan
    if (this.#draining || this.#connections.size >= this.capacity) {
      reset(port, socket, address)
      if (this.#draining) this.#turnedAway(name, 'draining', address)
      else this.#turnedAway(name, 'accept-error', address, outOfDescriptors)
      return
    }
    this.#shared.metrics.arrived(name, 'accepted')
    if (port.ways === undefined) return void new Arrival(socket, address, port.hub)
    const way = this.#way(port.ways, destination)
    if (typeof way !== 'string') return void new Arrival(socket, address, way, destination)
    reset(port, socket, address)
    this.#shared.metrics.rejected(name, way)
    const wanted = destination && hostPort(destination.address, destination.port)
    const fields = { listener: name, address, reason: way, destination: wanted, detail: reasons[way] }
    this.#shared.limited('warn', way, fields, 'connection refused')
  }

  /** Where an intercepted device is taken, or why nowhere. */
  #way(ways: Destinations<Hub>, destination: Endpoint | undefined): Hub | keyof typeof reasons {
    if (destination === undefined) return ways.others ?? 'destination-unknown'
    if (this.#isOwn(destination)) return 'destination-own'
    return ways.find(destination) ?? 'destination-refused'
  }

  /** Whether it is one of our listeners: who comes to it by himself wants no broker that we could know of. */
  #isOwn({ address, port }: Endpoint): boolean {
    for (const { listener } of this.#ports.values()) {
      const own = listener.address
      if (own.port !== port) continue
      if (own.address === address) return true
      if ((own.address === '::' || own.address === '0.0.0.0') && isHere(address)) return true
    }
    return false
  }

  #interception({ config }: ListenerSettings): Interception | undefined {
    const { mode } = config
    return mode === 'direct' ? undefined : { mode, native: this.#shared.abilities.native(mode) }
  }

  /** One hub for the listener's own upstream, and one for each other that its devices are taken to. */
  #hubs(
    settings: ListenerSettings,
    snapshot: Snapshot,
    upstreams: Upstreams,
    listener: Listener,
  ): Pick<Port, 'hub' | 'ways'> {
    const { upstream: usual, mode, destinations, otherDestinations } = settings.config
    if (this.registrar !== undefined) listener.keepSyns(this.#shared.abilities.native('syn'))
    const hubs = new Map<string, Hub>()
    const hubOf = (upstream: string): Hub => {
      const known = hubs.get(upstream)
      if (known !== undefined) return known
      const disguise = settings.config.preserveSource
        ? this.#shared.abilities.native('preserve-source')
        : undefined
      const plan = planOf(settings, upstream, { snapshot, upstreams, disguise, registrar: this.registrar })
      const hub = this.#hub(plan, listener)
      hubs.set(upstream, hub)
      return hub
    }
    const hub = hubOf(usual)
    if (mode === 'direct') return { hub, ways: undefined }
    const entries = destinations.map(({ to, upstream = usual }) => ({ ...to, way: hubOf(upstream) }))
    return { hub, ways: new Destinations(entries, otherDestinations === 'upstream' ? hub : undefined) }
  }

  #turnedAway(listener: string, reason: TurnedAway | 'draining', address: string, error?: Error): void {
    this.#shared.metrics.arrived(listener, reason === 'gone' ? 'accept-error' : reason)
    const fields = { listener, address, reason, error: error && messageOf(error) }
    this.#shared.limited('warn', reason, fields, 'connection turned away')
  }

  #hub(plan: ListenerPlan, listener: Listener): Hub {
    return {
      ...this.#shared,
      around: { book: plan.book, churn: this.#churn, clock: () => this.#shared.sweep.now },
      plan,
      registrar: this.registrar,
      opened: (connection, before) => {
        if (before !== undefined) this.#connections.delete(before)
        this.#connections.add(connection)
      },
      spokenFor: (from, to) => listener.rename(from, to),
      closed: (connection, address) => {
        this.#connections.delete(connection)
        listener.release(address)
        if (this.#connections.size === 0) this.#emptied?.()
      },
    }
  }
}

interface Accepted {
  readonly socket: Socket
  readonly address: string
  readonly destination: Endpoint | undefined
}

/** Why an intercepted device is taken nowhere. */
const reasons = {
  'destination-own': 'it came to this listener itself, which serves only devices on their way elsewhere',
  'destination-refused': 'it wanted to go where destinations has no entry for',
  'destination-unknown': 'where it wanted to go is not to be known, and only destinations are served',
} as const

/** Gives a connection's place back and resets it: nobody wrote to it, and a flood leaves nothing behind. */
function reset({ listener }: Port, socket: Socket, address: string): void {
  listener.release(address)
  socket.on('error', () => {})
  socket.resetAndDestroy()
}

const outOfDescriptors = new Error('too few file descriptors for one more connection')
