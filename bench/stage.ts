// A sink, a proxy in front of it and a load before that, and the measuring of a window of their work.
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { LOAD_CORE, PROXY_CORE, Worker } from './child.ts'
import type { Target } from './device.ts'
import type { Peer } from './peers.ts'
import { type CoreTime, cpuBetween, readCoreTime } from './proc.ts'
import { type Bench, Proxy } from './proxy.ts'
import type { SinkSample, sink } from './sink.ts'
import type { Methods } from './worker.ts'

/** How much a window's figures are to be trusted; shares of one core's time, from 0 to 1. */
interface Conditions {
  /** Work of sink and load together on their core; near 1 they, not the proxy, set the pace. */
  readonly loadCore: number
  /** The proxy's share of its core. */
  readonly proxyCore: number
  /** What others did on the proxy's core meanwhile; it spoils caches and waits. */
  readonly foreign: number
}

export interface Window {
  readonly seconds: number
  /** Of all of the proxy's processes, in nanoseconds. */
  readonly cpu: number
  readonly publishes: number
  readonly connects: number
  readonly handshakes: number
  readonly resumed: number
  readonly conditions: Conditions
}

const CLOSE_TIMEOUT = 20_000
const POLL = 20

export class Stage<Load extends Methods> implements AsyncDisposable {
  readonly proxy: Proxy
  readonly load: Worker<Load>
  readonly #sink: Worker<typeof sink>
  readonly #stack: AsyncDisposableStack
  #pids: readonly number[] = []

  private constructor(
    proxy: Proxy,
    load: Worker<Load>,
    broker: Worker<typeof sink>,
    stack: AsyncDisposableStack,
  ) {
    this.proxy = proxy
    this.load = load
    this.#sink = broker
    this.#stack = stack
  }

  /** Starts all three; the proxy has already carried one session through when this returns. */
  static async set<Load extends Methods>(
    bench: Bench,
    peer: Peer,
    load: string,
    resumption = true,
  ): Promise<Stage<Load>> {
    await using stack = new AsyncDisposableStack()
    const broker = stack.use(new Worker<typeof sink>('sink', join(bench.folder, 'sink.log')))
    const loader = stack.use(new Worker<Load>(load, join(bench.folder, 'load.log')))
    const upstream = await broker.call('listen', { pair: bench.pki.broker, resumption })
    const proxy = stack.use(await Proxy.start(peer, upstream, bench))
    await proxy.ready()
    const stage = new Stage(proxy, loader, broker, stack.move())
    await stage.closed()
    stage.#pids = proxy.pids()
    return stage
  }

  get target(): Target {
    return { port: this.proxy.port }
  }

  /** @throws {Error} when the sink met something it could not read */
  async sample(pids: readonly number[] = this.#pids): Promise<SinkSample> {
    const sample = await this.#sink.call('sample', { pids })
    if (sample.fault !== undefined) throw new Error(`the sink: ${sample.fault}`)
    return sample
  }

  /** Runs `work` and returns what happened meanwhile. */
  async measure(work: () => Promise<void>): Promise<Window> {
    const before = await this.#reading()
    await work()
    const after = await this.#reading()
    const seconds = (after.sample.at - before.sample.at) / 1e9
    const cpu = cpuBetween(before.sample.cpu, after.sample.cpu)
    const share = (from: CoreTime, to: CoreTime) => (to.busy - from.busy) / 1e9 / seconds
    const proxyCore = cpu / 1e9 / seconds
    return {
      seconds,
      cpu,
      publishes: after.sample.publishes - before.sample.publishes,
      connects: after.sample.connects - before.sample.connects,
      handshakes: after.sample.handshakes - before.sample.handshakes,
      resumed: after.sample.resumed - before.sample.resumed,
      conditions: {
        loadCore: share(before.loadCore, after.loadCore),
        proxyCore,
        foreign: Math.max(0, share(before.proxyCore, after.proxyCore) - proxyCore),
      },
    }
  }

  /** Waits until the sink has no open connection. */
  async closed(): Promise<void> {
    await this.#until(
      ({ open }) => open === 0,
      ({ open }) => `${open} connections are still open at the sink`,
    )
  }

  /** Waits until the sink has counted this many PUBLISHes: no proxy may lose one. */
  async arrived(publishes: number): Promise<void> {
    await this.#until(
      (seen) => seen.publishes >= publishes,
      (seen) => `the sink has ${seen.publishes} of ${publishes} messages`,
    )
  }

  async #until(
    isDone: (seen: SinkSample) => boolean,
    complaint: (seen: SinkSample) => string,
  ): Promise<void> {
    const deadline = performance.now() + CLOSE_TIMEOUT
    for (;;) {
      const seen = await this.sample([])
      if (isDone(seen)) return
      if (performance.now() > deadline) throw new Error(`${complaint(seen)} after ${CLOSE_TIMEOUT / 1000} s`)
      await pause(POLL)
    }
  }

  async #reading() {
    const sample = await this.sample()
    return { sample, loadCore: readCoreTime(LOAD_CORE), proxyCore: readCoreTime(PROXY_CORE) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
