// The proxy without proxy.yaml: one listener, its hub, and a clock that stands still until a test moves it.

import type { SecureContext } from 'node:tls'
import type { FarEnd, UpstreamPlan } from '../../src/config/snapshot.ts'
import type { Detector } from '../../src/detect/detector.ts'
import { Churn } from '../../src/mqtt/rate.ts'
import type { Mode } from '../../src/mqtt/rule.ts'
import { modeOf, type FrameLimits, type Preset } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { Listener } from '../../src/net/listener.ts'
import { LineLimiter } from '../../src/observe/limit.ts'
import { limitLog } from '../../src/observe/log.ts'
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts'
import type { Policy } from '../../src/policy/decide.ts'
import { Arrival } from '../../src/proxy/arrival.ts'
import type { Connection, Hub, ListenerPlan } from '../../src/proxy/hub.ts'
import { Sweep } from '../../src/proxy/sweep.ts'
import { Upstream } from '../../src/proxy/upstream.ts'
import { brokerContext, type BrokerTls } from '../../src/tls/contexts.ts'
import type { FirstUse } from '../../src/tls/first-use.ts'
import type { Pin } from '../../src/tls/pinset.ts'
import type { RevocationSettings } from '../../src/tls/revocation.ts'
import { trustSettings } from '../../src/tls/trust.ts'
import { Exposition } from './exposition.ts'
import { Diary } from './diary.ts'
import { rulebook } from './rulebook.ts'
import { eventually } from './wait.ts'

export interface PlanOptions extends Partial<Omit<BrokerTls, 'ca'>> {
  /** Ports on 127.0.0.1, in order. */
  readonly ports: readonly number[]
  /** PEM of the CA of the brokers. */
  readonly ca: string
  readonly pins?: readonly (Pin | string)[]
  readonly pinMode?: 'enforce' | 'report'
  readonly resumption?: UpstreamPlan['resumption']
  readonly warnBefore?: number
  readonly revocation?: RevocationSettings
  readonly profile?: UpstreamPlan['profile']
  readonly strangers?: UpstreamPlan['strangers']
  readonly firstUse?: FirstUse
  readonly name?: string
  readonly serverName?: string
  readonly pair?: UpstreamPlan['pair']
  readonly plaintext?: boolean
  readonly timeouts?: Partial<UpstreamPlan['timeouts']>
}

/** What a proxy.yaml would say of an upstream, compiled. */
export function upstreamPlan({
  ports,
  ca,
  pins = [],
  pinMode = 'enforce',
  warnBefore = 0,
  revocation,
  profile = { mode: 'off', settle: 0 },
  strangers = new Set(),
  firstUse,
  name = 'hospital',
  serverName,
  pair,
  plaintext = false,
  timeouts,
  minVersion = 'TLSv1.3',
  postQuantum = 'prefer',
  weakCertificates = 'refuse',
  resumption = 'on',
  ...tls
}: PlanOptions): UpstreamPlan {
  const context = brokerContext({ ca: [ca], minVersion, postQuantum, weakCertificates, ...tls })
  return {
    name,
    key: name,
    servers: ports.map((port) => ({ host: '127.0.0.1', port })),
    serverName,
    pair,
    plaintext,
    context,
    trust: trustSettings({
      anchors: context.anchors,
      pins,
      pinMode,
      minVersion,
      postQuantum,
      weakCertificates,
      ...(revocation && { revocation }),
      firstUse,
    }),
    resumption,
    warnBefore,
    profile,
    strangers,
    timeouts: { dial: 5000, handshake: 10_000, connack: 30_000, distrust: 60_000, ...timeouts },
  }
}

export interface GateOptions {
  /** Made for the gate's own metrics and log; see `upstreamPlan`. */
  readonly upstream: PlanOptions | ((deps: ConstructorParameters<typeof Upstream>[1]) => Upstream)
  readonly deviceContext?: SecureContext
  readonly pair?: FarEnd
  readonly accept?: Partial<ListenerPlan['accept']>
  readonly frames?: Partial<FrameLimits>
  /** `standard` where none is given. */
  readonly preset?: Preset
  /** Modes of single rules. */
  readonly rules?: Readonly<Record<string, Mode>>
  readonly timeouts?: Partial<ListenerPlan['timeouts']>
  readonly detectors?: readonly (readonly Detector[] | undefined)[]
  readonly policy?: Omit<Policy, 'rules'>
}

