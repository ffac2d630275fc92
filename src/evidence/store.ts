// The evidence on disk: adds incidents and lines to the chain in an order that survives a crash, and rotates.
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf } from '../errors.ts'
import { installDirectory, setAside, writePrivate } from '../tls/storage.ts'
import type { Sighting } from '../tls/sighting.ts'
import { audit, CHAIN, HEAD, headText, longestChain, PENDING, RECORD, SERVED } from './audit.ts'
import type { Audit } from './audit.ts'
import { GENESIS, lineText, sha256 } from './chain.ts'
import type { Entry, Told } from './chain.ts'
import { incidentOf, keyOf } from './incident.ts'
import type { ConfigInForce, Software } from './incident.ts'

/** Far more than an incident and all its repeats add to the chain. */
const reserve = 1024 * 1024

export interface Limits {
  /** Bytes of all files of the store. */
  readonly maxSize: number
  readonly maxIncidents: number
}

/** What an administrator has to know of the store as it was found. */
export interface Report {
  readonly message: string
  readonly where: readonly string[]
  readonly movedTo: string | undefined
}

export interface Opened {
  readonly store: Store
  readonly reports: readonly Report[]
  /** Incidents that are not rotated, the oldest first. */
  readonly incidents: readonly Told[]
}

/** The chain alone has outgrown the limit: rotation frees nothing any more. */
export class EvidenceFull extends Error {
  constructor() {
    super('the hash chain alone is larger than evidence.maxSize; move the evidence folder to an archive')
    this.name = 'EvidenceFull'
  }
}

export class Store {
  readonly #directory: string
  readonly #software: Software
  #lines: number
  #head: string
  #chainBytes: number
  /** How many incidents the chain has brought, and the hash of the last one's record. */
  #incidents: number
  #previous: string
  /** Bytes of the folders that are kept, by id, the oldest first. */
  readonly #kept: Map<string, number>

  private constructor(directory: string, software: Software, found: Audit) {
    this.#directory = directory
    this.#software = software
    this.#lines = found.lines.length
    this.#head = found.head
    this.#chainBytes = found.chainBytes
    this.#incidents = found.incidents.length
    this.#previous = found.incidents.at(-1)?.told.hash ?? GENESIS
    const kept = found.incidents.filter(({ told }) => !told.rotated)
    this.#kept = new Map(kept.map(({ told, bytes }) => [told.id, bytes]))
  }

  /**
   * Opens the store in `directory`, which need not be there. What a crash cut short is completed or moved aside; a
   * store whose chain does not hold is moved aside whole and a new one begun. Nothing is ever deleted for it.
   */
  static async open(directory: string, software: Software, now: number): Promise<Opened> {
    const reports: Report[] = []
    let found = await audit(directory)
    if (found.breaks.length > 0) {
      const movedTo = await setAside(directory, now)
      const message = 'the evidence was changed or damaged; it is moved aside and a new chain begins'
      reports.push({ message, where: found.breaks.map(placeOf), movedTo })
      found = await audit(directory)
    }
    if (found.torn.length > 0) {
      const movedTo = await moveTorn(directory, found, now)
      const message = 'a write of evidence was cut short; what is left of it is moved aside'
      reports.push({ message, where: found.torn.map(placeOf), movedTo })
    }
    for (const id of found.unnamed) await rename(join(directory, PENDING + id), join(directory, id))
    for (const name of found.leftovers) await rm(join(directory, name), { recursive: true, force: true })
    if (found.headBehind && found.lines.length > 0) {
      await writePrivate(join(directory, HEAD), headText(found.lines.length, found.head))
    }
    const store = new Store(directory, software, found)
    const incidents = found.incidents.filter(({ told }) => !told.rotated).map(({ told }) => told)
    return { store, reports, incidents }
  }

