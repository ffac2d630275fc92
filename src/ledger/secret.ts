// What the ledger keeps of a login: a hash under a key of this state directory, by which it can be compared, never tested.

import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readText, setAside, writePrivate } from '../tls/storage.ts'

export interface LoginHash {
  /** Sixteen hexadecimal digits behind four that name the key: hashes under different keys are not compared. */
  readonly of: (login: Uint8Array) => string
  /** What an administrator should know of the key. */
  readonly warning: string | undefined
}

const keyPattern = /^[0-9a-f]{64}$/

/** Reads the key, or makes one at first use; an unreadable one is moved aside. Rejects where none can be kept. */
export async function openLoginHash(state: string, now: number): Promise<LoginHash> {
  const path = join(state, 'ledger', 'login.key')
  const text = (await readText(path))?.trim()
  if (text !== undefined && keyPattern.test(text)) return hashUnder(Buffer.from(text, 'hex'), undefined)
  const aside = text === undefined ? undefined : await setAside(path, now)
  const key = randomBytes(32)
  await writePrivate(path, `${key.toString('hex')}\n`)
  const warning =
    aside === undefined
      ? undefined
      : `the key of login hashes was damaged; it is in "${aside}" now, logins are learnt anew`
  return hashUnder(key, warning)
}

function hashUnder(key: Buffer, warning: string | undefined): LoginHash {
  const name = Buffer.from(hkdfSync('sha256', key, '', 'name', 2)).toString('hex')
  const of = (login: Uint8Array): string =>
    `${name}:${createHmac('sha256', key).update(login).digest('hex').slice(0, 16)}`
  return { of, warning }
}
