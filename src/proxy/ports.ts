// The listening ports: opened before a configuration comes into force, swapped with it, and every connection through them.

import type { Socket } from 'node:net'
import type { ListenerSettings, Snapshot } from '../config/snapshot.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import { Listener, type TurnedAway } from '../net/listener.ts'
import { Arrival } from './arrival.ts'
import { Churn } from '../mqtt/rate.ts'
import type { Connection, Hub, ListenerPlan } from './hub.ts'
import type { Upstream } from './upstream.ts'

type Shared = Pick<Hub, 'metrics' | 'log' | 'limited' | 'sweep'>
type Upstreams = ReadonlyMap<string, Upstream>

/** One port with what it does now; a reload swaps the hub, connections keep the one they came in with. */
interface Port {
  readonly listener: Listener
  hub: Hub
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
      port.hub = this.#hub(planOf(settings, snapshot, upstreams), port.listener)
      port.listener.limits = settings.config.limits
    }
    for (const { begin } of fresh) begin()
    await Promise.all(left.map(([, { listener }]) => listener.close()))
  }

  async #open(settings: ListenerSettings, snapshot: Snapshot, upstreams: Upstreams): Promise<FreshPort> {
    const { config } = settings
    let port: Port | undefined
    // What arrives between listening and the swap waits for it: the configuration may yet fail.
    let early: { readonly socket: Socket; readonly address: string }[] | undefined = []
    const opening = Listener.open(config.name, config.bind, config.limits, {
      accepted: (socket, address) => {
        if (early === undefined) this.#accept(port, socket, address)
        else early.push({ socket, address })
      },
      turnedAway: (reason, address, error) => {
        this.#turnedAway(port?.hub.plan.name ?? config.name, reason, address, error)
      },
    })
    const listener = await opening.catch((error: unknown) => {
      throw this.#ownPort(config.bind.port, error)
    })
    port = { listener, hub: this.#hub(planOf(settings, snapshot, upstreams), listener) }
    const begin = (): void => {
      const waiting = early ?? []
      early = undefined
      for (const { socket, address } of waiting) this.#accept(port, socket, address)
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

  #accept(port: Port | undefined, socket: Socket, address: string): void {
    if (port === undefined) return void socket.destroy()
    const { name } = port.hub.plan
    if (this.#draining || this.#connections.size >= this.capacity) {
      port.listener.release(address)
      socket.on('error', () => {})
      socket.resetAndDestroy()
      if (this.#draining) this.#turnedAway(name, 'draining', address)
      else this.#turnedAway(name, 'accept-error', address, outOfDescriptors)
      return
    }
    this.#shared.metrics.arrived(name, 'accepted')
    void new Arrival(socket, address, port.hub)
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
      opened: (connection, before) => {
        if (before !== undefined) this.#connections.delete(before)
        this.#connections.add(connection)
      },
      closed: (connection, address) => {
        this.#connections.delete(connection)
        listener.release(address)
        if (this.#connections.size === 0) this.#emptied?.()
      },
    }
  }
}

const outOfDescriptors = new Error('too few file descriptors for one more connection')

function keyOf({ config }: ListenerSettings): string {
  const { host, port } = config.bind
  // Port 0 takes a free one: two listeners that ask for it are two ports, told apart by name.
  return port === 0 ? `${config.name} ${host}` : hostPort(host, port)
}

function planOf(
  { config, deviceContext, inspection, pair }: ListenerSettings,
  snapshot: Snapshot,
  upstreams: Upstreams,
): ListenerPlan {
  const upstream = upstreams.get(config.upstream)
  if (upstream === undefined) throw new Error(`no upstream "${config.upstream}"`)
  const { connectTimeout, idle, halfClose } = config.limits
  return Object.freeze({
    name: config.name,
    // In plaintext nobody can prove himself as a near end.
    accept: {
      plain: config.accept.includes('mqtt') && pair?.others !== false,
      tls: config.accept.includes('mqtts'),
    },
    deviceContext,
    pair,
    upstream,
    book: inspection.book,
    timeouts: { connect: connectTimeout, idle, halfClose },
    policy: { ...snapshot.policy, rules: inspection.modes },
    detectors: snapshot.detectors,
  })
}
