// Takes what was seen of brokers that were not trusted, off the path of sessions, and has it written one after another.
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import type { Sighting } from '../tls/sighting.ts'
import type { Told } from './chain.ts'
import { keyOf } from './incident.ts'
import type { ConfigInForce, Software } from './incident.ts'
import { EvidenceFull, reasonOf, Store } from './store.ts'
import type { Limits } from './store.ts'

/** Why evidence was lost; bounded, fit for a metric label. */
export type Failure = 'queue-full' | 'too-many' | 'full' | 'write'

export interface EvidenceSettings extends Limits {
  /** The state directory; the store is `evidence/` in it. */
  readonly state: string
  /** An incident lasts until it was not seen for so many milliseconds. */
  readonly repeat: number
}

interface EvidenceDeps {
  readonly software: Software
  readonly metrics: {
    evidenceRecorded(verdict: string): void
    evidenceFailed(reason: Failure): void
    evidenceHeld(bytes: number): void
  }
  /** For lines that a stranger can provoke: limited by kind. */
  readonly log: (level: 'warn' | 'error', kind: string, fields: Fields, message: string) => void
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

type Fields = Readonly<Record<string, unknown>>

/** An incident that lasts. */
interface Ongoing {
  readonly server: string
  /** Undefined until it is written. */
  id: string | undefined
  count: number
  /** Of how many sightings the chain knows. */
  written: number
  sessionsHeldBack: number
  applicationBytesSent: number
  lastSeen: number
  /** A line with its totals waits to be written. */
  queued: boolean
}

/** Jobs that wait for the disk; each holds a certificate chain. */
const longestQueue = 256
/** Who shows a new certificate each time could fill the disk: beyond so many at once, a server's are only counted. */
const mostOfOneServer = 100
/** After a failed write the disk is left alone for so many milliseconds. */
const pause = 5000
const sweepTime = 60_000

export class Evidence implements AsyncDisposable {
  readonly #deps: EvidenceDeps
  readonly #clock: () => number
  readonly #ongoing = new Map<string, Ongoing>()
  readonly #sweep: NodeJS.Timeout
  #settings: EvidenceSettings | undefined
  #store: Store | undefined
  #work: Promise<void> = Promise.resolve()
  #waiting = 0
  #failedAt = -Infinity

  constructor(deps: EvidenceDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? Date.now
    this.#sweep = setInterval(() => this.#forget(), sweepTime).unref()
  }

  /** New settings came into force. Another state directory has another store. */
  adopt(settings: EvidenceSettings): void {
    const before = this.#settings
    this.#settings = settings
    const moved = before?.state !== settings.state
    if (moved) {
      this.#flushAll()
      this.#ongoing.clear()
    }
    this.#later(async () => {
      if (moved) {
        this.#store = undefined
        // What was seen since belongs to the new store and has no id yet.
        for (const [key, { id }] of this.#ongoing) if (id !== undefined) this.#ongoing.delete(key)
        this.#failedAt = -Infinity
      }
      await this.#rotate(await this.#opened(settings), settings)
    })
  }

  /** Never throws and never waits: a session must not fail for want of evidence. */
  record(sighting: Sighting, config: ConfigInForce): void {
    try {
      this.#take(sighting, config)
    } catch (error) {
      this.#lost('write', error)
    }
  }

