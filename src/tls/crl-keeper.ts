// Keeps revocation lists fresh: files as they are at each load, URLs by fetching them before they end; off the path of sessions.
import { createHash } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import { messageOf } from '../errors.ts'
import type { TrustAnchors } from './anchors.ts'
import { LARGEST_LISTS, readCrls } from './crl.ts'
import type { Crl } from './crl.ts'
import { readCached, writeCached } from './crl-cache.ts'
import { fetchList } from './crl-fetch.ts'
import { CrlSource } from './crl-source.ts'
import { faultOf, issuerLine } from './crl-succession.ts'

export interface KeeperDeps {
  /** Reads a file of at most `most` bytes. */
  readonly read: (path: string, most: number) => Buffer
  readonly pace?: Pace
  /** Leaves the state as it is: commands may run as another user than the proxy. */
  readonly readOnly?: boolean
  readonly log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
  /** A fetch of a list ended. */
  readonly onFetched?: (succeeded: boolean) => void
  /** Other lists are in force. */
  readonly onChanged?: (source: CrlSource) => void
}

/** A list as one upstream uses it. */
export interface Use {
  readonly source: CrlSource
  readonly anchors: TrustAnchors
  /** Milliseconds between two fetches. */
  readonly refresh: number
}

export interface Prepared {
  readonly sourceOf: (place: string) => CrlSource
  /** Waits, though not for long, for lists that were never fetched. */
  readonly fill: (uses: readonly Use[]) => Promise<void>
  /** What was prepared comes into force; lists nobody uses any more are forgotten. */
  readonly commit: (uses: readonly Use[]) => void
}

interface Kept {
  readonly source: CrlSource
  readonly state: string
  anchors: readonly TrustAnchors[]
  refresh: number
  timer: NodeJS.Timeout | undefined
  failures: number
}

/** Milliseconds: how long a start waits for lists, and how soon a fetch is repeated, ever later where it fails. */
export interface Pace {
  readonly patience: number
  readonly soonest: number
  readonly latest: number
}

const PACE: Pace = { patience: 5000, soonest: 60_000, latest: 1_800_000 }

