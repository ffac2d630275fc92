// One round of the canary: every address of every server of an upstream, a few at a time, first addresses first.

import { resolveAll, type Lookup } from '../net/resolve.ts'
import { failed, probe, type Failed, type MeetingPlan, type Outcome } from './meeting.ts'

/** A server as proxy.yaml names it. */
export interface Place {
  readonly host: string
  readonly port: number
}

export interface RoundOptions<Server extends Place> {
  readonly lookup: Lookup
  readonly signal: AbortSignal
  /** The addresses of a server that are about to be probed; `omitted` more are not. */
  readonly onAddresses: (server: Server, addresses: readonly string[], omitted: number) => void
  /** The name of a server could not be resolved. */
  readonly onUnresolved: (server: Server, outcome: Failed) => void
  readonly onOutcome: (server: Server, address: string, outcome: Outcome) => void
  /** Every address of a server has been probed; not called once `signal` is aborted. */
  readonly onDone: (server: Server) => void
}

/** Resolver and broker are asked by at most this many at a time. */
const atOnce = 4

/** Resolves when every server is done, or soon after `signal` is aborted; never rejects by itself. */
export async function round<Server extends Place>(
  plan: MeetingPlan,
  servers: readonly Server[],
  { lookup, signal, onAddresses, onUnresolved, onOutcome, onDone }: RoundOptions<Server>,
): Promise<void> {
  const turns = new Turns(atOnce)
  const addressesOf = async (server: Server): Promise<readonly string[]> => {
    try {
      const options = { lookup, timeout: plan.timeouts.dial, signal }
      const { addresses, omitted } = await resolveAll(server.host, options)
      onAddresses(server, addresses, omitted)
      return addresses
    } catch (error) {
      if (!signal.aborted) onUnresolved(server, failed(plan, error, 'resolve'))
      return []
    }
  }
  await Promise.all(
    servers.map(async (server) => {
      const addresses = await turns.take(-1, async () => await addressesOf(server))
      await Promise.all(
        addresses.map(async (address, position) => {
          const { host, port } = server
          const outcome = await turns.take(
            position,
            async () => await probe(plan, { host, port, address }, signal),
          )
          if (!signal.aborted) onOutcome(server, address, outcome)
        }),
      )
      if (addresses.length > 0 && !signal.aborted) onDone(server)
    }),
  )
}

/** Lets so many go on at once; who waits with the lowest number is next. */
class Turns {
  #free: number
  readonly #waiting: { readonly rank: number; readonly go: () => void }[] = []

  constructor(free: number) {
    this.#free = free
  }

  async take<Value>(rank: number, work: () => Promise<Value>): Promise<Value> {
    if (this.#free > 0) this.#free -= 1
    else {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push({ rank, go: resolve })
      await promise
    }
    try {
      return await work()
    } finally {
      this.#pass()
    }
  }

  #pass(): void {
    const [first] = this.#waiting.toSorted((a, b) => a.rank - b.rank)
    if (first === undefined) {
      this.#free += 1
      return
    }
    this.#waiting.splice(this.#waiting.indexOf(first), 1)
    first.go()
  }
}
