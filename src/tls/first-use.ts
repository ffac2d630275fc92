// Trust on first use: the pins of the keys that servers showed first, kept in the state and never replaced by what comes later.
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { pinOf, parsePin } from './pins.ts'
import { readText, writePrivate } from './storage.ts'
import type { Cause, HandshakeFacts, Verdict } from './verdict.ts'
import { nameLine } from './words.ts'

/** How an upstream begins to trust without pins of proxy.yaml. */
export interface FirstUse {
  /** Whether a certificate that signed itself will do, because no CA was named. */
  readonly selfSigned: boolean
}

/** The key that a server showed first. */
export interface FirstUsePin {
  readonly upstream: string
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  /** Canonical; of its own certificate's key. */
  readonly pin: string
  /** ISO 8601. */
  readonly at: string
  /** The IP address that answered. */
  readonly address: string
  /** Of the certificate; one safe line. */
  readonly subject: string
}

export interface FirstUses {
  readonly pins: readonly FirstUsePin[]
  /** The file is there and cannot be understood: nobody knows who was met, so nobody is met for the first time. */
  readonly isDamaged: boolean
}

const MOST = 512
const LONGEST_FILE = 1024 * 1024

export const noFirstUses: FirstUses = { pins: [], isDamaged: false }

function firstUseFile(state: string): string {
  return join(state, 'trust', 'first-use.json')
}

/** A damaged file stays where it is: moved aside, it would have the next to answer be the first again. */
export async function readFirstUses(
  state: string,
): Promise<FirstUses & { readonly warnings: readonly string[] }> {
  const file = firstUseFile(state)
  let why = 'is damaged'
  try {
    const text = await readText(file, LONGEST_FILE)
    const pins = text === undefined ? [] : parse(text)
    if (pins !== undefined) return { pins, isDamaged: false, warnings: [] }
  } catch (error) {
    why = `cannot be read (${messageOf(error)})`
  }
  const hint =
    'accept their pins with "pulseward trust accept", or take the file away and send SIGHUP to trust whoever answers next'
  const warning = `${file} ${why}: servers trusted on first use are not trusted any more; ${hint}`
  return { pins: [], isDamaged: true, warnings: [warning] }
}

/**
 * Stores the key of a server that was met for the first time; false where there is one of it already, which stays.
 *
 * @throws {PulsewardError} where the store is damaged, full, or cannot be written: then nothing may be trusted.
 */
export async function addFirstUse(state: string, pin: FirstUsePin): Promise<boolean> {
  const { pins, isDamaged, warnings } = await readFirstUses(state)
  if (isDamaged) throw new PulsewardError('first-use-damaged', 'config', warnings.join('; '))
  if (pins.some(({ upstream, server }) => upstream === pin.upstream && server === pin.server)) return false
  if (pins.length >= MOST) {
    throw new PulsewardError(
      'first-use-full',
      'config',
      `${MOST} servers were trusted on first use already`,
      {
        hint: `put pins into proxy.yaml, and take servers that are gone out of ${firstUseFile(state)}`,
      },
    )
  }
  await writePrivate(
    firstUseFile(state),
    `${JSON.stringify({ version: 1, pins: [...pins, pin] }, undefined, 2)}\n`,
  )
  return true
}

/**
 * The key to store, where a missing pin, and with `selfSigned` a missing CA, is all there is against a handshake, or
 * nothing is; undefined where something else is wrong with the broker.
 */
export function firstKey(
  { resumed, served }: HandshakeFacts,
  { causes }: Verdict,
  { selfSigned }: FirstUse,
): Pick<FirstUsePin, 'pin' | 'subject'> | undefined {
  const [leaf] = served
  if (resumed || leaf === undefined) return undefined
  const isForgiven = (cause: Cause): boolean =>
    cause === 'pin-mismatch' || (selfSigned && cause === 'self-signed')
  return causes.every(isForgiven) ? { pin: pinOf(leaf), subject: nameLine(leaf.subject) } : undefined
}

function parse(text: string): readonly FirstUsePin[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, pins } = propertiesOf(value)
  if (version !== 1 || !Array.isArray(pins) || pins.length > MOST) return undefined
  return pins.every(isFirstUse) ? pins : undefined
}

function isFirstUse(value: unknown): value is FirstUsePin {
  const { upstream, server, pin, at, address, subject } = propertiesOf(value)
  const texts = [upstream, server, pin, at, address, subject]
  if (!texts.every((one) => typeof one === 'string')) return false
  return isCanonical(String(pin)) && !Number.isNaN(Date.parse(String(at)))
}

function isCanonical(pin: string): boolean {
  try {
    return parsePin(pin) === pin
  } catch {
    return false
  }
}

function propertiesOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
