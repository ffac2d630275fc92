// Places on a network as administrators write them: a bind address, a host name, a broker's URL.
import { SocketAddress, isIP, isIPv6 } from 'node:net'
import { PulsewardError } from '../errors.ts'

/** A local address to listen on; port 0 takes a free one. */
export interface Address {
  /** An IP address in its shortest spelling, without brackets. */
  host: string
  port: number
}

/** A broker to dial. */
export interface Server {
  /** A host name in lower case, or an IP address without brackets. */
  host: string
  port: number
  /** Set where it is dialled without TLS. */
  plaintext?: true
}

/** IANA's `secure-mqtt` and `mqtt`. */
const MQTTS_PORT = 8883
const MQTT_PORT = 1883

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/

/**
 * Reads `0.0.0.0:1883` or `[::]:1883`. Names are refused: what they resolve to may change, and may be several.
 *
 * None of the messages in this file repeats the text it is about; only the caller knows whether it may be shown.
 *
 * @throws {PulsewardError} `address-invalid`, blame `config`.
 */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined) throw refuse('address', 'expected "host:port"', addressHint(text))
  if (bracketed === undefined ? isIP(host) !== 4 : !isIPv6(host)) {
    throw refuse('address', 'expected an IP address before the port', addressHint(text))
  }
  if (port > 65_535) throw refuse('address', 'expected a port from 0 to 65535')
  return { host: canonical(host), port }
}

/** Whether two sockets cannot both listen there; `[::]` takes IPv4 too, as Node binds it. */
export function overlaps(one: Address, other: Address): boolean {
  if (one.port === 0 || one.port !== other.port) return false
  return covers(one.host, other.host) || covers(other.host, one.host)
}

/**
 * Reads a DNS name (RFC 1123, lower-cased; underscores are let through, private zones use them) or an IP address.
 *
 * @throws {PulsewardError} `host-invalid`, blame `config`.
 */
export function parseHost(text: string): string {
  if (isIP(text) !== 0) return canonical(text)
  const name = text.toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  // An all-digit last label is a mistyped IPv4 address: no top-level domain has one (RFC 3696, 2).
  if (name.length > 253 || !labels.every((part) => label.test(part)) || /^\d+$/.test(labels.at(-1) ?? '')) {
    const hint = /[^\x20-\x7e]/.test(text) ? 'write the name as DNS has it, beginning with "xn--"' : undefined
    throw refuse('host', 'expected a host name or an IP address', hint)
  }
  return name
}

/**
 * Reads `mqtts://broker.example` or `mqtts://broker.example:8883`; IPv6 addresses go in brackets. `mqtt://` is read as
 * well; whether it may be used is for pairing.ts to say.
 *
 * @throws {PulsewardError} `server-invalid` or `host-invalid`, blame `config`.
 */
export function parseServer(text: string): Server {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? []
  const plaintext = scheme?.toLowerCase() === 'mqtt'
  if ((scheme?.toLowerCase() !== 'mqtts' && !plaintext) || rest === undefined) {
    throw refuse('server', 'expected "mqtts://host:port"', schemeHint(scheme))
  }
  if (rest.includes('@')) {
    throw refuse('server', 'expected a server without user name and password', 'devices send their own')
  }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:/?#[\]]+))(?::(\d{1,5}))?\/?$/.exec(rest) ?? []
  const host = bracketed ?? plain
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw refuse('server', 'expected "mqtts://host:port" and nothing after it')
  }
  const port = digits === undefined ? (plaintext ? MQTT_PORT : MQTTS_PORT) : Number(digits)
  if (port < 1 || port > 65_535) throw refuse('server', 'expected a port from 1 to 65535')
  return { host: parseHost(host), port, ...(plaintext && { plaintext }) }
}

/** Whether nothing that is sent there leaves this machine (RFC 6890; RFC 6761, 6.3). */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Whether a place is asked over HTTP rather than read from disk. */
export function isUrl(place: string): boolean {
  return /^https?:\/\//.test(place)
}

/**
 * Reads where a list is published, `http://pki.example/ca.crl`, or takes the path of a file as it is.
 *
 * @throws {PulsewardError} `place-invalid`, blame `config`.
 */
export function parsePlace(text: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) {
    if (text === '' || text.includes('\0')) throw refuse('place', 'expected the path of a file, or a URL')
    return text
  }
  const url = URL.parse(text)
  if (url === null || (scheme !== 'http' && scheme !== 'https')) {
    const hint = scheme === 'ldap' ? 'have the CA publish it over HTTP too, or copy it to a file' : undefined
    throw refuse('place', 'expected a URL that begins with "http://" or "https://"', hint)
  }
  if (url.username !== '' || url.password !== '') {
    throw refuse('place', 'expected a URL without user name and password', 'lists are public')
  }
  if (url.hash !== '' || url.href.length > 500) throw refuse('place', 'expected a shorter URL, without "#"')
  return url.href
}

function covers(host: string, other: string): boolean {
  if (host === other || host === '::') return true
  return host === '0.0.0.0' && !isIPv6(other)
}

function canonical(ip: string): string {
  if (!isIPv6(ip) || ip.includes('%')) return ip.toLowerCase()
  // An IPv4-mapped address binds the IPv4 one (RFC 4291, 2.5.5.2); one spelling, so that overlaps are seen.
  return new SocketAddress({ address: ip, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/, '')
}

function addressHint(text: string): string {
  if (isIPv6(text)) return 'put an IPv6 address in brackets and add the port, like "[::]:1883"'
  if (isIP(text) === 4) return 'add the port, like "0.0.0.0:1883"'
  return 'write the IP address of an interface and a port; "0.0.0.0:1883" or "[::]:1883" for all of them'
}

function schemeHint(scheme: string | undefined): string {
  switch (scheme?.toLowerCase()) {
    case 'tcp':
      return 'Pulseward speaks only TLS to a broker, that is what it is for: give the TLS port, like "mqtts://broker.example:8883"'
    case 'ws':
    case 'wss':
      return 'MQTT over WebSocket is not spoken; give the TLS port of MQTT itself, usually 8883'
    case undefined:
      return 'put "mqtts://" before the host'
    default:
      return 'the scheme is "mqtts"'
  }
}

function refuse(what: string, message: string, hint?: string): PulsewardError {
  return new PulsewardError(`${what}-invalid`, 'config', message, hint === undefined ? {} : { hint })
}
