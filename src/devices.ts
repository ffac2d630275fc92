// Who the devices are, put together: the ledger and its file, the neighbour table, and the desk sessions register with.

import type { Snapshot } from './config/snapshot.ts'
import { messageOf } from './errors.ts'
import { Desk } from './identity/desk.ts'
import { DeviceTable, type Journal } from './identity/ledger.ts'
import { Neighbours, type NeighbourEntry, type NeighbourEvent } from './identity/neighbours.ts'
import { ledgerFile } from './ledger/database.ts'
import { NeighbourFeed, type FeedState } from './ledger/feed.ts'
import type { NumberedOrder } from './ledger/protocol.ts'
import { openLoginHash, type LoginHash } from './ledger/secret.ts'
import { Store } from './ledger/store.ts'
import type { Abilities } from './net/abilities.ts'
import type { Metrics } from './observe/metrics.ts'
import { readersOf } from './proxy/readers.ts'
import { Registrar, type SocketReaders } from './proxy/registrar.ts'
import type { Hub } from './proxy/hub.ts'

interface DevicesDeps {
  readonly metrics: Metrics
  readonly limited: Hub['limited']
  readonly abilities: Abilities
}

/** How often those are looked for that were not seen for too long, and how many go at once. */
const expiry = { every: 10_000, most: 500 }

/** Changes of the network that are worth a warning by themselves; the others are a device's own story. */
const graveChanges: ReadonlySet<string> = new Set(['many-addresses', 'duplicate-address'])

export class Devices implements AsyncDisposable {
  readonly #deps: DevicesDeps
  readonly #neighbours = new Neighbours()
  #ward: { readonly state: string; readonly opened: Promise<Ward> } | undefined
  #current: Ward | undefined
  #feed: NeighbourFeed | undefined
  #isWatching = false
  readonly #timer: NodeJS.Timeout

  constructor(deps: DevicesDeps) {
    this.#deps = deps
    this.#timer = setInterval(() => this.#expire(), expiry.every).unref()
    deps.metrics.devices = () => this.#gauges()
  }

  /** Makes ready what a configuration asks for, before it comes into force. Never rejects: devices are served in any case. */
  async prepare({ config, listeners }: Snapshot): Promise<Registrar | undefined> {
    const { state, identity } = config
    if (listeners.every((one) => one.identity.mode === 'off')) {
      this.#watch(false)
      return undefined
    }
    if (this.#ward?.state !== state) {
      const before = this.#ward
      this.#ward = { state, opened: this.#open(state) }
      await (await before?.opened)?.[Symbol.asyncDispose]()
    }
    const ward = await this.#ward.opened
    ward.table.bounds = { devices: identity.maxDevices, age: identity.keep }
    this.#current = ward
    this.#watch(identity.neighbours)
    return ward.registrar
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#watch(false)
    await (await this.#ward?.opened)?.[Symbol.asyncDispose]()
  }

  async #open(state: string): Promise<Ward> {
    const { limited, metrics, abilities } = this.#deps
    const ward = new Ward(this.#neighbours, (reason, error) => {
      metrics.ledgerFailed(reason)
      const fields = { reason, error, where: ledgerFile(state) }
      limited('error', `ledger ${reason}`, fields, 'the ledger of devices is not on disk; sessions go on')
    })
    await ward.open(state, readersOf(abilities.native('syn')))
    const { damage, warning } = ward
    if (damage !== undefined) {
      metrics.ledgerFailed('damaged')
      limited(
        'error',
        'ledger damaged',
        damage,
        'the ledger of devices was damaged, moved aside and begun anew',
      )
    }
    if (warning !== undefined) limited('error', 'ledger key', { warning }, 'ledger of devices')
    return ward
  }

  #watch(isWanted: boolean): void {
    if (!isWanted) {
      this.#feed?.[Symbol.dispose]()
      this.#feed = undefined
      this.#isWatching = false
      return
    }
    this.#feed ??= new NeighbourFeed({
      entry: (entry) => this.#note(entry),
      state: (state, why) => this.#feedIs(state, why),
    })
  }

  #note(entry: NeighbourEntry): void {
    for (const event of this.#current?.desk.note(entry) ?? []) this.#tell(event)
  }

  #tell({ change, address, mac, before }: NeighbourEvent): void {
    const { metrics, limited } = this.#deps
    metrics.neighbourChanged(change)
    // Everybody is new when the proxy starts; the count says so.
    if (change === 'new-station') return
    const level = graveChanges.has(change) ? 'warn' : 'info'
    limited(level, `neighbour ${change}`, { change, address, mac, before }, 'neighbour changed')
  }

  #feedIs(state: FeedState, why: string): void {
    this.#isWatching = state === 'on'
    const { limited } = this.#deps
    if (state === 'on') return
    const hint = state === 'off' ? 'install iproute2, or set identity.neighbours to false' : undefined
    limited('warn', 'neighbour watch', { why, hint }, 'the neighbour table is not being watched')
  }

  #expire(): void {
    this.#current?.table.expire(Date.now(), expiry.most)
  }

  #gauges() {
    const ward = this.#current
    return {
      devices: ward?.table.census(Date.now()) ?? { approved: 0, known: 0, new: 0, suspected: 0 },
      limit: ward?.table.bounds.devices ?? 0,
      bytes: ward?.bytes ?? 0,
      waiting: ward?.waiting ?? 0,
      isWatching: this.#isWatching,
      neighbours: this.#neighbours.size,
    }
  }
}

