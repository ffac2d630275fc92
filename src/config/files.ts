// The files proxy.yaml names: whether they can be read and hold what they should.
import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { resolve } from 'node:path'
import { PulsewardError } from '../errors.ts'
import { readCertificates } from '../tls/anchors.ts'
import { LARGEST_LISTS, readCrls } from '../tls/crl.ts'
import type { Crl } from '../tls/crl.ts'
import type { Problem } from './diagnostics.ts'
import { isUrl } from './endpoint.ts'
import { checkPairKeys } from './pairing.ts'
import type { Parts } from './parts.ts'
import type { KeyPair } from './schema.ts'

/** Largest file read unless said otherwise: proxy.yaml itself, a CA bundle, a key. */
const LARGEST_FILE = 1_048_576

type Path = readonly PropertyKey[]

/**
 * Reads a file of at most `most` bytes, 1 MiB unless given.
 *
 * @throws {PulsewardError} `file-missing` or `file-unreadable`, blame `config`; names neither the file nor what it holds.
 */
export function readBounded(file: string, most = LARGEST_FILE): Buffer {
  let descriptor: number | undefined
  try {
    // Without O_NONBLOCK a FIFO would hold the proxy here for ever.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const { size } = checkRegular(fstatSync(descriptor), most)
    const bytes = Buffer.alloc(size)
    let length = 0
    while (length < size) {
      const read = readSync(descriptor, bytes, length, size - length, length)
      if (read === 0) break
      length += read
    }
    return bytes.subarray(0, length)
  } catch (thrown) {
    throw thrown instanceof PulsewardError ? thrown : explain(thrown)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** What is wrong with the files the parts name. */
export function checkFiles(parts: Parts, directory: string, now = Date.now()): Problem[] {
  const problems: Problem[] = []
  /** Runs one check; what it throws becomes a problem at the option that named the file. */
  const check = <Value>(path: Path, run: () => Value): Value | undefined => {
    try {
      return run()
    } catch (thrown) {
      if (!(thrown instanceof PulsewardError)) throw thrown
      const hint =
        thrown.code === 'file-missing' ? 'a path begins at the directory of this file' : thrown.hint
      problems.push({ path, message: thrown.message, hint, quote: true })
      return undefined
    }
  }
  const checkPair = (path: Path, { cert, key }: KeyPair) => {
    const certificates = check([...path, 'cert'], () => readCertificates(readText(resolve(directory, cert))))
    const privateKey = check([...path, 'key'], () => readKey(resolve(directory, key)))
    const leaf = certificates?.[0]
    if (leaf === undefined || privateKey === undefined || leaf.checkPrivateKey(privateKey)) return
    const hint = 'the first certificate in cert must be the one the key was made for'
    problems.push({ path: [...path, 'key'], message: 'is not the key of the certificate', hint, quote: true })
  }
  for (const { path, value } of parts.listeners) {
    const { certificate } = value.tls
    if (certificate !== 'auto') checkPair([...path, 'tls', 'certificate'], certificate)
  }
  for (const { path, value } of parts.upstreams) {
    const { ca, clientCertificate, revocation } = value.tls
    for (const [index, file] of ca === 'system' ? [] : ca.entries()) {
      check([...path, 'tls', 'ca', index], () => readCertificates(readText(resolve(directory, file))))
    }
    if (clientCertificate !== undefined) checkPair([...path, 'tls', 'clientCertificate'], clientCertificate)
    for (const [index, place] of revocation.crl.entries()) {
      const at = [...path, 'tls', 'revocation', 'crl', index]
      const lists = isUrl(place)
        ? []
        : check(at, () => readCrls(readBounded(resolve(directory, place), LARGEST_LISTS)))
      problems.push(...endedLists(at, lists ?? [], now))
    }
  }
  return [...problems, ...checkPairKeys(parts, directory, readText)]
}

function endedLists(path: Path, lists: readonly Crl[], now: number): Problem[] {
  return lists
    .filter(({ nextUpdate }) => nextUpdate < now)
    .map(({ nextUpdate }) => ({
      path,
      message: `this list counted until ${new Date(nextUpdate).toISOString()}: since then it clears nobody`,
      hint: 'copy a fresh one from its CA, or name the URL where the CA publishes it',
      severity: 'warning',
      quote: true,
    }))
}

function readText(file: string): string {
  return readBounded(file).toString('latin1')
}

function readKey(file: string): KeyObject {
  const bytes = readBounded(file)
  try {
    return createPrivateKey(bytes)
  } catch (cause) {
    const text = bytes.toString('latin1')
    if (text.includes('ENCRYPTED')) {
      throw unreadable(
        'the private key has a passphrase',
        cause,
        'write it without: openssl pkey -in KEY -out PLAIN',
      )
    }
    const hint = text.includes('BEGIN CERTIFICATE')
      ? 'it holds a certificate: are cert and key swapped?'
      : undefined
    throw unreadable('the file holds no private key in PEM', cause, hint)
  } finally {
    bytes.fill(0)
  }
}

function checkRegular(stats: Stats, most: number): Stats {
  if (!stats.isFile())
    throw unreadable(stats.isDirectory() ? 'this is a directory' : 'this is not a regular file')
  if (stats.size > most) throw unreadable(`the file is larger than ${most / 1_048_576} MiB`)
  return stats
}

function explain(thrown: unknown): PulsewardError {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown'
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new PulsewardError('file-missing', 'config', 'there is no such file', { cause: thrown })
    case 'EACCES':
    case 'EPERM':
      return unreadable('this user may not read the file', thrown)
    default:
      return unreadable(`the file cannot be read (${code})`, thrown)
  }
}

function unreadable(message: string, cause?: unknown, hint?: string): PulsewardError {
  return new PulsewardError('file-unreadable', 'config', message, { cause, ...(hint && { hint }) })
}
