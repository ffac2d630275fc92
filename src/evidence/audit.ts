// Reads a whole evidence store and compares every byte of it with its hash chain; changes nothing.
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { GENESIS, incidentsOf, isHash, isId, readLines, sha256 } from './chain.ts'
import type { Break, Line, Told } from './chain.ts'

/** What a folder is called until its line is in the chain. */
export const PENDING = '.pending-'
export const CHAIN = 'chain.jsonl'
export const HEAD = 'head.json'
export const RECORD = 'incident.json'
export const SERVED = 'chain.pem'

/** Chains and records are ours; a file beyond this is not, and would only fill the memory. */
export const longestChain = 256 * 1024 * 1024
const longestFile = 8 * 1024 * 1024
/** So many are told; a store that is broken in more places is no better known for it. */
const mostBreaks = 100

export interface Kept {
  readonly told: Told
  /** The text of incident.json; undefined where it is gone or not what the chain holds. */
  readonly json: string | undefined
  /** Of its folder. */
  readonly bytes: number
}

export interface Audit {
  /** Every place where the chain does not hold; none means that nothing was changed, removed or moved. */
  readonly breaks: readonly Break[]
  /** What a write that was cut short leaves behind; the next start moves it aside. */
  readonly torn: readonly Break[]
  /** The incidents in order, those that were rotated among them. */
  readonly incidents: readonly Kept[]
  readonly lines: readonly Line[]
  /** Hash of the last line. */
  readonly head: string
  /** Of the complete lines of chain.jsonl. */
  readonly chainBytes: number
  /** What stands behind the last complete line. */
  readonly tail: string
  /** Whether head.json has to be written anew. */
  readonly headBehind: boolean
  /** Folders that lack nothing but their name; folders without a line; folders that are rotated and still there. */
  readonly unnamed: readonly string[]
  readonly strays: readonly string[]
  readonly leftovers: readonly string[]
}

/** @throws where a directory or file is there and cannot be read. */
export async function audit(directory: string): Promise<Audit> {
  const breaks: Break[] = []
  const torn: Break[] = []
  // In this order a proxy that writes meanwhile breaks nothing: it names a folder last, and writes the head before.
  const names = await listing(directory)
  const head = (await readFile(join(directory, HEAD), longestFile))?.toString()
  const text = (await readFile(join(directory, CHAIN), longestChain))?.toString() ?? ''
  const complete = text.slice(0, text.lastIndexOf('\n') + 1)
  const tail = text.slice(complete.length)
  if (tail !== '') torn.push({ where: CHAIN, what: `ends in half a line of ${tail.length} characters` })
  const read = readLines(complete)
  breaks.push(...read.breaks)
  const { incidents, breaks: unfounded } = incidentsOf(read.lines)
  breaks.push(...unfounded)
  const headBehind = checkHead(head, read.lines, complete !== '', breaks)
  const present = new Set(names)
  const known = new Set([CHAIN, HEAD])
  const unnamed: string[] = []
  const leftovers: string[] = []
  const kept: Kept[] = []
  for (const told of incidents.values()) {
    const pending = `${PENDING}${told.id}`
    for (const name of [told.id, pending]) if (present.has(name)) known.add(name)
    if (told.rotated) {
      leftovers.push(...[told.id, pending].filter((name) => present.has(name)))
      kept.push({ told, json: undefined, bytes: 0 })
      continue
    }
    if (!present.has(told.id) && present.has(pending)) unnamed.push(told.id)
    kept.push(await checkIncident(directory, told, breaks))
  }
  const strays = names.filter((name) => !known.has(name) && isUnfinished(name))
  for (const where of strays) torn.push({ where, what: 'was never entered in the chain' })
  for (const where of names.filter((name) => !known.has(name) && !isUnfinished(name))) {
    breaks.push({ where, what: 'is not in the chain' })
  }
  return {
    breaks: breaks.slice(0, mostBreaks),
    torn: torn.slice(0, mostBreaks),
    incidents: kept,
    lines: read.lines,
    head: read.lines.at(-1)?.hash ?? GENESIS,
    chainBytes: Buffer.byteLength(complete),
    tail,
    headBehind,
    unnamed,
    strays,
    leftovers,
  }
}

