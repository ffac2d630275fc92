// The kinds of value an option can hold, as zod types that read text and refuse with a hint.
import { z } from 'zod'
import { PulsewardError } from '../errors.ts'
import { parsePeer } from '../pair/keys.ts'
import { asWholePin, isWholePin, parsePin } from '../tls/pins.ts'
import type { Pin } from '../tls/pinset.ts'
import { parseAddress, parseHost, parsePlace, parseServer } from './endpoint.ts'
import { durationPattern, parseDate, parseDuration, parseSize, parseSpan, sizePattern } from './units.ts'
import type { DayEnd } from './units.ts'

/** What an option's `.meta()` may say beside its description; the reference and the JSON Schema show it. */
declare module 'zod' {
  interface GlobalMeta {
    /** The kind of value, in a word or two, where the JSON type says too little. */
    kind?: string
    /** Smallest and largest value, as they are written. */
    range?: string
    /** The default in words, where it depends on the machine. */
    otherwise?: string
  }
}

interface Range {
  readonly min: string
  readonly max: string
}

/** Milliseconds, written with a unit. */
export function duration({ min, max }: Range) {
  const parse = within(parseDuration, min, max)
  return text(parse).meta({
    kind: 'duration',
    range: `${min} to ${max}`,
    pattern: orVariable(durationPattern),
  })
}

/** Milliseconds, written with a unit, that no timer has to wait for. */
export function span({ min, max }: Range) {
  const parse = within(parseSpan, min, max)
  return text(parse).meta({
    kind: 'duration',
    range: `${min} to ${max}`,
    pattern: orVariable(durationPattern),
  })
}

/** Bytes, written with a unit. */
export function size({ min, max }: Range) {
  const parse = within(parseSize, min, max)
  return text(parse).meta({ kind: 'size', range: `${min} to ${max}`, pattern: orVariable(sizePattern) })
}

/** A whole number. */
export function count(min: number, max: number) {
  return z
    .int()
    .min(min)
    .max(max)
    .meta({ kind: 'number', range: `${min} to ${max}` })
}

/** An address to listen on. */
export function address() {
  return text(parseAddress).meta({ kind: 'IP:port' })
}

/** A DNS name or an IP address. */
export function hostName() {
  return text(parseHost).meta({ kind: 'host name or IP' })
}

/** A broker's URL. */
export function server() {
  return text(parseServer).meta({ kind: 'mqtts://host:port' })
}

/** The public line of another Pulseward, in its canonical spelling. */
export function peer() {
  return text(parsePeer).meta({ kind: 'ed25519/…' })
}

/** An SPKI pin, in its canonical spelling. */
function pin() {
  return text((spelled) => {
    try {
      return parsePin(spelled)
    } catch (cause) {
      const hint = cause instanceof PulsewardError ? cause.hint : undefined
      throw refusal('expected a pin such as "sha256/…" or "sha256:…"', hint, cause)
    }
  }).meta({ kind: 'pin' })
}

function date(end: DayEnd) {
  return text((spelled) => parseDate(spelled, end)).meta({ kind: 'date' })
}

const pinOptions = z.strictObject({
  pin: pin().describe('The pin itself, spelled as one without options.'),
  backup: z.boolean().default(false).describe('It is of a key that is kept for later and not in use yet.'),
  notBefore: date('first')
    .exactOptional()
    .describe('First day it counts, in UTC; `2027-01-31` or with a time.'),
  notAfter: date('last')
    .exactOptional()
    .describe('Last day it counts, in UTC; after it nothing is trusted by it.'),
  comment: z.string().max(200).exactOptional().describe('For people: whose key, and where it is kept.'),
  certificate: z
    .boolean()
    .default(false)
    .describe('It is the fingerprint of a whole certificate, `cert-sha256/…`: every renewal breaks it.'),
})

/** A pin as text, or with its dates and what it is for. */
export function pinEntry() {
  const known = Object.keys(pinOptions.shape).join(' ')
  return z
    .unknown()
    .transform((input, context): Pin => {
      const isMapping = typeof input === 'object' && input !== null && !Array.isArray(input)
      const given = isMapping ? input : { pin: input }
      const { data, error } = pinOptions.safeParse(given, {
        error: ({ code }) => (code === 'unrecognized_keys' ? known : undefined),
      })
      if (data === undefined) {
        // A pin without options stands where its list has it.
        for (const issue of error.issues)
          context.issues.push({ ...issue, path: isMapping ? issue.path : [], input } as z.core.$ZodRawIssue)
        return z.NEVER
      }
      const { certificate, backup, ...rest } = data
      const { notBefore = -Infinity, notAfter = Infinity } = rest
      if (notAfter < notBefore)
        context.addIssue({ code: 'custom', message: 'notAfter is before notBefore', path: ['notAfter'] })
      if (isMapping && 'certificate' in input && !certificate && isWholePin(rest.pin))
        context.addIssue({
          code: 'custom',
          message: 'a cert-sha256 pin is of a certificate',
          path: ['certificate'],
        })
      return { ...rest, ...(backup && { backup }), pin: certificate ? asWholePin(rest.pin) : rest.pin }
    })
    .meta({ anyOf: [{ type: 'string', kind: 'pin' }, shapeOf(pinOptions)] })
}

/** The JSON Schema of a part, which is none of its own. */
function shapeOf(schema: z.ZodType): object {
  const { $schema: _, ...shape } = z.toJSONSchema(schema, { io: 'input' })
  return shape
}

/** A path, resolved against the directory of proxy.yaml when the file is loaded. */
export function path(what: 'file' | 'directory') {
  return text((spelled) => {
    if (spelled === '' || spelled.includes('\0')) throw refusal(`expected the path of a ${what}`)
    return spelled
  }).meta({ kind: what })
}

/** A file, or where it is published over HTTP. */
export function place() {
  return text(parsePlace).meta({ kind: 'file or URL' })
}

/** A name that becomes a metric label. */
export const name = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, {
  error: 'expected a name of at most 32 lower-case letters, digits and dashes, a letter first',
})

/** A text read by a parser that throws PulsewardError; the message may not repeat the text. */
function text<Value>(parse: (text: string) => Value) {
  return z
    .unknown()
    .transform((input, context): Value => {
      try {
        // A bare number, or nothing, gets as far as the parser, which says what is expected.
        if (typeof input === 'string' || typeof input === 'number') return parse(String(input))
        if (input === null) return parse('')
        context.addIssue({ code: 'custom', message: 'expected text' })
      } catch (thrown) {
        if (!(thrown instanceof PulsewardError)) throw thrown
        context.addIssue({ code: 'custom', message: thrown.message, params: { hint: thrown.hint } })
      }
      return z.NEVER
    })
    .meta({ type: 'string' })
}

function within(parse: (text: string) => number, min: string, max: string): (text: string) => number {
  const [least, most] = [parse(min), parse(max)]
  return (spelled) => {
    const value = parse(spelled)
    if (value >= least && value <= most) return value
    throw refusal(`expected ${min} to ${max}`)
  }
}

/** Editors check the file before the environment is filled in. */
function orVariable(pattern: RegExp): string {
  return `${pattern.source}|\\$\\{`
}

function refusal(message: string, hint?: string, cause?: unknown): PulsewardError {
  return new PulsewardError(
    'value-invalid',
    'config',
    message,
    hint === undefined ? { cause } : { hint, cause },
  )
}
