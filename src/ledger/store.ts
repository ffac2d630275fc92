// The proxy's end of the stored ledger: takes what changed, hands it to the writing thread in small batches.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf } from '../errors.ts'
import type { Journal } from '../identity/ledger.ts'
import type { NumberedOrder, Report, Request, WriterData } from './protocol.ts'

interface StoreEvents {
  /** Records of the file, in chunks, before `open` resolves. */
  readonly records: (texts: readonly string[]) => void
  readonly orders: (orders: readonly NumberedOrder[]) => void
  /** The file has this size now. */
  readonly written: (bytes: number) => void
  /** A batch was not written; it is tried again. */
  readonly failed: (error: string) => void
}

/** Records of one batch: handing them over keeps the proxy's own thread busy for well below a millisecond. */
const batchSize = 200
/** Time between two batches while there is something to write, and after one that failed; milliseconds. */
const pace = 50
const pause = 1000
/** Time the last batches have when the proxy ends; milliseconds. */
const longestEnd = 5000

export class Store implements Journal, AsyncDisposable {
  damage: { readonly error: string; readonly movedTo: string } | undefined
  readonly #events: StoreEvents
  readonly #worker: Worker
  #listeners = new Map<string, number>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  /** What changed since it was handed over last; undefined for a device that is gone. */
  readonly #changed = new Map<string, string | undefined>()
  /** Handed over and not confirmed yet. */
  #underWay: ReadonlyMap<string, string | undefined> | undefined
  #obeyed = 0
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  private constructor(data: WriterData, events: StoreEvents) {
    this.#events = events
    // The published package is compiled: the thread has the ending that this file has.
    const file = new URL(`./writer${extname(import.meta.filename)}`, import.meta.url)
    this.#worker = new Worker(file, { workerData: data, stdout: false, stderr: false })
    this.#worker.on('message', (report: Report) => this.#heard(report))
    this.#worker.on('error', (error) => this.#died(messageOf(error)))
    this.#worker.on('exit', () => this.#died('the thread that writes has ended'))
  }

  /** Opens the file and reads it; rejects where it can be neither opened nor begun. */
  static async open(path: string, events: StoreEvents): Promise<Store> {
    const store = new Store({ path }, events)
    await store.#ready.promise
    store.#worker.unref()
    return store
  }

  /** When a listener was first there, in milliseconds since 1970; `now` for one that is new. */
  since(listener: string, now: number): number {
    const known = this.#listeners.get(listener)
    if (known !== undefined) return known
    this.#listeners.set(listener, now)
    if (!this.#isOver) this.#send({ kind: 'begin', listener, since: now })
    return now
  }

  /** Changes that wait. */
  get waiting(): number {
    return this.#changed.size + (this.#underWay?.size ?? 0)
  }

  kept(key: string, record: string): void {
    this.#note(key, record)
  }

  gone(key: string): void {
    this.#note(key, undefined)
  }

  /** Orders up to this one were carried out. */
  obeyed(id: number): void {
    this.#obeyed = Math.max(this.#obeyed, id)
    this.#schedule(pace)
  }

  /** Writes what is still to be written, as far as the disk takes it, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    if (!this.#isOver) {
      this.#worker.ref()
      // Batches are handled in turn, and the last word is `close`.
      while (this.#changed.size > 0 || this.#obeyed > 0) this.#handOver()
      this.#send({ kind: 'close' })
    }
    // A disk that does not answer must not hold up the end of the proxy.
    const late = setTimeout(() => this.#closed.resolve(), longestEnd)
    await this.#closed.promise
    clearTimeout(late)
    await this.#worker.terminate()
  }

  #note(key: string, record: string | undefined): void {
    if (this.#isOver) return
    this.#changed.set(key, record)
    this.#schedule(pace)
  }

  #schedule(delay: number): void {
    if (this.#timer !== undefined || this.#underWay !== undefined || this.#isOver) return
    this.#timer = setTimeout(() => this.#handOver(), delay).unref()
  }

  #handOver(): void {
    this.#timer = undefined
    const batch = new Map<string, string | undefined>()
    const kept: string[] = []
    const gone: string[] = []
    for (const [key, record] of this.#changed) {
      if (batch.size >= batchSize) break
      this.#changed.delete(key)
      batch.set(key, record)
      if (record === undefined) gone.push(key)
      else kept.push(key, record)
    }
    const obeyed = this.#obeyed
    this.#obeyed = 0
    this.#underWay = batch
    this.#send({ kind: 'write', kept, gone, obeyed })
  }

  #heard(report: Report): void {
    switch (report.kind) {
      case 'records':
        return this.#events.records(report.records)
      case 'ready':
        this.#listeners = new Map(Object.entries(report.listeners))
        this.damage = report.damage
        return this.#ready.resolve()
      case 'orders':
        return this.#events.orders(report.orders)
      case 'written':
        this.#underWay = undefined
        this.#events.written(report.bytes)
        if (this.#changed.size > 0 || this.#obeyed > 0) this.#schedule(pace)
        return
      case 'failed':
        return this.#failed(report.error)
      case 'closed':
        return this.#died('closed')
    }
  }

  #failed(error: string): void {
    this.#ready.reject(new Error(error))
    // What changed since is newer than what could not be written.
    for (const [key, record] of this.#underWay ?? []) {
      if (!this.#changed.has(key)) this.#changed.set(key, record)
    }
    this.#underWay = undefined
    this.#events.failed(error)
    this.#schedule(pause)
  }

  #died(why: string): void {
    if (!this.#isOver && why !== 'closed') this.#events.failed(why)
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#changed.clear()
    this.#ready.reject(new Error(why))
    this.#closed.resolve()
  }

  #send(request: Request): void {
    this.#worker.postMessage(request)
  }
}
