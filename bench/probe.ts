// Before anything is timed: what each proxy negotiates, and proof that it verifies the broker.
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from './child.ts'
import { openSession } from './device.ts'
import type { Peer } from './peers.ts'
import type { KeyPair } from './pki.ts'
import { LOOPBACK } from './ports.ts'
import { type Bench, Proxy } from './proxy.ts'
import { type Negotiated, readServerHello } from './server-hello.ts'
import type { sink } from './sink.ts'

/** The ServerHello of any server here fits; what comes after is of no interest. */
const MAX_HELLO = 16 * 1024
const REFUSAL_TIMEOUT = 20_000
/** Time for a byte that should not have been sent to arrive. */
const GRACE = 200
const LISTENING_POLL = 25

/**
 * Starts the proxy once for each of three brokers: the right one, one with another name, one of another authority.
 * @throws {Error} when it does not reach the first with TLS 1.3, or talks MQTT to one of the others
 */
export async function probe(peer: Peer, bench: Bench): Promise<Negotiated> {
  const negotiated = await probeHandshake(peer, bench)
  if (negotiated.version !== 'TLSv1.3')
    throw new Error(`${peer.title} negotiated ${negotiated.version}, not TLSv1.3`)
  await probeRefusal(peer, bench, bench.pki.wrongName, 'another name')
  await probeRefusal(peer, bench, bench.pki.wrongAuthority, 'an unknown authority')
  return negotiated
}

async function probeHandshake(peer: Peer, bench: Bench): Promise<Negotiated> {
  await using broker = new Worker<typeof sink>('sink', join(bench.folder, 'sink.log'))
  const upstream = await broker.call('listen', { pair: bench.pki.broker, resumption: false })
  await using tap = await Tap.open(upstream)
  await using proxy = await Proxy.start(peer, tap.port, bench)
  await proxy.ready()
  return tap.negotiated()
}

async function probeRefusal(peer: Peer, bench: Bench, pair: KeyPair, what: string): Promise<void> {
  await using impostor = new Worker<typeof sink>('sink', join(bench.folder, 'sink.log'))
  const upstream = await impostor.call('listen', { pair, resumption: false })
  await using proxy = await Proxy.start(peer, upstream, bench)
  const accepted = await isSessionAccepted(proxy)
  await pause(GRACE)
  const { connects } = await impostor.call('sample', { pids: [] })
  if (accepted || connects > 0)
    throw new Error(`${peer.title} trusted a broker whose certificate is of ${what}`)
}

/** Tries one session; a proxy that does not listen yet is waited for. */
async function isSessionAccepted(proxy: Proxy): Promise<boolean> {
  const deadline = performance.now() + REFUSAL_TIMEOUT
  for (;;) {
    try {
      const socket = await openSession({ port: proxy.port }, 'bench-refusal', REFUSAL_TIMEOUT)
      socket.destroy()
      return true
    } catch (error) {
      const notYet = error instanceof Error && error.message.includes('ECONNREFUSED')
      if (!notYet) return false
      if (proxy.hasEnded || performance.now() > deadline) throw error
      await pause(LISTENING_POLL)
    }
  }
}

/** Sits between proxy and broker, and reads the first thing each broker connection sends. */
class Tap implements AsyncDisposable {
  readonly #server = createServer((proxy) => this.#join(proxy))
  readonly #upstream: number
  #seen: Negotiated | undefined
  #fault: unknown

  private constructor(upstream: number) {
    this.#upstream = upstream
  }

  static async open(upstream: number): Promise<Tap> {
    const tap = new Tap(upstream)
    tap.#server.listen(0, LOOPBACK)
    await once(tap.#server, 'listening')
    return tap
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  negotiated(): Negotiated {
    if (this.#seen === undefined) throw new Error('no ServerHello was seen', { cause: this.#fault })
    return this.#seen
  }

  #join(proxy: Socket): void {
    const broker = connect(this.#upstream, LOOPBACK)
    let start = Buffer.alloc(0)
    broker.on('data', (bytes: Buffer) => {
      if (this.#seen !== undefined || start.length > MAX_HELLO) return
      start = Buffer.concat([start, bytes])
      try {
        this.#seen = readServerHello(start)
      } catch (error) {
        this.#fault = error
      }
    })
    proxy.on('error', () => broker.destroy())
    broker.on('error', () => proxy.destroy())
    proxy.pipe(broker).pipe(proxy)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
  }
}
