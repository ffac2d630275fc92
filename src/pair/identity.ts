// The identity of one Pulseward in paired mode: its file in the state, the next one beside it, and the switch to that.
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { writePrivate } from '../tls/storage.ts'
import { makeIdentity, parseIdentity, publicLine } from './keys.ts'

/** `next` waits until the other end lists its public line. */
export type Place = 'current' | 'next'

/** Where an identity is kept; a running proxy that is paired by identities watches the current one. */
export function identityFile(state: string, place: Place = 'current'): string {
  return join(state, 'pair', place === 'current' ? 'identity.pem' : 'next.pem')
}

/**
 * The public line of an identity; undefined where there is none.
 *
 * @throws {PulsewardError} `identity-unreadable` or `identity-invalid`, blame `config`.
 */
export async function readPublicLine(state: string, place: Place): Promise<string | undefined> {
  const pem = await readPem(identityFile(state, place))
  return pem === undefined ? undefined : publicLine(parseIdentity(pem))
}

/**
 * Makes an identity, readable by this user alone, and returns its public line.
 *
 * @throws {PulsewardError} `identity-exists`, `identity-unreadable` or `identity-unwritable`, blame `config`.
 */
export async function installIdentity(state: string, place: Place): Promise<string> {
  const file = identityFile(state, place)
  if ((await readPem(file)) !== undefined) {
    throw new PulsewardError('identity-exists', 'config', `there is an identity in "${file}" already`, {
      hint:
        place === 'current'
          ? '"pulseward pair show" prints its public line; --next makes the one to change to'
          : '"pulseward pair show" prints its public line; "pulseward pair switch" changes to it',
    })
  }
  const pem = makeIdentity()
  await write(file, pem)
  return publicLine(parseIdentity(pem))
}

/**
 * Makes the next identity the current one, in one step, and returns its public line. The old one is kept beside it in
 * `previous.pem`.
 *
 * @throws {PulsewardError} `identity-missing`, `identity-invalid`, `identity-unreadable` or `identity-unwritable`,
 *   blame `config`.
 */
export async function switchIdentity(state: string): Promise<string> {
  const [current, next] = [identityFile(state), identityFile(state, 'next')]
  const line = await readPublicLine(state, 'next')
  if (line === undefined) {
    throw new PulsewardError('identity-missing', 'config', `there is no identity in "${next}"`, {
      hint: 'make it with "pulseward pair keygen --next" and list its public line at the other end first',
    })
  }
  const before = await readPem(current)
  if (before !== undefined) await write(join(state, 'pair', 'previous.pem'), before)
  try {
    await rename(next, current)
  } catch (error) {
    throw unwritable(current, error)
  }
  return line
}

async function readPem(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined
    }
    throw new PulsewardError('identity-unreadable', 'config', `cannot read "${file}": ${messageOf(error)}`, {
      hint: 'run this as the user that runs the proxy',
      cause: error,
    })
  }
}

async function write(file: string, pem: string): Promise<void> {
  try {
    await writePrivate(file, pem)
  } catch (error) {
    throw unwritable(file, error)
  }
}

function unwritable(file: string, error: unknown): PulsewardError {
  return new PulsewardError('identity-unwritable', 'config', `cannot write "${file}": ${messageOf(error)}`, {
    hint: 'run this as the user that runs the proxy',
    cause: error,
  })
}
