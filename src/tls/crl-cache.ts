// Fetched lists on disk, so that a restart knows what was revoked before the network answers.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { LARGEST_LISTS, readCrls } from './crl.ts'
import type { Crl } from './crl.ts'
import { readBytes, setAside, writePrivate } from './storage.ts'

export interface Cached {
  readonly lists: readonly Crl[]
  /** What is wrong with the file. */
  readonly warning?: string
}

/** What was fetched from `url` last; a file that cannot be understood is moved aside, where there is a clock to name it by. */
export async function readCached(state: string, url: string, now?: number): Promise<Cached> {
  const file = fileOf(state, url)
  let bytes: Buffer | undefined
  try {
    bytes = await readBytes(file, LARGEST_LISTS)
    return { lists: bytes === undefined ? [] : readCrls(bytes) }
  } catch (error) {
    if (bytes === undefined) return { lists: [], warning: `${file} cannot be read (${messageOf(error)})` }
    const aside = now === undefined ? undefined : await setAside(file, now).catch(() => undefined)
    const where = aside === undefined ? 'it stays where it is' : `it was moved to ${aside}`
    return { lists: [], warning: `${file} is damaged: ${where}; the list is fetched again` }
  }
}

export async function writeCached(state: string, url: string, bytes: Buffer): Promise<void> {
  await writePrivate(fileOf(state, url), bytes)
}

function fileOf(state: string, url: string): string {
  const name = createHash('sha256').update(url).digest('hex').slice(0, 32)
  return join(state, 'trust', 'crl', `${name}.crl`)
}
