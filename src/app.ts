// The composition root: wires the folders together, starts, reloads all or nothing, drains and stops.

import type { Socket } from 'node:net'
import { resolve } from 'node:path'
import { judgeReadiness, type Readiness } from './admin/readiness.ts'
import { startAdmin, type AdminServer } from './admin/server.ts'
import { ConfigError, formatDiagnostic } from './config/diagnostics.ts'
import { loadConfig, type Loaded } from './config/load.ts'
import { EMBEDDED } from './config/schema.ts'
import { compile, type ListenerSettings, type Snapshot, type UpstreamPlan } from './config/snapshot.ts'
import { watchConfig, type ConfigWatch } from './config/watch.ts'
import { EmbeddedBroker } from './embedded.ts'
import { messageOf, PulsewardError } from './errors.ts'
import { hostPort } from './net/address.ts'
import { Listener } from './net/listener.ts'
import { LineLimiter } from './observe/limit.ts'
import { limitLog, type RootLog } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { readUsage } from './observe/process.ts'
import { Arrival } from './proxy/arrival.ts'
import { Canary } from './proxy/canary.ts'
import type { Connection, Hub, ListenerPlan } from './proxy/hub.ts'
import { Sweep } from './proxy/sweep.ts'
import { Upstream } from './proxy/upstream.ts'
import { openAuthority, type Authority } from './tls/authority.ts'

interface AppOptions {
  /** As given on the command line. */
  readonly path: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: RootLog
  readonly metrics: Metrics
}

/** One port with what it does now; a reload swaps the hub, connections keep the one they came in with. */
interface Port {
  readonly key: string
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

/** Lines of one kind that a stranger may provoke: so many at once, so many a second. */
const lines = { burst: 20, rate: 1 }
/** How often leaf certificates are looked at for renewal; milliseconds. */
const renewalCheck = 3_600_000

export class App implements AsyncDisposable {
  readonly #options: AppOptions
  readonly #sweep = new Sweep()
  readonly #limited: Hub['limited']
  readonly #connections = new Set<Connection>()
  readonly #canary = new Canary(() => this.#upstreams.values())
  #upstreams = new Map<string, Upstream>()
  #ports = new Map<string, Port>()
  #snapshot: Snapshot | undefined
  #authority: { readonly state: string; readonly opened: Promise<Authority> } | undefined
  #embedded: EmbeddedBroker | undefined
  #admin: AdminServer | undefined
  #watch: ConfigWatch | undefined
  #renewal: NodeJS.Timeout | undefined
  #draining = false
  #reloading: Promise<void> = Promise.resolve()
  #emptied: (() => void) | undefined

  private constructor(options: AppOptions) {
    this.#options = options
    const limiter = new LineLimiter({ clock: () => performance.now(), ...lines })
    this.#limited = limitLog(options.log, limiter, options.metrics)
  }

  /** Starts everything proxy.yaml asks for; rejects, and leaves nothing behind, where something of it cannot be had. */
  static async start(options: AppOptions): Promise<App> {
    const app = new App(options)
    try {
      const loaded = loadConfig(options.path, options.env, options.cwd)
      const adopted = app.#adopt(loaded)
      // A change of the files is noticed from here on; the reload waits for its turn.
      app.#reloading = adopted.catch(() => {})
      await app.#follow(loaded)
      await adopted
    } catch (error) {
      await app[Symbol.asyncDispose]()
      throw error
    }
    app.#renewal = setInterval(() => app.#renew(), renewalCheck).unref()
    void app.#canary.look()
    await app.#countDescriptors()
    return app
  }

  get snapshot(): Snapshot {
    if (this.#snapshot === undefined) throw new Error('not started')
    return this.#snapshot
  }

  /** Where each listener really listens, in the order of proxy.yaml. */
  get listening(): { readonly name: string; readonly address: string; readonly port: number }[] {
    return [...this.#ports.values()].map(({ listener, hub }) => {
      const { address, port } = listener.address
      return { name: hub.plan.name, address: hostPort(address, port), port }
    })
  }

