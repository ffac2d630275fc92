// The local authority on disk: made at first use, kept ever after; it signs what devices are shown.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { rename, stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { mintAuthority, mintLeaf } from './issue.ts'
import { LeafCache } from './leaf-cache.ts'
import type { Leaves } from './leaf-cache.ts'
import type { Identity, KeyKind } from './mint.ts'
import { installDirectory, readText, setAside } from './storage.ts'

export interface Authority {
  /** What a device has to be given to trust the proxy. */
  readonly certificate: X509Certificate
  /** What an administrator should know of: something set aside, a key others can read, an end that is near. */
  readonly warnings: readonly string[]
  /**
   * An RSA and an ECDSA leaf for `names`: from disk while they are good, else minted and kept.
   *
   * @throws {PulsewardError} `name-invalid`, or `authority-expired`; blame `config`.
   */
  leaves(names: readonly string[]): Promise<Leaves>
  /** One leaf, minted anew and kept nowhere. Throws as `leaves` does. */
  issue(names: readonly string[], key: KeyKind): Promise<Identity>
}

const CERTIFICATE = 'ca.pem'
const KEY = 'ca.key'
/** Rounds of losing a race against another process, or of finding something broken, before giving up. */
const ATTEMPTS = 4
const DAY = 86_400_000
const SHORT_LIFE = 180 * DAY

/**
 * Opens the authority in `STATE/pki`, making it where there is none. The directory appears in one step with both
 * files in it, so two processes that start at once end up with one authority. One that cannot be used is renamed,
 * never overwritten, and reported in `warnings`. `clock` gives milliseconds since the epoch.
 *
 * @throws {PulsewardError} `state-unusable`, blame `config`, where the directory cannot be read or written.
 */
export async function openAuthority(state: string, clock: () => number): Promise<Authority> {
  const directory = join(state, 'pki')
  const warnings: string[] = []
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await guard(directory, () => load(directory))
    if (typeof found === 'object') return await assemble(directory, found, warnings, clock)
    await guard(directory, async () => {
      if (found !== 'absent') warnings.push(...(await putAway(directory, found, clock())))
      const { cert, key } = await mintAuthority(clock())
      await installDirectory(directory, { [CERTIFICATE]: cert, [KEY]: key })
    })
  }
  throw unusable(directory, 'it keeps changing')
}

/** The pair in `directory`; `absent`, or in a sentence why it cannot be used. */
async function load(directory: string): Promise<Identity | string> {
  const cert = await readText(join(directory, CERTIFICATE))
  const key = await readText(join(directory, KEY))
  if (cert === undefined && key === undefined)
    return (await isDirectory(directory)) ? 'it holds no authority' : 'absent'
  if (cert === undefined || key === undefined) return `${cert === undefined ? CERTIFICATE : KEY} is missing`
  try {
    const certificate = new X509Certificate(cert)
    if (!certificate.ca) return `${CERTIFICATE} is not the certificate of an authority`
    if (!certificate.checkPrivateKey(createPrivateKey(key))) return `${KEY} does not belong to ${CERTIFICATE}`
  } catch {
    return 'its files are damaged' // no cause: a parser's message could quote the key
  }
  return { cert, key }
}

/** Moves a broken authority out of the way, unless another process has just put a good one in its place. */
async function putAway(directory: string, reason: string, now: number): Promise<string[]> {
  const aside = await setAside(directory, now)
  if (aside === undefined) return []
  if (typeof (await load(aside)) === 'object') {
    await rename(aside, directory)
    return []
  }
  return [
    `the local authority in "${directory}" could not be used (${reason}) and is now "${aside}"; devices that trusted it need the new ${CERTIFICATE}`,
  ]
}

async function assemble(
  directory: string,
  identity: Identity,
  found: readonly string[],
  clock: () => number,
): Promise<Authority> {
  const certificate = new X509Certificate(identity.cert)
  const cache = new LeafCache(join(directory, 'leaves'), identity, clock)
  const alive = <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (clock() < certificate.validToDate.getTime()) return work()
    throw new PulsewardError(
      'authority-expired',
      'config',
      `the local authority in "${directory}" expired on ${certificate.validToDate.toISOString()}`,
      {
        hint: 'move the directory away, start again, and install the new ca.pem on the devices',
      },
    )
  }
  return {
    certificate,
    warnings: [...found, ...(await openToOthers(join(directory, KEY))), ...nearItsEnd(certificate, clock())],
    leaves: async (names) => await alive(() => cache.leaves(names)),
    issue: async (names, key) => await alive(() => mintLeaf(identity, names, key, clock())),
  }
}

async function openToOthers(key: string): Promise<string[]> {
  if (platform() === 'win32') return []
  const mode = (await stat(key)).mode & 0o777
  return (mode & 0o077) === 0
    ? []
    : [`"${key}" can be read by others (mode ${mode.toString(8)}): run chmod 600 on it`]
}

function nearItsEnd(certificate: X509Certificate, now: number): string[] {
  const end = certificate.validToDate
  return end.getTime() - now > SHORT_LIFE
    ? []
    : [`the local authority ends on ${end.toISOString()}; plan its replacement on the devices`]
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found !== undefined
}

async function guard<Result>(directory: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    throw unusable(directory, messageOf(error), error)
  }
}

function unusable(directory: string, reason: string, cause?: unknown): PulsewardError {
  return new PulsewardError(
    'state-unusable',
    'config',
    `the local authority in "${directory}" cannot be opened: ${reason}`,
    {
      hint: 'the user that runs the proxy must be able to read and write the directory named by state; mount volumes at it, not below it',
      cause,
    },
  )
}
