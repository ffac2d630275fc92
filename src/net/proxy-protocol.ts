// The PROXY protocol, versions 1 and 2: who a proxy before us speaks for. Reads and writes its header; pure.
//
// https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt

import { addressBytes, addressText, type Endpoint } from './address.ts'

/** Both ends of the connection that is spoken for. */
export interface Route {
  readonly source: Endpoint
  /** Where the source wanted to go. */
  readonly destination: Endpoint
}

/** What a header says; `route` is undefined where its sender speaks for itself, or for somebody without IP and TCP. */
export interface ProxyHeader {
  readonly route: Route | undefined
  /** Bytes it takes up. */
  readonly size: number
}

/** Names for refusals. */
export type ProxyHeaderError = 'proxy-header-missing' | 'proxy-header-malformed' | 'proxy-header-too-large'

/** Version 2 only: what else is told of the connection. */
export interface Particulars {
  /** At most 128 bytes of text, to find the connection again by. */
  readonly id?: string
  /** How the device speaks TLS to us. */
  readonly tls?: { readonly version: string; readonly cipher: string; readonly serverName?: string }
}

/** `PROXY UNKNOWN` and two IPv6 addresses with their ports at their longest (2.1). */
const longestV1 = 107
/** Much more than all the fields that anybody sends; 2.2 allows 64 KiB, which strangers to MQTT have no use for. */
const longestV2 = 2048
const signature = Uint8Array.from([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10])
const v1Start = Uint8Array.from([80, 82, 79, 88, 89, 32])

/** Reads the header that has to stand at the beginning of `bytes`; needs at most 2048 of them. */
export function parseProxyHeader(
  bytes: Uint8Array,
): ProxyHeader | 'more' | { readonly error: ProxyHeaderError } {
  if (startsLike(bytes, v1Start)) return bytes.length < v1Start.length ? 'more' : parseV1(bytes)
  if (startsLike(bytes, signature)) return bytes.length < 16 ? 'more' : parseV2(bytes)
  return { error: 'proxy-header-missing' }
}

/** `PROXY TCP4 192.0.2.7 192.0.2.1 49152 1883` and a line end (2.1). */
export function writeProxyV1(route: Route | undefined): Uint8Array {
  const lengths = route && [
    addressBytes(route.source.address)?.length,
    addressBytes(route.destination.address)?.length,
  ]
  if (route === undefined || lengths?.[0] === undefined || lengths[0] !== lengths[1])
    return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const { source, destination } = route
  const family = lengths[0] === 4 ? 'TCP4' : 'TCP6'
  const line = `PROXY ${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`
  return Buffer.from(line, 'latin1')
}

/** Without a route we speak for ourselves: a look at the broker that no device asked for (2.2, LOCAL). */
export function writeProxyV2(route: Route | undefined, particulars: Particulars = {}): Uint8Array {
  const addresses = route && addressBlock(route)
  const fields = [...idField(particulars), ...tlsFields(particulars)]
  const body = Buffer.concat([addresses?.bytes ?? Buffer.alloc(0), ...fields])
  const head = Buffer.alloc(16)
  head.set(signature)
  head[12] = route === undefined ? 0x20 : 0x21
  head[13] = addresses?.family ?? 0
  head.writeUInt16BE(body.length, 14)
  return Buffer.concat([head, body])
}

function startsLike(bytes: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(bytes.length, start.length)
  for (let at = 0; at < length; at++) if (bytes[at] !== start[at]) return false
  return true
}

