// The metrics: the table's registry over the proxy's plain counters; the only door to prom-client.

import { performance } from 'node:perf_hooks'
import { Gauge, Registry } from 'prom-client'
import type { MetricType } from 'prom-client'
import type { Sample } from './counters.ts'
import { LoopLag, readUsage, runtime } from './process.ts'
import type { ProcessUsage } from './process.ts'
import { metricTable } from './table.ts'
import type { Metric, MetricName } from './table.ts'
import { Tally } from './tally.ts'

interface MetricsOptions {
  /** The version of Pulseward, as in package.json. */
  readonly version: string
  /** Milliseconds, monotonic. */
  readonly clock?: () => number
}

/** Begins with every count at zero; dispose it to stop the event-loop monitor. */
export function createMetrics(options: MetricsOptions): Metrics {
  return new Metrics(options)
}

/**
 * What the proxy counts and how it is exposed. Counting is `++` on a field or one map look-up; prom-client, whose `inc`
 * costs twenty times as much, sees the values only during a scrape.
 */
export class Metrics extends Tally implements Disposable {
  /** Of what {@link expose} returns: Prometheus' text format 0.0.4. */
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #registry = new Registry()
  readonly #version: string
  readonly #lag: LoopLag
  #scrape: Promise<string> | undefined
  #current: ReadonlyMap<string, Iterable<Sample>> = new Map()

  constructor({ version, clock = () => performance.now() }: MetricsOptions) {
    super()
    this.#version = version
    this.#lag = new LoopLag(clock)
    for (const [name, metric] of Object.entries(metricTable)) {
      void new Row(this.#registry, name, metric, () => this.#current.get(name) ?? [])
    }
  }

  /** The exposition text; scrapes that overlap share one, so that hasty clients cost no more than one. */
  expose(): Promise<string> {
    this.#scrape ??= this.#render().finally(() => {
      this.#scrape = undefined
    })
    return this.#scrape
  }

  [Symbol.dispose](): void {
    this.#lag[Symbol.dispose]()
  }

  async #render(): Promise<string> {
    const samples: Record<MetricName, Iterable<Sample>> = {
      pulseward_build_info: [{ labels: { version: this.#version, ...runtime }, value: 1 }],
      ...this.#lagSamples(),
      ...usageSamples(await readUsage()),
      ...this.samples(),
    }
    this.#current = new Map(Object.entries(samples))
    return this.#registry.metrics()
  }

  #lagSamples() {
    const lag = Object.entries(this.#lag.read())
    return { pulseward_event_loop_lag_seconds: lag.map(([stat, value]) => ({ labels: { stat }, value })) }
  }
}

function usageSamples(usage: ProcessUsage) {
  const single = (value: number | undefined) => (value === undefined ? [] : [{ labels: {}, value }])
  return {
    process_cpu_seconds_total: single(usage.cpuSeconds),
    process_start_time_seconds: single(performance.timeOrigin / 1000),
    process_resident_memory_bytes: single(usage.residentBytes),
    process_open_fds: single(usage.openFiles),
    process_max_fds: single(usage.maxFiles),
    nodejs_heap_size_used_bytes: single(usage.heapUsedBytes),
    nodejs_heap_size_total_bytes: single(usage.heapTotalBytes),
    nodejs_external_memory_bytes: single(usage.externalBytes),
  }
}

/**
 * One row of the table as prom-client sees it: a metric that holds nothing and hands over, when the registry asks, the
 * samples counted elsewhere. Gauge is only the class with the least of its own; the type exposed is the table's.
 */
class Row extends Gauge {
  readonly #exposed: { readonly name: string; readonly help: string; readonly type: MetricType }
  readonly #samples: () => Iterable<Sample>

  constructor(registry: Registry, name: string, metric: Metric, samples: () => Iterable<Sample>) {
    super({ name, help: metric.help, labelNames: Object.keys(metric.labels), registers: [registry] })
    // At run time the type is this very word; the declarations call it a numeric enum.
    const type = metric.type as unknown as MetricType
    this.#exposed = { name, help: metric.help, type }
    this.#samples = samples
  }

  override get(): ReturnType<Gauge['get']> {
    const values = Array.from(this.#samples(), ({ name, labels, value }) => ({
      metricName: name,
      labels,
      value,
    }))
    return Promise.resolve({ ...this.#exposed, values, aggregator: 'sum', collect: () => undefined })
  }
}
