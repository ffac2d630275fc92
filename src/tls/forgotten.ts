// The profiles that an administrator had forgotten: kept beside them, so that a command and a running proxy never write one file.
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'
import { readText, setAside, writePrivate } from './storage.ts'

export interface Forgotten {
  readonly upstream: string
  /** `host:port` as in proxy.yaml; all servers of the upstream where it is undefined. */
  readonly server?: string
  /** ISO 8601: what was learnt before is void. */
  readonly at: string
  /** The user of this machine, as the operating system names it. */
  readonly by: string
}

const MOST = 128
const LONGEST_NAME = 64

/** Where they are kept; a running proxy watches this file. */
export function forgottenFile(state: string): string {
  return join(state, 'trust', 'forgotten-profiles.json')
}

/**
 * The oldest first. A file that cannot be understood is moved aside where there is a clock to name it by: without it a
 * profile counts that was to be forgotten, which refuses a broker and trusts none.
 */
export async function readForgotten(
  state: string,
  now?: () => number,
): Promise<{ readonly forgotten: readonly Forgotten[]; readonly warnings: readonly string[] }> {
  const file = forgottenFile(state)
  let text: string | undefined
  try {
    text = await readText(file)
  } catch (error) {
    return { forgotten: [], warnings: [`${file} cannot be read (${messageOf(error)}): profiles stay`] }
  }
  if (text === undefined) return { forgotten: [], warnings: [] }
  const forgotten = parse(text)
  if (forgotten !== undefined) return { forgotten, warnings: [] }
  const aside = now === undefined ? undefined : await setAside(file, now()).catch(() => undefined)
  const where = aside === undefined ? 'it stays where it is' : `it was moved to ${aside}`
  return {
    forgotten: [],
    warnings: [`${file} is damaged: ${where}; profiles stay until they are forgotten again`],
  }
}

/** Makes what is known of a server, or of all of an upstream, void from this moment on. */
export async function forgetProfile(
  state: string,
  before: readonly Forgotten[],
  order: Forgotten,
): Promise<void> {
  const others = before.filter(
    ({ upstream, server }) => upstream !== order.upstream || server !== order.server,
  )
  const forgotten = [...others, { ...order, by: printable(order.by, LONGEST_NAME) }].slice(-MOST)
  const file = forgottenFile(state)
  try {
    await writePrivate(file, `${JSON.stringify({ version: 1, forgotten }, undefined, 2)}\n`)
  } catch (error) {
    throw new PulsewardError('file-unwritable', 'config', `cannot write "${file}": ${messageOf(error)}`, {
      hint: 'run this as the user that runs the proxy',
      cause: error,
    })
  }
}

function parse(text: string): readonly Forgotten[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, forgotten } = propertiesOf(value)
  if (version !== 1 || !Array.isArray(forgotten) || forgotten.length > MOST) return undefined
  return forgotten.every(isForgotten) ? forgotten : undefined
}

function isForgotten(value: unknown): value is Forgotten {
  const { upstream, server, at, by } = propertiesOf(value)
  return (
    typeof upstream === 'string' &&
    (server === undefined || typeof server === 'string') &&
    typeof at === 'string' &&
    !Number.isNaN(Date.parse(at)) &&
    typeof by === 'string'
  )
}

function propertiesOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