export class CrlKeeper implements Disposable {
  readonly #deps: KeeperDeps
  readonly #pace: Pace
  readonly #end = new AbortController()
  #sources = new Map<string, CrlSource>()
  readonly #digests = new WeakMap<CrlSource, string>()
  readonly #kept = new Map<string, Kept>()
  readonly #fetching = new Map<string, Promise<void>>()

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    this.#pace = deps.pace ?? PACE
  }

  /** The files and URLs in use. */
  get sources(): Iterable<CrlSource> {
    return this.#sources.values()
  }

  /**
   * Reads files, and what was fetched before. Nothing that is in force changes before `commit`.
   *
   * @throws {PulsewardError} where a file cannot be used.
   */
  async prepare(places: Iterable<string>, state: string): Promise<Prepared> {
    const sources = new Map<string, CrlSource>()
    const changes: (() => void)[] = []
    for (const place of new Set(places)) {
      const known = this.#sources.get(place)
      const source = known ?? new CrlSource(place)
      sources.set(place, source)
      if (!isFetched(place)) {
        const bytes = this.#deps.read(place, LARGEST_LISTS)
        const digest = createHash('sha256').update(bytes).digest('hex')
        if (this.#digests.get(source) === digest) continue
        const lists = readCrls(bytes)
        const change = (): void => {
          this.#digests.set(source, digest)
          this.#adopt(source, lists)
        }
        // Nobody else knows a new source yet.
        if (known === undefined) change()
        else changes.push(change)
      } else if (known === undefined) {
        const { lists, warning } = await readCached(
          state,
          place,
          this.#deps.readOnly === true ? undefined : Date.now(),
        )
        if (warning !== undefined) this.#deps.log('warn', { warning }, 'revocation list in the state')
        if (lists.length > 0) this.#adopt(source, lists)
      }
    }
    return {
      sourceOf: (place) => sources.get(place) ?? new CrlSource(place),
      fill: (uses) => this.#fill(uses, state),
      commit: (uses) => {
        this.#sources = sources
        for (const change of changes) change()
        this.#keep(uses, state)
      },
    }
  }

  [Symbol.dispose](): void {
    this.#end.abort()
    for (const { timer } of this.#kept.values()) clearTimeout(timer)
    this.#kept.clear()
  }

  async #fill(uses: readonly Use[], state: string): Promise<void> {
    const missing = keptOf(uses, state).filter(({ source }) => (source.nextUpdate ?? 0) < Date.now())
    if (missing.length === 0) return
    const { promise: patience, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#pace.patience)
    await Promise.race([Promise.all(missing.map((kept) => this.#fetch(kept))), patience])
    clearTimeout(timer)
  }

  /** URLs that stay in use keep their place in time, unless they are to be fetched more often now. */
  #keep(uses: readonly Use[], state: string): void {
    const wanted = keptOf(uses, state)
    for (const [name, { source, timer }] of this.#kept) {
      if (wanted.some((one) => one.source === source)) continue
      clearTimeout(timer)
      this.#kept.delete(name)
    }
    for (const fresh of wanted) {
      const before = this.#kept.get(fresh.source.name)
      if (before !== undefined && before.refresh === fresh.refresh && before.state === state) {
        before.anchors = fresh.anchors
        continue
      }
      clearTimeout(before?.timer)
      this.#kept.set(fresh.source.name, fresh)
      this.#schedule(fresh)
    }
  }

  #schedule(kept: Kept): void {
    if (this.#kept.get(kept.source.name) !== kept || this.#end.signal.aborted) return
    clearTimeout(kept.timer)
    kept.timer = setTimeout(
      () => {
        void this.#fetch(kept).then(() => this.#schedule(kept))
      },
      waitOf(kept, this.#pace),
    ).unref()
  }

  /** One at a time for a URL; never rejects. */
  async #fetch(kept: Kept): Promise<void> {
    const { name } = kept.source
    const running =
      this.#fetching.get(name) ?? this.#fetchNow(kept).finally(() => this.#fetching.delete(name))
    this.#fetching.set(name, running)
    await running
  }

  async #fetchNow(kept: Kept): Promise<void> {
    const { source, anchors, state } = kept
    const { signal } = this.#end
    try {
      const ca = [...getCACertificates('default'), ...anchors.flatMap((one) => (one.areOwn ? one.pem : []))]
      const bytes = await fetchList(source.name, { ca, signal })
      const lists = readCrls(bytes)
      const fault = faultOf(lists, source, anchors, Date.now())
      if (fault !== undefined) throw new Error(fault)
      kept.failures = 0
      this.#deps.onFetched?.(true)
      if (!isSame(lists, source.lists)) await this.#install(source, lists, { bytes, state })
    } catch (error) {
      if (signal.aborted) return
      kept.failures += 1
      this.#deps.onFetched?.(false)
      const { nextUpdate } = source
      const inForceUntil = nextUpdate === undefined ? 'none' : new Date(nextUpdate).toISOString()
      const fields = { crl: source.name, error: messageOf(error), failures: kept.failures, inForceUntil }
      this.#deps.log('warn', fields, 'a revocation list could not be fetched')
    }
  }

  async #install(
    source: CrlSource,
    lists: readonly Crl[],
    { bytes, state }: { readonly bytes: Buffer; readonly state: string },
  ): Promise<void> {
    this.#adopt(source, lists)
    if (this.#deps.readOnly === true) return
    try {
      await writeCached(state, source.name, bytes)
    } catch (error) {
      const fields = { crl: source.name, error: messageOf(error) }
      this.#deps.log('warn', fields, 'a revocation list could not be kept for the next start')
    }
  }

  #adopt(source: CrlSource, lists: readonly Crl[]): void {
    source.adopt(lists)
    for (const crl of lists) {
      const { number, serials, thisUpdate, nextUpdate } = crl
      const fields = {
        crl: source.name,
        issuer: issuerLine(crl),
        number: number?.toString(),
        revoked: serials.size,
        thisUpdate: new Date(thisUpdate).toISOString(),
        nextUpdate: new Date(nextUpdate).toISOString(),
      }
      this.#deps.log('info', fields, 'revocation list in force')
    }
    this.#deps.onChanged?.(source)
  }
}

function isFetched(place: string): boolean {
  return /^https?:/.test(place)
}

function keptOf(uses: readonly Use[], state: string): Kept[] {
  const bySource = Map.groupBy(
    uses.filter(({ source }) => isFetched(source.name)),
    ({ source }) => source,
  )
  return Array.from(bySource, ([source, all]) => ({
    source,
    state,
    anchors: all.map(({ anchors }) => anchors),
    refresh: Math.min(...all.map(({ refresh }) => refresh)),
    timer: undefined,
    failures: 0,
  }))
}

/** Well before a list ends, so that a CA whose server is away for a while harms nobody. */
function waitOf({ source, refresh, failures }: Kept, { soonest, latest }: Pace): number {
  const left = (source.nextUpdate ?? 0) - Date.now()
  const due = Math.max(Math.min(refresh, left / 2), soonest)
  const again = Math.min(soonest * 2 ** (failures - 1), latest)
  // A tenth more or less, so that several proxies do not ask together.
  return (failures === 0 ? due : Math.min(due, again)) * (0.9 + Math.random() / 5)
}

function isSame(fresh: readonly Crl[], before: readonly Crl[]): boolean {
  return (
    fresh.length === before.length &&
    fresh.every((crl, at) => crl.signed.signature.equals(before[at]?.signed.signature ?? Buffer.alloc(0)))
  )
}