/** Compares the count and hash that head.json holds with the chain; whether it is behind. */
function checkHead(text: string | undefined, lines: readonly Line[], any: boolean, breaks: Break[]): boolean {
  if (text === undefined) {
    if (any) breaks.push({ where: HEAD, what: 'is gone' })
    return true
  }
  const head = readHead(text)
  if (head === undefined) {
    breaks.push({ where: HEAD, what: 'is not a head of a chain' })
  } else if (head.lines > lines.length) {
    const missing = head.lines - lines.length
    breaks.push({ where: CHAIN, what: `lacks ${missing} of the ${head.lines} lines that head.json counts` })
  } else if ((lines[head.lines - 1]?.hash ?? GENESIS) !== head.hash) {
    breaks.push({ where: HEAD, what: `does not hold the hash of line ${head.lines}` })
  }
  return head?.lines !== lines.length
}

export function headText(lines: number, hash: string): string {
  return `${JSON.stringify({ lines, hash })}\n`
}

function readHead(text: string): { readonly lines: number; readonly hash: string } | undefined {
  try {
    const { lines, hash } = JSON.parse(text) as { lines: number; hash: string }
    if (!Number.isSafeInteger(lines) || lines < 0 || !isHash(hash)) return undefined
    return headText(lines, hash) === text ? { lines, hash } : undefined
  } catch {
    return undefined
  }
}

async function checkIncident(directory: string, told: Told, breaks: Break[]): Promise<Kept> {
  // A proxy that writes meanwhile gives the folder its name between two looks.
  const folders = [told.id, `${PENDING}${told.id}`, told.id]
  const broken = (where: string, what: string): Kept => {
    breaks.push({ where, what })
    return { told, json: undefined, bytes: 0 }
  }
  let bytes: Buffer | undefined
  let folder = told.id
  for (const name of folders) {
    bytes = await readFile(join(directory, name, RECORD), longestFile)
    folder = name
    if (bytes !== undefined) break
  }
  if (bytes === undefined) return broken(`${told.id}/${RECORD}`, 'is gone')
  if (sha256(bytes) !== told.hash) return broken(`${told.id}/${RECORD}`, 'is not what was recorded')
  const json = bytes.toString()
  const pem = await readFile(join(directory, folder, SERVED), longestFile)
  if (pem === undefined) return broken(`${told.id}/${SERVED}`, 'is gone')
  // Its bytes are the recorded ones, so it can be read; what it says must fit the place it stands in.
  const document = JSON.parse(json) as IncidentDocument
  if (sha256(pem) !== document.served.chainPemSha256) {
    return broken(`${told.id}/${SERVED}`, 'is not what was recorded')
  }
  if (document.id !== told.id || document.previous !== told.previous || document.sequence !== told.sequence) {
    return broken(`${told.id}/${RECORD}`, 'does not follow the incident before it')
  }
  const names = await listing(join(directory, folder))
  const other = names.find((name) => name !== RECORD && name !== SERVED)
  if (other !== undefined) return broken(`${told.id}/${other}`, 'does not belong there')
  return { told, json, bytes: bytes.length + pem.length }
}

/** What incident.json holds, as far as programs go by it. */
export interface IncidentDocument {
  readonly id: string
  readonly sequence: number
  readonly previous: string
  readonly time: string
  readonly upstream: string
  readonly server: string
  readonly verdict: string
  readonly causes: readonly string[]
  readonly served: { readonly chainPemSha256: string }
  readonly sessionsHeldBack: number
  readonly applicationBytesSent: number
}

/** A folder without a line, or what `writePrivate` and `installDirectory` leave when they are killed. */
function isUnfinished(name: string): boolean {
  const pending = name.startsWith(PENDING) && isId(name.slice(PENDING.length))
  return pending || name.startsWith(`.${HEAD}.`) || name.startsWith(`.${PENDING}`)
}

async function listing(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted()
  } catch (error) {
    if (isAbsent(error)) return []
    throw new Error(`cannot list "${directory}": ${messageOf(error)}`, { cause: error })
  }
}

/** At most one byte more of a file than it may have, which is enough to tell; undefined where there is none. */
async function readFile(path: string, longest: number): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, 'r')
    const found = await file.stat()
    // A device or a pipe in a file's place may have no end.
    if (!found.isFile()) return undefined
    if (found.size <= longest) return await file.readFile()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(longest + 1), 0, longest + 1, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR'
}