  /** Of all its files, head.json left out. */
  get bytes(): number {
    let bytes = this.#chainBytes
    for (const size of this.#kept.values()) bytes += size
    return bytes
  }

  /** Hash of the last line: kept somewhere else, it proves everything up to there. */
  get head(): string {
    return this.#head
  }

  has(id: string): boolean {
    return this.#kept.has(id)
  }

  /** Whether the files are as this store left them: an administrator may archive the folder while the proxy runs. */
  async isCurrent(): Promise<boolean> {
    try {
      return (await stat(join(this.#directory, CHAIN))).size === this.#chainBytes
    } catch {
      return this.#chainBytes === 0
    }
  }

  /** Adds an incident and returns its id. After a failure the store has to be opened anew. */
  async add(sighting: Sighting, config: ConfigInForce, { maxSize }: Limits): Promise<string> {
    if (this.#chainBytes > Math.min(maxSize, longestChain - reserve)) throw new EvidenceFull()
    if (this.#lines === 0) await writePrivate(join(this.#directory, HEAD), headText(0, GENESIS))
    const sequence = this.#incidents + 1
    const placing = { sequence, previous: this.#previous, software: this.#software, config }
    const { id, json, pem } = incidentOf(sighting, placing)
    const pending = join(this.#directory, PENDING + id)
    if (!(await installDirectory(pending, { [RECORD]: json, [SERVED]: pem }))) {
      throw new Error(`"${pending}" is in the way`)
    }
    const hash = sha256(json)
    const { sessionsHeldBack, applicationBytesSent, passage } = sighting
    const totals = { sessionsHeldBack, applicationBytesSent, at: passage.verdictGiven }
    await this.#append({ kind: 'incident', id, hash, key: keyOf(sighting), ...totals })
    await rename(pending, join(this.#directory, id))
    this.#incidents = sequence
    this.#previous = hash
    this.#kept.set(id, Buffer.byteLength(json) + Buffer.byteLength(pem))
    return id
  }

  async repeat(entry: Omit<Extract<Entry, { kind: 'repeat' }>, 'kind'>): Promise<void> {
    await this.#append({ kind: 'repeat', ...entry })
  }

  /** Removes the oldest incidents until the rest fits; their hashes stay in the chain. The last one always stays. */
  async rotate({ maxSize, maxIncidents }: Limits, now: number): Promise<readonly string[]> {
    const gone: string[] = []
    while (this.#kept.size > 1 && (this.#kept.size > maxIncidents || this.bytes > maxSize)) {
      const [id = ''] = this.#kept.keys()
      await this.#append({ kind: 'rotated', id, at: now })
      this.#kept.delete(id)
      await rm(join(this.#directory, id), { recursive: true, force: true })
      gone.push(id)
    }
    return gone
  }

  async #append(entry: Entry): Promise<void> {
    const text = lineText(this.#lines + 1, entry, this.#head)
    const path = join(this.#directory, CHAIN)
    {
      await using file = await open(path, 'a', 0o600)
      try {
        await file.writeFile(`${text}\n`)
        await file.sync()
      } catch (error) {
        // A full disk takes half a line: without it, the chain is as it was.
        await file.truncate(this.#chainBytes).catch(() => {})
        throw error
      }
    }
    this.#lines += 1
    this.#head = sha256(text)
    this.#chainBytes += Buffer.byteLength(text) + 1
    await writePrivate(join(this.#directory, HEAD), headText(this.#lines, this.#head))
  }
}

/** Puts half a line and folders without a line into a folder of their own beside the store. */
async function moveTorn(directory: string, found: Audit, now: number): Promise<string> {
  const stamp = new Date(now).toISOString().replaceAll(/[:.]/g, '-')
  const aside = `${directory}.torn-${stamp}`
  await mkdir(dirname(aside), { recursive: true, mode: 0o700 })
  await mkdir(aside, { recursive: true, mode: 0o700 })
  for (const name of found.strays) await rename(join(directory, name), join(aside, name.slice(1)))
  if (found.tail === '') return aside
  await writeFile(join(aside, 'tail.txt'), found.tail, { mode: 0o600 })
  await using file = await open(join(directory, CHAIN), 'r+')
  await file.truncate(found.chainBytes)
  await file.sync()
  return aside
}

function placeOf({ where, what }: { readonly where: string; readonly what: string }): string {
  return `${where} ${what}`
}

/** What went wrong, for a log line. */
export function reasonOf(error: unknown): 'full' | 'write' {
  return error instanceof EvidenceFull || messageOf(error).includes('ENOSPC') ? 'full' : 'write'
}
