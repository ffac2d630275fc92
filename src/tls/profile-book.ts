// The profiles of all servers: read at the start, kept in memory, written behind the sessions, begun anew where damaged.
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import type { Forgotten } from './forgotten.ts'
import { newProfile } from './profile.ts'
import type { Profile } from './profile.ts'
import { MOST_PROFILES, parseProfiles, printProfiles } from './profile-text.ts'
import type { Profiles } from './profile-text.ts'
import { readText, setAside, writePrivate } from './storage.ts'

interface BookDeps {
  readonly log: (level: 'warn' | 'error', kind: string, fields: Fields, message: string) => void
  /** Milliseconds since 1970. */
  readonly clock?: () => number
  /** Milliseconds until something new is written, and until mere counts are. */
  readonly delays?: { readonly news: number; readonly counts: number }
}

type Fields = Readonly<Record<string, unknown>>

/** More than the most profiles can come to. */
const LONGEST_FILE = 8 * 1024 * 1024

export function profilesFile(state: string): string {
  return join(state, 'trust', 'profiles.json')
}

/** What a state directory has; undefined where its file cannot be understood. @throws {Error} where it cannot be read. */
export async function readProfiles(state: string): Promise<Profiles | undefined> {
  const text = await readText(profilesFile(state), LONGEST_FILE)
  return text === undefined ? new Map() : parseProfiles(text)
}

export class ProfileBook implements AsyncDisposable {
  readonly #deps: BookDeps
  readonly #clock: () => number
  readonly #delays: NonNullable<BookDeps['delays']>
  #state: string | undefined
  #profiles: Profiles = new Map()
  #timer: NodeJS.Timeout | undefined
  #isNews = false
  #writing: Promise<void> = Promise.resolve()

  constructor(deps: BookDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? Date.now
    this.#delays = deps.delays ?? { news: 1000, counts: 600_000 }
  }

  /** Makes ready for a state directory; what is returned has it count. Never rejects. */
  async prepare(state: string): Promise<() => void> {
    if (state === this.#state) return () => {}
    const profiles = await this.#read(state)
    return () => {
      if (this.#state !== undefined) void this.#flush()
      this.#state = state
      this.#profiles = profiles
    }
  }

  find(upstream: string, server: string): Profile | undefined {
    return this.#profiles.get(upstream)?.get(server)
  }

  /** The profile to learn into; where there are too many, the one not seen for longest makes room. */
  begin(upstream: string, server: string, at: number, offer: string): Profile {
    const known = this.find(upstream, server)
    if (known !== undefined) return known
    this.#makeRoom()
    const profile = newProfile(at, offer)
    const byServer = this.#profiles.get(upstream) ?? new Map<string, Profile>()
    this.#profiles.set(upstream, byServer.set(server, profile))
    return profile
  }

  /** Something in a profile changed: has it written soon where it is news, and some time where only counts changed. */
  changed(isNews: boolean): void {
    if (this.#timer !== undefined && (this.#isNews || !isNews)) return
    clearTimeout(this.#timer)
    this.#isNews = isNews
    const delay = isNews ? this.#delays.news : this.#delays.counts
    this.#timer = setTimeout(() => void this.#flush(), delay).unref()
  }

  /** Drops what was learnt before it was to be forgotten; returns the orders that there was something to do for. */
  forget(orders: readonly Forgotten[]): Forgotten[] {
    return orders.filter((order) => {
      const byServer = this.#profiles.get(order.upstream)
      const until = Date.parse(order.at)
      const servers = order.server === undefined ? [...(byServer?.keys() ?? [])] : [order.server]
      const old = servers.filter((server) => {
        const since = byServer?.get(server)?.since
        // Of a clock that was ahead nobody knows whether it was before.
        return since !== undefined && (since < until || since > this.#clock())
      })
      for (const server of old) byServer?.delete(server)
      if (old.length > 0) this.changed(true)
      return old.length > 0
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== undefined) await this.#flush()
    await this.#writing
  }

  async #read(state: string): Promise<Profiles> {
    const file = profilesFile(state)
    const message = 'profiles of brokers begin anew'
    try {
      const profiles = await readProfiles(state)
      if (profiles !== undefined) return profiles
      const aside = await setAside(file, this.#clock())
      this.#deps.log('error', 'damaged', { file, aside }, message)
    } catch (error) {
      this.#deps.log('error', 'unreadable', { file, error: messageOf(error) }, message)
    }
    return new Map()
  }

  /** One after another; what changes while one is written is the next one's. */
  #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const state = this.#state
    const text = printProfiles(this.#profiles)
    if (state !== undefined) this.#writing = this.#writing.then(() => this.#write(state, text))
    return this.#writing
  }

  async #write(state: string, text: string): Promise<void> {
    const file = profilesFile(state)
    try {
      await writePrivate(file, text)
    } catch (error) {
      this.#deps.log(
        'warn',
        'unwritten',
        { file, error: messageOf(error) },
        'profiles of brokers not written',
      )
    }
  }

  #makeRoom(): void {
    const all = Array.from(this.#profiles.values(), (byServer) => [...byServer.entries()]).flat()
    if (all.length < MOST_PROFILES) return
    const [oldest] = all.toSorted(([, one], [, other]) => one.last - other.last)
    for (const byServer of this.#profiles.values())
      if (oldest !== undefined && byServer.get(oldest[0]) === oldest[1]) byServer.delete(oldest[0])
  }
}