  get adminAddress(): string {
    const { host, port } = this.#admin?.address ?? { host: '', port: 0 }
    return hostPort(host, port)
  }

  /** Reads proxy.yaml again. All of it comes into force, or nothing does and the log says why. Never rejects. */
  async reload(why: string): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reloadNow(why))
    await this.#reloading
  }

  /** Stops accepting, tells devices, lets what is under way arrive for as long as `drain.timeout` says, and closes. */
  async drain(): Promise<void> {
    if (this.#draining) return
    this.#draining = true
    const { log } = this.#options
    const { timeout } = this.snapshot.config.drain
    log.info({ connections: this.#connections.size, timeout }, 'draining')
    await Promise.all([...this.#ports.values()].map(({ listener }) => listener.close()))
    const emptied = new Promise<void>((settle) => (this.#emptied = settle))
    for (const connection of this.#connections) connection.drain()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((settle) => (timer = setTimeout(settle, timeout)))
    if (this.#connections.size > 0) await Promise.race([emptied, late])
    clearTimeout(timer)
    if (this.#connections.size > 0)
      log.warn({ connections: this.#connections.size }, 'closed before they had ended')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true
    clearInterval(this.#renewal)
    // What a reload opens while it is under way has to be closed too.
    await this.#reloading
    await this.#watch?.[Symbol.asyncDispose]()
    this.#canary[Symbol.dispose]()
    for (const connection of this.#connections) connection.destroy()
    await Promise.all([...this.#ports.values()].map(({ listener }) => listener.close()))
    await this.#admin?.[Symbol.asyncDispose]()
    await this.#embedded?.[Symbol.asyncDispose]()
    this.#sweep[Symbol.dispose]()
  }

  async #reloadNow(why: string): Promise<void> {
    const { log, metrics, path, env, cwd } = this.#options
    if (this.#draining) return
    try {
      const loaded = loadConfig(path, env, cwd)
      await this.#adopt(loaded)
      log.info({ why, version: this.snapshot.version, sha256: loaded.sha256 }, 'configuration reloaded')
      await this.#follow(loaded).catch((error: unknown) => {
        log.warn({ error: messageOf(error) }, 'changes of the configuration are not noticed; send SIGHUP')
      })
    } catch (error) {
      if (this.#draining) return
      metrics.reloadFailed()
      const diagnostics = error instanceof ConfigError ? error.diagnostics.map(formatDiagnostic) : undefined
      const hint = error instanceof PulsewardError ? error.hint : undefined
      const fields = { why, error: messageOf(error), diagnostics, hint }
      log.error(fields, 'configuration not reloaded; the one before stays in force')
    }
    void this.#canary.look()
  }

  /** Makes ready everything that can fail; only then swaps, which cannot. */
  async #adopt(loaded: Loaded): Promise<void> {
    const { log, metrics } = this.#options
    for (const warning of loaded.warnings)
      log.warn({ warning: formatDiagnostic(warning) }, 'configuration warning')
    const version = (this.#snapshot?.version ?? 0) + 1
    const snapshot = await compile(loaded, version, () => this.#openAuthority(loaded))
    for (const warning of snapshot.warnings) log.warn({ warning }, 'certificates for devices')
    const upstreams = await this.#prepareUpstreams(snapshot)
    const { ports, fresh } = await this.#preparePorts(snapshot, upstreams)
    try {
      await this.#prepareAdmin(snapshot)
      if (this.#draining) throw new PulsewardError('stopping', 'proxy', 'the proxy is stopping')
    } catch (error) {
      await Promise.all(fresh.map(({ abandon }) => abandon()))
      throw error
    }
    const left = [...this.#ports].filter(([key]) => !ports.has(key))
    this.#snapshot = snapshot
    this.#upstreams = upstreams
    this.#ports = ports
    for (const settings of snapshot.listeners) {
      const port = ports.get(portKey(settings))
      if (port === undefined) continue
      port.hub = this.#hub(settings, snapshot, upstreams, port.listener)
      port.listener.limits = settings.config.limits
    }
    log.setLevel(snapshot.config.log.level)
    metrics.adopted({ ...inventory(snapshot, upstreams), sha256: snapshot.sha256, version, at: Date.now() })
    for (const { begin } of fresh) begin()
    await Promise.all(left.map(([, { listener }]) => listener.close()))
  }

  /** An upstream whose trust settings did not change keeps its tickets and what it knows of its servers. */
  async #prepareUpstreams(snapshot: Snapshot): Promise<Map<string, Upstream>> {
    const plans: UpstreamPlan[] = [...snapshot.upstreams]
    if (snapshot.listeners.some(({ config }) => config.upstream === EMBEDDED)) {
      const authority = await this.#openAuthority({ config: snapshot.config })
      this.#embedded ??= await EmbeddedBroker.start(EMBEDDED, authority)
      plans.push(this.#embedded.plan)
    }
    const used = new Set(snapshot.listeners.map(({ config }) => config.upstream))
    const upstreams = new Map<string, Upstream>()
    const deps = { metrics: this.#options.metrics, limited: this.#limited }
    for (const plan of plans) {
      if (!used.has(plan.name)) continue
      const before = this.#upstreams.get(plan.name)
      upstreams.set(plan.name, before?.plan.key === plan.key ? before : new Upstream(plan, deps))
    }
    return upstreams
  }

  async #preparePorts(snapshot: Snapshot, upstreams: ReadonlyMap<string, Upstream>) {
    const ports = new Map<string, Port>()
    const fresh: FreshPort[] = []
    try {
      for (const settings of snapshot.listeners) {
        const key = portKey(settings)
        const known = this.#ports.get(key)
        if (known !== undefined) {
          ports.set(key, known)
          continue
        }
        const opened = await this.#openPort(key, settings, snapshot, upstreams)
        fresh.push(opened)
        ports.set(key, opened.port)
      }
    } catch (error) {
      await Promise.all(fresh.map(({ abandon }) => abandon()))
      throw error
    }
    return { ports, fresh }
  }

  async #openPort(
    key: string,
    settings: ListenerSettings,
    snapshot: Snapshot,
    upstreams: ReadonlyMap<string, Upstream>,
  ): Promise<FreshPort> {
    const { metrics } = this.#options
    const { config } = settings
    let port: Port | undefined
    // What arrives between listening and the swap waits for it: the snapshot may yet fail.
    let early: { readonly socket: Socket; readonly address: string }[] | undefined = []
    const opening = Listener.open(config.name, config.bind, config.limits, {
      accepted: (socket, address) => {
        if (early === undefined) this.#accept(port, socket, address)
        else early.push({ socket, address })
      },
      turnedAway: (reason, address, error) => {
        const name = port?.hub.plan.name ?? config.name
        metrics.arrived(name, reason === 'gone' ? 'accept-error' : reason)
        const fields = { listener: name, address, reason, error: error && messageOf(error) }
        this.#limited('warn', reason, fields, 'connection turned away')
      },
    })
    const listener = await opening.catch((error: unknown) => {
      throw this.#ownPort(config.bind.port, error)
    })
    port = { key, listener, hub: this.#hub(settings, snapshot, upstreams, listener) }
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
    if (this.#draining) {
      this.#options.metrics.arrived(port.hub.plan.name, 'draining')
      port.listener.release(address)
      return void socket.destroy()
    }
    this.#options.metrics.arrived(port.hub.plan.name, 'accepted')
    void new Arrival(socket, address, port.hub)
  }

  #hub(
    settings: ListenerSettings,
    snapshot: Snapshot,
    upstreams: ReadonlyMap<string, Upstream>,
    listener: Listener,
  ): Hub {
    const { metrics, log } = this.#options
    return {
      plan: planOf(settings, snapshot, upstreams),
      metrics,
      log,
      limited: this.#limited,
      sweep: this.#sweep,
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

  async #prepareAdmin(snapshot: Snapshot): Promise<void> {
    const { metrics, log } = this.#options
    const { bind } = snapshot.config.metrics
    if (this.#admin === undefined) {
      this.#admin = await startAdmin({ bind, metrics, log, readiness: () => this.#readiness() })
    } else await this.#admin.rebind(bind)
  }

  #readiness(): Readiness {
    const upstreams = Object.fromEntries(
      Array.from(this.#upstreams, ([name, upstream]) => {
        const servers = upstream.servers.map(({ server, verdict, reasons, checkedAt }) => ({
          server,
          verdict,
          reasons,
          lastCheck: checkedAt === 0 ? null : new Date(checkedAt).toISOString(),
        }))
        return [name, { trusted: upstream.trusted, servers }]
      }),
    )
    return judgeReadiness({ draining: this.#draining, upstreams })
  }

  #openAuthority({ config }: Pick<Loaded, 'config'>): Promise<Authority> {
    const { state } = config
    if (this.#authority?.state === state) return this.#authority.opened
    const opened = openAuthority(state, Date.now).then((authority) => {
      for (const warning of authority.warnings) this.#options.log.warn({ warning }, 'local authority')
      return authority
    })
    this.#authority = { state, opened }
    opened.catch(() => {
      // The next reload may find the directory as it should be.
      if (this.#authority?.opened === opened) this.#authority = undefined
    })
    return opened
  }

  /** Watches the files that are in force, where proxy.yaml asks for it. */
  async #follow({ config, files }: Loaded): Promise<void> {
    if (!config.reload.watch) {
      await this.#watch?.[Symbol.asyncDispose]()
      this.#watch = undefined
    } else if (this.#watch === undefined) {
      const path = resolve(this.#options.cwd, this.#options.path)
      this.#watch = watchConfig(path, () => void this.reload('file changed'), { files })
    } else this.#watch.follow(files)
  }

  /** Two descriptors a connection: better told at the start than found out under load. */
  async #countDescriptors(): Promise<void> {
    const { maxFiles } = await readUsage()
    const connections = this.snapshot.config.listeners.reduce(
      (sum, { limits }) => sum + limits.connections,
      0,
    )
    const wanted = connections * 2 + spareDescriptors
    if (maxFiles === undefined || maxFiles >= wanted) return
    const hint = `raise LimitNOFILE or "ulimit -n" to ${wanted}, or lower limits.connections`
    this.#options.log.warn(
      { descriptors: maxFiles, wanted, hint },
      'too few file descriptors for limits.connections',
    )
  }

  #renew(): void {
    if (this.snapshot.renewAt < Date.now()) void this.reload('certificates for devices are due')
  }
}

/** Descriptors the proxy needs besides two a connection: ports, files, the admin's connections, handshakes under way. */
const spareDescriptors = 256

function portKey({ config }: ListenerSettings): string {
  const { host, port } = config.bind
  // Port 0 takes a free one: two listeners that ask for it are two ports, told apart by name.
  return port === 0 ? `${config.name} ${host}` : hostPort(host, port)
}

function planOf(
  { config, deviceContext, frames }: ListenerSettings,
  snapshot: Snapshot,
  upstreams: ReadonlyMap<string, Upstream>,
): ListenerPlan {
  const upstream = upstreams.get(config.upstream)
  if (upstream === undefined) throw new Error(`no upstream "${config.upstream}"`)
  const { connectTimeout, idle, halfClose } = config.limits
  return Object.freeze({
    name: config.name,
    accept: { plain: config.accept.includes('mqtt'), tls: config.accept.includes('mqtts') },
    deviceContext,
    upstream,
    frames,
    timeouts: { connect: connectTimeout, idle, halfClose },
    policy: snapshot.policy,
    detectors: snapshot.detectors,
  })
}

function inventory(snapshot: Snapshot, upstreams: ReadonlyMap<string, Upstream>) {
  return {
    listeners: snapshot.listeners.map(({ config }) => ({
      name: config.name,
      limit: config.limits.connections,
    })),
    upstreams: Array.from(upstreams.values(), ({ plan, servers }) => ({
      name: plan.name,
      servers: servers.map(({ server }) => server),
      pins: plan.trust.pins.length,
    })),
  }
}