  /** Writes what is still to be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep)
    this.#flushAll()
    await this.#work
  }

  #take(sighting: Sighting, config: ConfigInForce): void {
    const key = keyOf(sighting)
    const now = this.#clock()
    const known = this.#ongoing.get(key)
    if (known !== undefined && this.#lasts(known, now)) return this.#again(known, sighting, now)
    if (known !== undefined) this.#end(key, known)
    const server = `${sighting.upstream} ${sighting.server}`
    let others = 0
    for (const one of this.#ongoing.values()) if (one.server === server) others += 1
    if (others >= mostOfOneServer) {
      return this.#lost('too-many', `${server} shows a new certificate each time`)
    }
    const { sessionsHeldBack, applicationBytesSent } = sighting
    const totals = {
      count: 1,
      written: 1,
      sessionsHeldBack,
      applicationBytesSent,
      lastSeen: now,
      queued: false,
    }
    const fresh: Ongoing = { server, id: undefined, ...totals }
    this.#ongoing.set(key, fresh)
    if (!this.#later(() => this.#add(key, fresh, sighting, config))) this.#ongoing.delete(key)
  }

  #again(known: Ongoing, sighting: Sighting, now: number): void {
    known.count += 1
    known.sessionsHeldBack += sighting.sessionsHeldBack
    known.applicationBytesSent += sighting.applicationBytesSent
    known.lastSeen = now
    // Twice as many as were written: however long it lasts, the chain grows by a few lines.
    if (known.count >= known.written * 2) this.#flush(known)
  }

  async #add(key: string, fresh: Ongoing, sighting: Sighting, config: ConfigInForce): Promise<void> {
    const settings = this.#settings
    if (settings === undefined) return
    try {
      const store = await this.#opened(settings)
      // Seen before a restart, or before the store was opened anew: it goes on.
      const before = this.#ongoing.get(key)
      if (before?.id !== undefined && before !== fresh) {
        before.count += fresh.count
        before.sessionsHeldBack += fresh.sessionsHeldBack
        before.applicationBytesSent += fresh.applicationBytesSent
        before.lastSeen = fresh.lastSeen
        return await this.#write(before)
      }
      fresh.id = await store.add(sighting, config, settings)
      this.#deps.metrics.evidenceRecorded(sighting.verdict)
      const { upstream, server, verdict } = sighting
      const fields = { incident: fresh.id, upstream, server, verdict, head: store.head }
      this.#deps.log('warn', `evidence ${server}`, fields, 'evidence recorded')
      await this.#rotate(store, settings)
    } catch (error) {
      if (this.#ongoing.get(key) === fresh) this.#ongoing.delete(key)
      throw error
    } finally {
      this.#deps.metrics.evidenceHeld(this.#store?.bytes ?? 0)
    }
  }

  async #rotate(store: Store, settings: EvidenceSettings): Promise<void> {
    const gone = new Set(await store.rotate(settings, this.#clock()))
    if (gone.size === 0) return
    for (const [key, { id }] of this.#ongoing) if (id !== undefined && gone.has(id)) this.#ongoing.delete(key)
  }

  async #write(known: Ongoing): Promise<void> {
    known.queued = false
    const { id, count, sessionsHeldBack, applicationBytesSent, lastSeen } = known
    if (id === undefined || this.#settings === undefined || count <= known.written) return
    const store = await this.#opened(this.#settings)
    // It may have been rotated, or the store been moved away, while this waited.
    if (!store.has(id)) return
    await store.repeat({ id, count, sessionsHeldBack, applicationBytesSent, at: lastSeen })
    known.written = count
    this.#deps.metrics.evidenceHeld(store.bytes)
  }

  /** The store, opened where it is not; after a failure not before a while. */
  async #opened(settings: EvidenceSettings): Promise<Store> {
    if (this.#clock() - this.#failedAt < pause) throw new Error('a write failed a moment ago')
    if (this.#store !== undefined && (await this.#store.isCurrent())) return this.#store
    const directory = join(settings.state, 'evidence')
    const { store, reports, incidents } = await Store.open(directory, this.#deps.software, this.#clock())
    for (const { message, where, movedTo } of reports) {
      this.#deps.log('error', `evidence ${message}`, { where, movedTo }, message)
    }
    this.#store = store
    // What is known of incidents that last comes from the chain, so that a restart begins none anew.
    for (const [key, { id }] of this.#ongoing)
      if (id !== undefined && !store.has(id)) this.#ongoing.delete(key)
    for (const told of incidents) this.#remember(told)
    this.#deps.metrics.evidenceHeld(store.bytes)
    return store
  }

  #remember({ key, id, count, lastSeen, sessionsHeldBack, applicationBytesSent }: Told): void {
    if (this.#ongoing.get(key)?.id !== undefined) return
    const totals = { count, written: count, sessionsHeldBack, applicationBytesSent, lastSeen }
    const restored = { server: '', id, ...totals, queued: false }
    if (this.#lasts(restored, this.#clock())) this.#ongoing.set(key, restored)
  }

  #lasts({ lastSeen }: Ongoing, now: number): boolean {
    return now - lastSeen <= (this.#settings?.repeat ?? 0)
  }

  #forget(): void {
    const now = this.#clock()
    for (const [key, known] of this.#ongoing) if (!this.#lasts(known, now)) this.#end(key, known)
  }

  #end(key: string, known: Ongoing): void {
    this.#ongoing.delete(key)
    this.#flush(known)
  }

  #flushAll(): void {
    for (const known of this.#ongoing.values()) this.#flush(known)
  }

  #flush(known: Ongoing): void {
    if (known.queued || known.count <= known.written) return
    known.queued = this.#later(() => this.#write(known))
  }

  /** Queues a job; false where the disk is so slow that no more can wait. */
  #later(job: () => Promise<void>): boolean {
    if (this.#waiting >= longestQueue) {
      this.#lost('queue-full', 'the disk is too slow')
      return false
    }
    this.#waiting += 1
    this.#work = this.#work.then(job).catch((error: unknown) => {
      if (!(error instanceof EvidenceFull)) {
        this.#store = undefined
        if (this.#clock() - this.#failedAt >= pause) this.#failedAt = this.#clock()
      }
      this.#lost(reasonOf(error), error)
    })
    this.#work = this.#work.then(() => void (this.#waiting -= 1))
    return true
  }

  #lost(reason: Failure, why: unknown): void {
    this.#deps.metrics.evidenceFailed(reason)
    const fields = { reason, error: messageOf(why) }
    this.#deps.log('error', `evidence ${reason}`, fields, 'evidence not recorded; sessions go on')
  }
}
