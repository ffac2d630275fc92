// The pins accepted after a rotation: kept in the state with who accepted them and when, and only ever so many.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, PulsewardError } from '../errors.ts'
import { printable } from '../printable.ts'
import { parsePin, samePin } from './pins.ts'
import { setAside, writePrivate } from './storage.ts'

export interface AcceptedPin {
  readonly upstream: string
  /** Canonical. */
  readonly pin: string
  /** ISO 8601. */
  readonly at: string
  /** The user of this machine, as the operating system names it. */
  readonly by: string
  /** `host:port` as in proxy.yaml: whose pin of first use it replaces; all of the upstream where it is undefined. */
  readonly server?: string
}

/** One line of what was done, kept after the pin is gone. */
export interface Deed extends AcceptedPin {
  readonly action: 'accept' | 'revoke'
}

export interface Accepted {
  readonly pins: readonly AcceptedPin[]
  /** The oldest first. */
  readonly history: readonly Deed[]
}

/** So many pins and deeds; the file stays below what is read of it. */
const MOST_PINS = 64
const MOST_DEEDS = 128
const LONGEST_FILE = 64 * 1024
const LONGEST_NAME = 64

const nothing: Accepted = { pins: [], history: [] }

/** Where they are kept; a running proxy watches this file. */
export function acceptedFile(state: string): string {
  return join(state, 'trust', 'accepted-pins.json')
}

/**
 * What was accepted, and what is wrong with the file that says so. A file that cannot be understood is moved aside,
 * where there is a clock to name it by: it can only ever add pins, so without it fewer brokers are trusted, never more.
 */
export async function readAccepted(
  state: string,
  now?: () => number,
): Promise<Accepted & { readonly warnings: readonly string[] }> {
  const file = acceptedFile(state)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return { ...nothing, warnings: [] }
    return { ...nothing, warnings: [`${file} cannot be read (${messageOf(error)}); no accepted pin counts`] }
  }
  const accepted = parse(text)
  if (accepted !== undefined) return { ...accepted, warnings: [] }
  const aside = now === undefined ? undefined : await setAside(file, now()).catch(() => undefined)
  const where = aside === undefined ? 'it stays where it is' : `it was moved to ${aside}`
  return {
    ...nothing,
    warnings: [`${file} is damaged: ${where}; the pins of proxy.yaml count, accept others again`],
  }
}

/** @throws {PulsewardError} `accepted-full`, blame `config`, where there are too many. */
export async function acceptPin(state: string, before: Accepted, pin: AcceptedPin): Promise<Accepted> {
  const others = before.pins.filter((one) => !isSame(one, pin))
  if (others.length >= MOST_PINS) {
    throw new PulsewardError('accepted-full', 'config', `${MOST_PINS} pins are accepted already`, {
      hint: 'move them into proxy.yaml and revoke them here: "pulseward trust list" shows them',
    })
  }
  return await write(state, before, [...others, bounded(pin)], { ...pin, action: 'accept' })
}

/** Undefined where no such pin was accepted. */
export async function revokePin(
  state: string,
  before: Accepted,
  pin: AcceptedPin,
): Promise<Accepted | undefined> {
  const others = before.pins.filter((one) => !isSame(one, pin))
  if (others.length === before.pins.length) return undefined
  return await write(state, before, others, { ...pin, action: 'revoke' })
}

async function write(
  state: string,
  { history }: Accepted,
  pins: readonly AcceptedPin[],
  deed: Deed,
): Promise<Accepted> {
  const after = { pins, history: [...history, bounded(deed)].slice(-MOST_DEEDS) }
  const file = acceptedFile(state)
  try {
    await writePrivate(file, `${JSON.stringify({ version: 1, ...after }, undefined, 2)}\n`)
  } catch (error) {
    throw new PulsewardError('file-unwritable', 'config', `cannot write "${file}": ${messageOf(error)}`, {
      hint: 'run this as the user that runs the proxy',
      cause: error,
    })
  }
  return after
}

function bounded<Pin extends AcceptedPin>(pin: Pin): Pin {
  return { ...pin, by: printable(pin.by, LONGEST_NAME) }
}

function isSame(one: AcceptedPin, other: AcceptedPin): boolean {
  return one.upstream === other.upstream && samePin(one.pin, other.pin)
}

function parse(text: string): Accepted | undefined {
  if (text.length > LONGEST_FILE) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, pins, history } = fieldsOf(value)
  if (version !== 1 || !Array.isArray(pins) || !Array.isArray(history)) return undefined
  if (pins.length > MOST_PINS || history.length > MOST_DEEDS) return undefined
  return pins.every(isPin) && history.every(isDeed) ? { pins, history } : undefined
}

function isPin(value: unknown): value is AcceptedPin {
  const { upstream, pin, at, by, server } = fieldsOf(value)
  return (
    typeof upstream === 'string' &&
    /^[a-z][a-z0-9-]{0,31}$/.test(upstream) &&
    typeof pin === 'string' &&
    isCanonical(pin) &&
    typeof at === 'string' &&
    !Number.isNaN(Date.parse(at)) &&
    typeof by === 'string' &&
    (server === undefined || typeof server === 'string')
  )
}

function isDeed(value: unknown): value is Deed {
  const { action } = fieldsOf(value)
  return isPin(value) && (action === 'accept' || action === 'revoke')
}

function isCanonical(pin: string): boolean {
  try {
    return parsePin(pin) === pin
  } catch {
    return false
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