type Reason = 'open' | 'write'

/** The devices of one state directory. */
class Ward implements AsyncDisposable {
  readonly table: DeviceTable
  readonly desk: Desk
  registrar: Registrar | undefined
  bytes = 0
  damage: Store['damage']
  warning: string | undefined
  readonly #failed: (reason: Reason, error: string) => void
  #store: Store | undefined

  constructor(neighbours: Neighbours, failed: (reason: Reason, error: string) => void) {
    this.#failed = failed
    const journal: Journal = {
      kept: (key, record) => this.#store?.kept(key, record),
      gone: (key) => this.#store?.gone(key),
    }
    // What the file holds is taken in whole; the bounds in force come right after.
    this.table = new DeviceTable({ devices: 1_000_000, age: Infinity }, journal)
    this.desk = new Desk({ ledger: this.table, neighbours, clock: Date.now })
  }

  get waiting(): number {
    return this.#store?.waiting ?? 0
  }

  /** Reads what is on disk. Where nothing can be kept there, the ledger lives in memory for as long as the proxy runs. */
  async open(state: string, readers: SocketReaders): Promise<void> {
    const begun = new Map<string, number>()
    let login: LoginHash | undefined
    try {
      login = await openLoginHash(state, Date.now())
      this.warning = login.warning
      this.#store = await Store.open(ledgerFile(state), {
        records: (texts) => this.#restore(texts),
        orders: (orders) => this.#obey(orders),
        written: (bytes) => (this.bytes = bytes),
        failed: (error) => this.#failed('write', error),
      })
      this.damage = this.#store.damage
    } catch (error) {
      this.#failed('open', messageOf(error))
    }
    const since = (listener: string): number => {
      const now = Date.now()
      if (this.#store !== undefined) return this.#store.since(listener, now)
      begun.set(listener, begun.get(listener) ?? now)
      return begun.get(listener) ?? now
    }
    const hashLogin = login?.of ?? (() => undefined)
    this.registrar = new Registrar({ desk: this.desk, readers, hashLogin, since, clock: Date.now })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]()
  }

  #restore(texts: readonly string[]): void {
    for (const text of texts) this.table.restore(text)
  }

  #obey(orders: readonly NumberedOrder[]): void {
    for (const order of orders) this.table.obey(order)
    this.#store?.obeyed(orders.at(-1)?.id ?? 0)
  }
}
