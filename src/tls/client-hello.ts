// The TLS ClientHello, read where it lies before any TLS stack sees it: versions, SNI, ALPN, JA4.
import { Cursor } from './cursor.ts'
import { ja4 } from './ja4.ts'

/** The most bytes, record headers included, in which a ClientHello must end. */
export const MAX_CLIENT_HELLO = 16 * 1024

/** What a device says about itself in its ClientHello; lists are without GREASE (RFC 8701), in the order sent. */
export interface ClientHello {
  /** The legacy_version field: 0x0301 is TLS 1.0, 0x0303 is TLS 1.2 and, with `versions`, 1.3. */
  readonly legacyVersion: number
  /** supported_versions (RFC 8446, 4.2.1), or the legacy version alone where that extension is absent. */
  readonly versions: readonly number[]
  /** The host name asked for (RFC 6066, 3), printable ASCII, lowercase. */
  readonly sni: string | undefined
  /** ALPN protocol names (RFC 7301), one character a byte. */
  readonly alpn: readonly string[]
  readonly ciphers: readonly number[]
  readonly extensions: readonly number[]
  readonly groups: readonly number[]
  /** The groups a key share was sent for: those the handshake can use without a second round trip. */
  readonly keyShares: readonly number[]
  readonly signatureAlgorithms: readonly number[]
  /** Whether the client sprinkles GREASE values, as browsers do and devices do not. */
  readonly grease: boolean
  readonly ja4: string
}

/** Why bytes are no ClientHello; bounded, fit for a metric label. */
type ClientHelloError = 'not-handshake' | 'bad-record' | 'not-client-hello' | 'too-large' | 'malformed'

export type ClientHelloResult =
  | 'more'
  | { readonly hello: ClientHello }
  | { readonly error: ClientHelloError }

const RECORD_HEADER = 5
const HANDSHAKE_HEADER = 4
const HANDSHAKE = 22
const CLIENT_HELLO = 1
/** RFC 8446, 5.1: a plaintext fragment holds at most 2^14 bytes. */
const MAX_FRAGMENT = 2 ** 14

/**
 * Reads the ClientHello in `bytes[start, end)`. `'more'` asks for more bytes; a result never changes when further
 * bytes arrive, whatever their segmentation. The hello may be spread over several records. Never throws.
 */
export function parseClientHello(bytes: Uint8Array, start: number, end: number): ClientHelloResult {
  const message = assemble(bytes, start, Math.min(end, start + MAX_CLIENT_HELLO))
  if (message === 'more') return end - start >= MAX_CLIENT_HELLO ? { error: 'too-large' } : 'more'
  if (typeof message === 'string') return { error: message }
  const hello = parseBody(new Cursor(message, HANDSHAKE_HEADER, message.length))
  return hello === undefined ? { error: 'malformed' } : { hello }
}

/** The handshake message, header included, out of its records; copied only where it spans several. */
function assemble(bytes: Uint8Array, start: number, end: number): Uint8Array | 'more' | ClientHelloError {
  const fragments: Uint8Array[] = []
  const header: number[] = []
  let needed = HANDSHAKE_HEADER
  let seen = 0
  for (let at = start; ;) {
    const fault = checkRecord(bytes, at, end)
    if (fault !== undefined) return fault === 'not-handshake' && at > start ? 'bad-record' : fault
    const next = at + RECORD_HEADER + (((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0))
    const fragment = bytes.subarray(at + RECORD_HEADER, Math.min(next, end))
    for (let i = 0; header.length < HANDSHAKE_HEADER && i < fragment.length; i++)
      header.push(fragment[i] ?? 0)
    if (header.length > 0 && header[0] !== CLIENT_HELLO) return 'not-client-hello'
    if (header.length === HANDSHAKE_HEADER) needed = HANDSHAKE_HEADER + bigEndian(header.slice(1))
    if (needed > MAX_CLIENT_HELLO) return 'too-large'
    fragments.push(fragment)
    seen += fragment.length
    if (header.length === HANDSHAKE_HEADER && seen >= needed) break
    if (next > end) return 'more'
    at = next
  }
  const [first] = fragments
  const whole = fragments.length === 1 && first !== undefined ? first : Buffer.concat(fragments)
  return whole.subarray(0, needed)
}

/** What is wrong with, or still missing of, the record header at `at`; each byte is judged as soon as it is here. */
function checkRecord(bytes: Uint8Array, at: number, end: number): 'more' | ClientHelloError | undefined {
  if (at >= end) return 'more'
  if (bytes[at] !== HANDSHAKE) return 'not-handshake'
  if (at + 1 < end && bytes[at + 1] !== 3) return 'bad-record'
  if (at + RECORD_HEADER > end) return 'more'
  const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0)
  // RFC 8446, 5.1: zero-length handshake fragments are forbidden; they would let a peer spin us for free.
  return length === 0 || length > MAX_FRAGMENT ? 'bad-record' : undefined
}

