// The composition root: wires the folders together, starts, reloads all or nothing, drains and stops.

import { resolve } from 'node:path'
import { judgeReadiness, type Readiness } from './admin/readiness.ts'
import { startAdmin, type AdminServer } from './admin/server.ts'
import { ConfigError, onOneLine } from './config/diagnostics.ts'
import { loadConfig, type Loaded } from './config/load.ts'
import { EMBEDDED } from './config/schema.ts'
import { compile, type Snapshot, type UpstreamPlan } from './config/snapshot.ts'
import { watchConfig, type ConfigWatch } from './config/watch.ts'
import { capacity } from './descriptors.ts'
import { EmbeddedBroker } from './embedded.ts'
import { messageOf, PulsewardError } from './errors.ts'
import { inventory, standingsOf } from './inventory.ts'
import { Evidence } from './evidence/recorder.ts'
import { Lists } from './lists.ts'
import { hostPort } from './net/address.ts'
import type { Lookup } from './net/resolve.ts'
import { LineLimiter } from './observe/limit.ts'
import { limitLog, type Limited, type RootLog } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { runtime } from './observe/process.ts'
import { Canary } from './proxy/canary.ts'
import { Ports } from './proxy/ports.ts'
import { Sweep } from './proxy/sweep.ts'
import { Upstream } from './proxy/upstream.ts'
import { knownFiles } from './tls/known.ts'
import { openAuthority, type Authority } from './tls/authority.ts'
import type { Sighting } from './tls/sighting.ts'
import { TrustState } from './tls/trust-state.ts'
import { version as pulseward } from './version.ts'

interface AppOptions {
  /** As given on the command line. */
  readonly path: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: RootLog
  readonly metrics: Metrics
  /** Stands in for the resolver of this machine, as far as the canary asks it. */
  readonly lookup?: Lookup
}

/** Lines of one kind that a stranger may provoke: so many at once, so many a second. */
const lines = { burst: 20, rate: 1 }
/** How often certificates and pins are looked at for their end; milliseconds. */
const renewalCheck = 3_600_000

