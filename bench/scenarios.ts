// The five pieces of work, each done by one proxy from a fresh start.
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from './child.ts'
import type { flood } from './load-flood.ts'
import type { idle } from './load-idle.ts'
import type { paced } from './load-paced.ts'
import type { pingPong } from './load-pingpong.ts'
import type { storm } from './load-storm.ts'
import type { ScenarioName } from './options.ts'
import type { Peer } from './peers.ts'
import { PAYLOAD, type Plan } from './plan.ts'
import { readMemory } from './proc.ts'
import type { Bench } from './proxy.ts'
import type { sink } from './sink.ts'
import { Stage, type Window } from './stage.ts'
import { quantile } from './statistics.ts'

/** What one scenario measured, by the names the report knows. */
export type Figures = Readonly<Record<string, number>>

/** Lets a fresh proxy finish what it does after its start before its memory is read, in milliseconds. */
const SETTLE = 1_000

export const SCENARIO_RUNS: Readonly<
  Record<ScenarioName, (peer: Peer, plan: Plan, bench: Bench) => Promise<Figures>>
> = {
  a: runPaced,
  b: runFlood,
  c: runStorms,
  d: runIdle,
  e: runPingPong,
}

async function runPaced(peer: Peer, { paced: plan }: Plan, bench: Bench): Promise<Figures> {
  await using stage = await Stage.set<typeof paced>(bench, peer, 'load-paced')
  await stage.load.call('start', {
    target: stage.target,
    connections: plan.connections,
    rate: plan.rate,
    payload: PAYLOAD,
  })
  await pause(plan.warmUp)
  const window = await stage.measure(() => pause(plan.window))
  assertAlive(window)
  const { sent, bunched } = await stage.load.call('stop')
  await stage.arrived(sent)
  return {
    cpuPerMessage: window.cpu / 1000 / window.publishes,
    messagesPerSecond: window.publishes / window.seconds,
    bunchedShare: bunched / sent,
    ...window.conditions,
  }
}

async function runFlood(peer: Peer, { flood: plan }: Plan, bench: Bench): Promise<Figures> {
  await using stage = await Stage.set<typeof flood>(bench, peer, 'load-flood')
  await stage.load.call('start', { target: stage.target, connections: plan.connections, payload: PAYLOAD })
  await pause(plan.warmUp)
  const window = await stage.measure(() => pause(plan.window))
  assertAlive(window)
  return {
    cpuPerFloodMessage: window.cpu / 1000 / window.publishes,
    floodPerSecond: window.publishes / window.seconds,
    ...window.conditions,
  }
}

function assertAlive({ publishes, seconds }: Window): void {
  if (publishes === 0) throw new Error(`not one message reached the sink in ${seconds.toFixed(1)} s`)
}

async function runStorms(peer: Peer, plan: Plan, bench: Bench): Promise<Figures> {
  const full = await runStorm(peer, plan, bench, false)
  if (full.resumedShare > 0) throw new Error('a handshake was resumed although the sink honours no ticket')
  const resumed = await runStorm(peer, plan, bench, true)
  return {
    cpuPerFullConnection: full.cpu,
    cpuPerResumedConnection: resumed.cpu,
    resumedShare: resumed.resumedShare * 100,
    ...resumed.conditions,
  }
}

async function runStorm(peer: Peer, { storm: plan }: Plan, bench: Bench, resumption: boolean) {
  await using stage = await Stage.set<typeof storm>(bench, peer, 'load-storm', resumption)
  const { target } = stage
  await stage.load.call('run', { target, connections: plan.warmUp, concurrency: plan.concurrency })
  await stage.closed()
  const window = await stage.measure(async () => {
    await stage.load.call('run', { target, connections: plan.connections, concurrency: plan.concurrency })
    await stage.closed()
  })
  if (window.connects !== plan.connections)
    throw new Error(`the sink saw ${window.connects} of ${plan.connections} CONNECTs`)
  return {
    cpu: window.cpu / 1_000_000 / plan.connections,
    resumedShare: window.resumed / window.handshakes,
    conditions: window.conditions,
  }
}

async function runIdle(peer: Peer, { idle: plan }: Plan, bench: Bench): Promise<Figures> {
  await using stage = await Stage.set<typeof idle>(bench, peer, 'load-idle')
  await pause(SETTLE)
  const pids = stage.proxy.pids()
  const before = readMemory(pids)
  await stage.load.call('open', { target: stage.target, connections: plan.connections })
  await pause(plan.settle)
  const after = readMemory(pids)
  const { open } = await stage.sample()
  if (open < plan.connections)
    throw new Error(`only ${open} of ${plan.connections} idle connections are still open`)
  return {
    rssPerConnection: (after.rss - before.rss) / 1024 / plan.connections,
    pssPerConnection: (after.pss - before.pss) / 1024 / plan.connections,
    rssAtStart: before.rss / 1024 / 1024,
  }
}

async function runPingPong(peer: Peer, plan: Plan, bench: Bench): Promise<Figures> {
  await using stage = await Stage.set<typeof pingPong>(bench, peer, 'load-pingpong')
  return latencies(await stage.load.call('run', { target: stage.target, payload: PAYLOAD, ...plan.pingPong }))
}

/** The same round trips over TLS straight to the sink: what the proxies' latencies are compared with. */
export async function runDirect({ pingPong: plan }: Plan, bench: Bench): Promise<Figures> {
  await using broker = new Worker<typeof sink>('sink', join(bench.folder, 'sink.log'))
  await using load = new Worker<typeof pingPong>('load-pingpong', join(bench.folder, 'load.log'))
  const port = await broker.call('listen', { pair: bench.pki.broker, resumption: true })
  return latencies(await load.call('run', { target: { port, ca: bench.pki.ca }, payload: PAYLOAD, ...plan }))
}

function latencies(trips: readonly number[]): Figures {
  if (trips.length === 0) throw new Error('no round trip was completed')
  return { p50: quantile(trips, 0.5), p99: quantile(trips, 0.99), trips: trips.length }
}