function parseBody(body: Cursor): ClientHello | undefined {
  const legacyVersion = body.u16()
  body.skip(32) // random
  if (body.sub(body.u8()).left > 32) body.fail() // session id
  const ciphers = body.sub(body.u16()).list16()
  if (body.sub(body.u8()).left === 0 || ciphers.length === 0) body.fail() // compression methods
  const extensions = readExtensions(body)
  if (!body.intact || body.left > 0) return undefined
  return compose(legacyVersion, ciphers, extensions)
}

interface Extensions {
  /** Types in the order sent, GREASE included. */
  readonly types: number[]
  serverName?: string
  groups?: number[]
  signatureAlgorithms?: number[]
  alpn?: string[]
  versions?: number[]
  keyShares?: number[]
}

function readExtensions(body: Cursor): Extensions {
  const found: Extensions = { types: [] }
  // RFC 5246, 7.4.1.2: the block may be left out altogether, as TLS 1.0 devices do.
  if (body.left === 0) return found
  const block = body.sub(body.u16())
  const seen = new Set<number>()
  while (block.left > 0 && block.intact) {
    const type = block.u16()
    const content = block.sub(block.u16())
    // RFC 8446, 4.2: no type twice. This also keeps the loop from reading one list again and again.
    if (seen.has(type)) block.fail()
    seen.add(type)
    found.types.push(type)
    if (readExtension(type, content, found) && content.left > 0) content.fail()
  }
  return found
}

/** Reads one extension into `found`; false where its type is none of ours and its content stays unread. */
function readExtension(type: number, content: Cursor, found: Extensions): boolean {
  switch (type) {
    case 0: // RFC 6066, 3
      found.serverName = readServerName(content)
      return true
    case 10: // RFC 8446, 4.2.7
      found.groups = content.sub(content.u16()).list16()
      return true
    case 13: // RFC 8446, 4.2.3
      found.signatureAlgorithms = content.sub(content.u16()).list16()
      return true
    case 16: // RFC 7301, 3.1
      found.alpn = readAlpn(content.sub(content.u16()))
      return true
    case 43: // RFC 8446, 4.2.1
      found.versions = content.sub(content.u8()).list16()
      return true
    case 51: // RFC 8446, 4.2.8
      found.keyShares = readKeyShares(content.sub(content.u16()))
      return true
    default:
      return false
  }
}

function readServerName(content: Cursor): string {
  const list = content.sub(content.u16())
  const type = list.u8()
  const name = list.sub(list.u16()).latin1()
  // One name of type host_name is all RFC 6066 allows; what is not printable ASCII must not reach a log line.
  if (type !== 0 || list.left > 0 || !/^[\x21-\x7e]{1,255}$/.test(name)) content.fail()
  return name.toLowerCase()
}

function readAlpn(list: Cursor): string[] {
  const protocols: string[] = []
  while (list.left > 0 && list.intact) {
    const protocol = list.sub(list.u8()).latin1()
    if (protocol === '') list.fail()
    protocols.push(protocol)
  }
  return protocols
}

function readKeyShares(list: Cursor): number[] {
  const groups: number[] = []
  while (list.left > 0 && list.intact) {
    groups.push(list.u16())
    list.skip(list.u16())
  }
  return groups
}

function compose(legacyVersion: number, sentCiphers: number[], found: Extensions): ClientHello {
  const versions = plain(found.versions ?? [legacyVersion])
  const ciphers = plain(sentCiphers)
  const extensions = plain(found.types)
  const signatureAlgorithms = plain(found.signatureAlgorithms ?? [])
  const alpn = found.alpn?.filter((name) => !isGreaseName(name)) ?? []
  return {
    legacyVersion,
    versions,
    sni: found.serverName,
    alpn,
    ciphers,
    extensions,
    groups: plain(found.groups ?? []),
    keyShares: plain(found.keyShares ?? []),
    signatureAlgorithms,
    grease: ciphers.length < sentCiphers.length || extensions.length < found.types.length,
    ja4: ja4({
      version: Math.max(0, ...versions),
      hasServerName: found.serverName !== undefined,
      alpn: alpn[0],
      ciphers,
      extensions,
      signatureAlgorithms,
    }),
  }
}

function plain(values: readonly number[]): number[] {
  return values.filter((value) => !isGrease(value))
}

/** RFC 8701, 2: 0x0A0A, 0x1A1A, … 0xFAFA. */
function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff)
}

function isGreaseName(name: string): boolean {
  return name.length === 2 && isGrease((name.charCodeAt(0) << 8) | name.charCodeAt(1))
}

function bigEndian(bytes: readonly number[]): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0)
}