export class App implements AsyncDisposable {
  readonly #options: AppOptions
  readonly #sweep = new Sweep()
  readonly #limited: Limited
  readonly #ports: Ports
  readonly #evidence: Evidence
  readonly #lists: Lists
  readonly #trust: TrustState
  readonly #canary = new Canary(() => this.#upstreams.values(), {
    interval: ({ plan }) => this.#canaryInterval(plan.name),
  })
  #upstreams = new Map<string, Upstream>()
  #snapshot: Snapshot | undefined
  #authority: { readonly state: string; readonly opened: Promise<Authority> } | undefined
  #embedded: EmbeddedBroker | undefined
  #admin: AdminServer | undefined
  #watch: ConfigWatch | undefined
  #renewal: NodeJS.Timeout | undefined
  #draining = false
  /** Until every server has been looked at once. */
  #starting = true
  #reloading: Promise<void> = Promise.resolve()

  private constructor(options: AppOptions) {
    this.#options = options
    const limiter = new LineLimiter({ clock: () => performance.now(), ...lines })
    this.#limited = limitLog(options.log, limiter, options.metrics)
    const { metrics } = options
    this.#evidence = new Evidence({ software: { pulseward, ...runtime }, metrics, log: this.#limited })
    this.#lists = new Lists({ ...options, limited: this.#limited })
    const onFirstUse = (): void => void this.reload('a broker was met for the first time')
    this.#trust = new TrustState({ ...options, limited: this.#limited, onFirstUse })
    this.#ports = new Ports({ ...options, limited: this.#limited, sweep: this.#sweep })
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
    void app.#canary.look().then(() => (app.#starting = false))
    await app.#countDescriptors()
    return app
  }

  get snapshot(): Snapshot {
    if (this.#snapshot === undefined) throw new Error('not started')
    return this.#snapshot
  }

  /** Where each listener really listens, in the order of proxy.yaml. */
  get listening(): Ports['listening'] {
    return this.#ports.listening
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
    log.info({ connections: this.#ports.open, timeout }, 'draining')
    await this.#ports.drain(timeout)
    if (this.#ports.open > 0) log.warn({ connections: this.#ports.open }, 'closed before they had ended')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true
    clearInterval(this.#renewal)
    // What a reload opens while it is under way has to be closed too.
    await this.#reloading
    await this.#watch?.[Symbol.asyncDispose]()
    this.#lists[Symbol.dispose]()
    this.#canary[Symbol.dispose]()
    this.#ports.destroy()
    await this.#ports.close()
    await this.#admin?.[Symbol.asyncDispose]()
    await this.#embedded?.[Symbol.asyncDispose]()
    await this.#evidence[Symbol.asyncDispose]()
    await this.#trust[Symbol.asyncDispose]()
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
      const diagnostics = error instanceof ConfigError ? error.diagnostics.map(onOneLine) : undefined
      const hint = error instanceof PulsewardError ? error.hint : undefined
      const fields = { why, error: messageOf(error), diagnostics, hint }
      log.error(fields, 'configuration not reloaded; the one before stays in force')
    }
    void this.#canary.look()
  }

  /** Makes ready everything that can fail; only then swaps, which cannot. */
  async #adopt(loaded: Loaded): Promise<void> {
    const { log, metrics } = this.#options
    for (const warning of loaded.warnings) log.warn({ warning: onOneLine(warning) }, 'configuration warning')
    const version = (this.#snapshot?.version ?? 0) + 1
    const { known, adopt } = await this.#trust.prepare(loaded.config.state)
    const { listsOf, fill, commit } = await this.#lists.prepare(loaded.config)
    const authority = (): Promise<Authority> => this.#openAuthority(loaded)
    const snapshot = await compile(loaded, version, { authority, known, listsOf })
    for (const warning of snapshot.warnings) log.warn({ warning }, 'certificates for devices')
    const upstreams = await this.#prepareUpstreams(snapshot)
    await fill(upstreams)
    const change = await this.#ports.prepare(snapshot, upstreams)
    try {
      await this.#prepareAdmin(snapshot)
      if (this.#draining) throw new PulsewardError('stopping', 'proxy', 'the proxy is stopping')
    } catch (error) {
      await change.abandon()
      throw error
    }
    adopt()
    this.#snapshot = snapshot
    this.#upstreams = upstreams
    commit(upstreams)
    this.#evidence.adopt({ state: snapshot.config.state, ...snapshot.config.evidence })
    log.setLevel(snapshot.config.log.level)
    metrics.adopted({ ...inventory(snapshot, upstreams), sha256: snapshot.sha256, version, at: Date.now() })
    await change.swap()
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
    const { metrics, lookup } = this.#options
    const evidence = (sighting: Sighting): void => this.#record(sighting)
    const { profiles, meetFirst: firstUse } = this.#trust
    const deps = { metrics, limited: this.#limited, evidence, profiles, firstUse, ...(lookup && { lookup }) }
    for (const plan of plans) {
      if (!used.has(plan.name)) continue
      const before = this.#upstreams.get(plan.name)
      upstreams.set(plan.name, before?.plan.key === plan.key ? before : new Upstream(plan, deps))
    }
    return upstreams
  }

  async #prepareAdmin(snapshot: Snapshot): Promise<void> {
    const { metrics, log } = this.#options
    const { bind } = snapshot.config.metrics
    if (this.#admin === undefined) {
      this.#admin = await startAdmin({ bind, metrics, log, readiness: () => this.#readiness() })
    } else await this.#admin.rebind(bind)
  }

  #readiness(): Readiness {
    const all = [...this.#upstreams.values()].flatMap(({ servers }) => servers)
    this.#starting &&= all.some(({ checkedAt }) => checkedAt === 0)
    return judgeReadiness({
      draining: this.#draining,
      starting: this.#starting,
      upstreams: standingsOf(this.#upstreams),
    })
  }

  #record(sighting: Sighting): void {
    const { sha256 = '', version = 0 } = this.#snapshot ?? {}
    this.#evidence.record(sighting, { sha256, version })
  }

  #canaryInterval(upstream: string): number | undefined {
    const interval = this.#snapshot?.config.upstreams[upstream]?.canary.interval
    return interval === 'off' ? undefined : interval
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
  async #follow({ config, files: named }: Loaded): Promise<void> {
    const files = [...named, ...knownFiles(config.state)]
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
    const enough = await capacity()
    if (enough === undefined) return
    // Beyond its descriptors a proxy would accept devices that it cannot dial for, and serve nobody.
    this.#ports.capacity = enough.connections
    const { listeners } = this.snapshot.config
    const wanted = listeners.reduce((sum, { limits }) => sum + limits.connections, 0)
    if (enough.connections >= wanted) return
    const hint = `raise LimitNOFILE or "ulimit -n" to ${enough.needed(wanted)}, or lower limits.connections`
    const fields = { descriptors: enough.descriptors, enoughFor: enough.connections, hint }
    this.#options.log.warn(fields, 'too few file descriptors for limits.connections')
  }

  #renew(): void {
    for (const upstream of this.#upstreams.values()) upstream.remind(Date.now())
    this.#lists.remind(Date.now())
    if (this.snapshot.renewAt < Date.now()) void this.reload('certificates for devices are due')
  }
}
