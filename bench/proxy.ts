// One proxy under test: started on its core, ready when a device gets its CONNACK through it.
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Child, PROXY_CORE } from './child.ts'
import { openSession } from './device.ts'
import type { Peer } from './peers.ts'
import type { Pki } from './pki.ts'
import { freePort } from './ports.ts'
import { processTree } from './proc.ts'

/** Where one run keeps its files, and what it mints. */
export interface Bench {
  /** Private, removed at the end. */
  readonly folder: string
  readonly pki: Pki
}

const START_TIMEOUT = 20_000
const TRY_AGAIN = 50

export class Proxy implements AsyncDisposable {
  readonly port: number
  readonly #child: Child

  private constructor(child: Child, port: number) {
    this.#child = child
    this.port = port
  }

  /** Starts `peer` in front of the given port of the loopback address; it need not be ready yet. */
  static async start(peer: Peer, upstream: number, { folder, pki }: Bench): Promise<Proxy> {
    const listen = await freePort()
    const own = mkdtempSync(join(folder, `${peer.name}-`))
    const argv = peer.command({ listen, upstream, pki, folder: own })
    return new Proxy(new Child({ argv, core: PROXY_CORE, log: join(own, 'output.log') }), listen)
  }

  /**
   * Waits until a session gets through to the sink, then closes that session.
   * @throws {Error} with what the proxy wrote last, when it ends or none gets through within 20 s
   */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT
    for (;;) {
      try {
        const socket = await openSession({ port: this.port }, 'bench-ready', START_TIMEOUT)
        socket.destroy()
        return
      } catch (error) {
        if (this.#child.hasEnded) throw this.#failure('ended at once', error)
        if (performance.now() > deadline) throw this.#failure('was not ready in time', error)
        await pause(TRY_AGAIN)
      }
    }
  }

  /** Every process of the proxy, for accounting. */
  pids(): number[] {
    return processTree(this.#child.pid)
  }

  get hasEnded(): boolean {
    return this.#child.hasEnded
  }

  #failure(what: string, cause: unknown): Error {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new Error(`the proxy ${what} (${why}); it wrote: ${this.#child.lastWords() || 'nothing'}`, {
      cause,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
  }
}