const roomy: FrameLimits = { connect: 65_536, control: 262_144, publish: 2_097_152 }

export class Gate implements AsyncDisposable {
  readonly metrics: Metrics = createMetrics({ version: 'test' })
  readonly diary = new Diary()
  readonly connections = new Set<Connection>()
  readonly upstream: Upstream
  readonly sweep: Sweep
  /** How often a connection was said to be over. */
  closed = 0
  #now = 1_000_000
  #listener!: Listener
  readonly #hub: Hub

  private constructor({
    upstream,
    deviceContext,
    preset = 'standard',
    rules = {},
    policy = { mode: 'enforce', actions: new Map() },
    detectors = [],
    pair,
    ...rest
  }: GateOptions) {
    const { log } = this.diary
    const { metrics } = this
    const limiter = new LineLimiter({ clock: () => performance.now(), burst: 1000, rate: 1000 })
    const limited = limitLog(log, limiter, metrics)
    this.sweep = new Sweep(() => this.#now)
    this.upstream =
      typeof upstream === 'function'
        ? upstream({ metrics, limited })
        : new Upstream(upstreamPlan(upstream), { metrics, limited })
    const plan: ListenerPlan = {
      name: 'ward',
      accept: { plain: true, tls: deviceContext !== undefined, ...rest.accept },
      deviceContext,
      pair,
      upstream: this.upstream,
      book: rulebook({ preset, rules, frames: { ...roomy, ...rest.frames } }),
      timeouts: { connect: 10_000, idle: 86_400_000, halfClose: 60_000, ...rest.timeouts },
      policy: { ...policy, rules: new Map(allRules.map((rule) => [rule.id, modeOf(rule, preset, rules)])) },
      detectors,
    }
    this.#hub = {
      plan,
      metrics,
      log,
      limited,
      sweep: this.sweep,
      around: { book: plan.book, churn: new Churn(), clock: () => this.sweep.now },
      opened: (connection, before) => {
        if (before !== undefined) this.connections.delete(before)
        this.connections.add(connection)
      },
      closed: (connection, address) => {
        this.connections.delete(connection)
        this.#listener.release(address)
        this.closed += 1
      },
    }
  }

  static async open(options: GateOptions): Promise<Gate> {
    const gate = new Gate(options)
    const limits = { connections: 1000, perAddress: 1000 }
    gate.#listener = await Listener.open('ward', { host: '127.0.0.1', port: 0 }, limits, {
      accepted: (socket, address) => void new Arrival(socket, address, gate.#hub),
      turnedAway: () => {},
    })
    return gate
  }

  get port(): number {
    return this.#listener.address.port
  }

  /** The one connection there is. */
  get connection(): Connection {
    const [connection] = this.connections
    if (connection === undefined || this.connections.size > 1) throw new Error('not one connection')
    return connection
  }

  /** Lets so many milliseconds pass for every deadline. */
  advance(milliseconds: number): void {
    this.#now += milliseconds
    this.sweep.tick()
  }

  async exposition(): Promise<Exposition> {
    return new Exposition(await this.metrics.expose())
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return (await this.exposition()).value(`pulseward_${name}`, labels)
  }

  /** Waits until every connection is over; checks that each was counted out exactly once. */
  async emptied(): Promise<void> {
    await eventually(
      () => `the end of ${this.connections.size} connections: ${this.diary.tail()}`,
      () => this.connections.size === 0 && this.#listener.open === 0,
    )
    const exposition = await this.exposition()
    for (const name of ['pulseward_connections', 'pulseward_device_sessions']) {
      if (exposition.value(name) !== 0) throw new Error(`${name} is ${exposition.value(name)}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.connections) connection.destroy()
    await this.#listener.close()
    await this.emptied()
    this.sweep[Symbol.dispose]()
    this.metrics[Symbol.dispose]()
    const defect = this.diary.lines('a defect in Pulseward; only this session is closed')[0]
    if (defect !== undefined) throw new Error(`a defect: ${JSON.stringify(defect)}`)
  }
}
