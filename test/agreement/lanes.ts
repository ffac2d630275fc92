// Lanes through one Pulseward: each a listener with a broker of its own, so that what happens on it has one cause.

import type { Preset } from '../../src/mqtt/rulebook.ts'
import { TestBroker, type Visit } from '../help/broker.ts'
import type { Pki } from '../help/pki.ts'
import { Proxy } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

export interface Lane {
  readonly port: number
  /** Serves the next session; probes, which say nothing, are not shown. */
  serve: (visit: Visit) => void
  /** Waits until no connection is open, and returns why Pulseward refused one since it was last asked. */
  settle: () => Promise<string | undefined>
}

export interface Lanes extends AsyncDisposable {
  readonly lanes: readonly Lane[]
}

export async function openLanes(count: number, preset: Preset, pki: Pki): Promise<Lanes> {
  const stack = new AsyncDisposableStack()
  try {
    const { chain: cert, key } = await pki.issue()
    const servers: { readonly name: string; readonly broker: TestBroker; readonly desk: Desk }[] = []
    for (let i = 0; i < count; i++) {
      const desk: Desk = { serve: () => {} }
      const options = { cert, key, halfOpen: true, serve: (visit: Visit) => receive(visit, desk) }
      const broker = stack.use(await TestBroker.start(options))
      servers.push({ name: `lane-${i}`, broker, desk })
    }
    const ports = servers.map(({ name, broker }) => ({ name, port: broker.port }))
    const config = configuration(ports, preset)
    const proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } }))
    await proxy.waitForReady(200)
    const lanes = servers.map(({ name, desk }) => laneOf(proxy, name, desk))
    return { lanes, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

type Desk = Pick<Lane, 'serve'>

/** A probe never sends a byte; a session sends CONNECT at once. */
function receive(visit: Visit, desk: Desk): void {
  const goodbye = (): void => void visit.socket.end()
  visit.socket.once('end', goodbye)
  visit.socket.once('data', () => {
    visit.socket.off('end', goodbye)
    desk.serve(visit)
  })
}

function configuration(servers: readonly { name: string; port: number }[], preset: Preset): object {
  return {
    listeners: servers.map(({ name }) => ({
      name,
      bind: '127.0.0.1:0',
      accept: ['mqtt'],
      upstream: name,
      // Ends within the runner's patience what may still become CONNECT, or the greeting of another protocol.
      limits: { connectTimeout: '3s' },
    })),
    upstreams: Object.fromEntries(
      servers.map(({ name, port }) => [
        name,
        { servers: [`mqtts://127.0.0.1:${port}`], tls: { ca: 'ca.pem' } },
      ]),
    ),
    metrics: { bind: '127.0.0.1:0' },
    reload: { watch: false },
    drain: { timeout: '3s' },
    // All sequences come from the same few client identifiers.
    inspection: { preset, limits: { clientIdChurn: 1_000_000 } },
  }
}

function laneOf(proxy: Proxy, listener: string, desk: Desk): Lane {
  let before = new Map<string, number>()
  return Object.assign(desk, {
    port: proxy.portOf(listener),
    async settle() {
      const exposition = await eventually(`the end of the session on ${listener}`, async () => {
        const now = await proxy.metrics()
        return now.value('pulseward_connections', { listener }) === 0 ? now : undefined
      })
      const now = new Map(
        exposition
          .series('pulseward_rejections_total', { listener })
          .map(({ labels, value }) => [labels['reason'] ?? '', value]),
      )
      const reason = [...now.keys()].find((one) => (now.get(one) ?? 0) > (before.get(one) ?? 0))
      before = now
      return reason
    },
  })
}