function parseV1(bytes: Uint8Array): ReturnType<typeof parseProxyHeader> {
  const within = bytes.subarray(0, longestV1)
  const end = within.indexOf(13)
  if (end < 0) return bytes.length < longestV1 ? 'more' : { error: 'proxy-header-malformed' }
  if (end + 1 === bytes.length) return 'more'
  if (bytes[end + 1] !== 10) return { error: 'proxy-header-malformed' }
  const size = end + 2
  const [, family, ...rest] = Buffer.from(within.subarray(0, end)).toString('latin1').split(' ')
  // What stands behind UNKNOWN is to be ignored.
  if (family === 'UNKNOWN') return { route: undefined, size }
  const [from = '', to = '', fromPort = '', toPort = '', surplus] = rest
  const length = family === 'TCP4' ? 4 : family === 'TCP6' ? 16 : 0
  const source = endpointOf(from, fromPort, length)
  const destination = endpointOf(to, toPort, length)
  if (source === undefined || destination === undefined || surplus !== undefined)
    return { error: 'proxy-header-malformed' }
  return { route: { source, destination }, size }
}

function endpointOf(text: string, digits: string, length: number): Endpoint | undefined {
  const bytes = addressBytes(text)
  if (bytes === undefined || bytes.length !== length || !/^(?:0|[1-9]\d{0,4})$/.test(digits)) return undefined
  const port = Number(digits)
  const address = addressText(bytes)
  return address === undefined || port > 65_535 ? undefined : { address, port }
}

function parseV2(bytes: Uint8Array): ReturnType<typeof parseProxyHeader> {
  const length = (bytes[14]! << 8) | bytes[15]!
  const size = 16 + length
  const [version, command] = [bytes[12]! >> 4, bytes[12]! & 15]
  if (version !== 2 || command > 1) return { error: 'proxy-header-malformed' }
  if (size > longestV2) return { error: 'proxy-header-too-large' }
  if (bytes.length < size) return 'more'
  if (command === 0) return { route: undefined, size }
  // TCP over IPv4 or IPv6; datagrams and sockets of files have no address that limits or logs could use.
  const each = bytes[13] === 0x11 ? 4 : bytes[13] === 0x21 ? 16 : 0
  if (each === 0) return { route: undefined, size }
  if (length < each * 2 + 4) return { error: 'proxy-header-malformed' }
  const at = 16 + each * 2
  const source = addressText(bytes.subarray(16, 16 + each))
  const destination = addressText(bytes.subarray(16 + each, at))
  if (source === undefined || destination === undefined) return { error: 'proxy-header-malformed' }
  const port = (from: number): number => (bytes[from]! << 8) | bytes[from + 1]!
  const route = {
    source: { address: source, port: port(at) },
    destination: { address: destination, port: port(at + 2) },
  }
  return { route, size }
}

/** Undefined, which stands for "unspecified", where both ends are not of one family. */
function addressBlock({ source, destination }: Route): { family: number; bytes: Buffer } | undefined {
  const from = addressBytes(source.address)
  const to = addressBytes(destination.address)
  if (from === undefined || to === undefined || from.length !== to.length) return undefined
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  return { family: from.length === 4 ? 0x11 : 0x21, bytes: Buffer.concat([from, to, ports]) }
}

// Types of fields (2.2.1 to 2.2.8).
const AUTHORITY = 0x02
const UNIQUE_ID = 0x05
const SSL = 0x20
const SSL_VERSION = 0x21
const SSL_CIPHER = 0x23

function idField({ id }: Particulars): Buffer[] {
  return id === undefined ? [] : [field(UNIQUE_ID, Buffer.from(id, 'utf8').subarray(0, 128))]
}

function tlsFields({ tls }: Particulars): Buffer[] {
  if (tls === undefined) return []
  const { serverName } = tls
  // It came over TLS (1), and showed no certificate that was verified (anything but 0).
  const client = Buffer.from([1, 0, 0, 0, 1])
  const inner = [field(SSL_VERSION, Buffer.from(tls.version)), field(SSL_CIPHER, Buffer.from(tls.cipher))]
  const ssl = field(SSL, Buffer.concat([client, ...inner]))
  return serverName === undefined ? [ssl] : [field(AUTHORITY, Buffer.from(serverName).subarray(0, 255)), ssl]
}

function field(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(3)
  head[0] = type
  head.writeUInt16BE(value.length, 1)
  return Buffer.concat([head, value])
}
