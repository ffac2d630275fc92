// Private files of the state directory: read with a bound, written whole or not at all, set aside rather than destroyed.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** No PEM file of ours comes near this. */
const LONGEST_FILE = 64 * 1024

/** The text of a file, at most 64 KiB of it unless more is asked for; undefined where there is none. */
export async function readText(path: string, longest: number = LONGEST_FILE): Promise<string | undefined> {
  return (await readBytes(path, longest))?.toString()
}

/** At most `most` bytes of a file; undefined where there is none. */
export async function readBytes(path: string, most: number): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, 'r')
    const size = Math.min((await file.stat()).size, most)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

/** Replaces a file, readable by this user alone, so that a crash leaves the old one or the new one, never half of one. */
export async function writePrivate(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await writeThrough(draft, content)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/**
 * Puts a directory with these files in place in one step, so that nobody ever sees one of them without the others.
 * False where a directory with content is already there; it is left untouched.
 */
export async function installDirectory(
  path: string,
  files: Readonly<Record<string, string>>,
): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = await mkdtemp(join(dirname(path), `.${basename(path)}-`)) // mode 0700
  try {
    for (const [name, text] of Object.entries(files)) await writeThrough(join(draft, name), text)
    await syncDirectory(draft)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (hasCode(error, 'ENOTEMPTY', 'EEXIST')) return false
    throw error
  }
  await syncDirectory(dirname(path))
  return true
}

/** Renames a file or directory out of the way and returns its new path; undefined where it is gone already. */
export async function setAside(path: string, now: number): Promise<string | undefined> {
  const stamp = new Date(now).toISOString().replaceAll(/[:.]/g, '-')
  const aside = `${path}.broken-${stamp}-${randomBytes(2).toString('hex')}`
  try {
    await rename(path, aside)
    return aside
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code)
}

async function writeThrough(path: string, content: string | Uint8Array): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(content)
  await file.sync()
}

/** A rename is only as durable as the directory that records it. */
async function syncDirectory(path: string): Promise<void> {
  try {
    await using directory = await open(path, 'r')
    await directory.sync()
  } catch {
    // Some platforms cannot open or sync a directory; the rename itself has happened.
  }
}
