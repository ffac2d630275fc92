// The names a certificate can carry: host names and IP addresses, normalised and in their wire form (RFC 5280, 4.2.1.6).
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { PulsewardError } from '../errors.ts'

/** One subject alternative name: `text` for people, `bytes` as the GeneralName holds them. */
export interface CertificateName {
  readonly kind: 'dns' | 'ip'
  readonly text: string
  readonly bytes: Buffer
}

/** RFC 1035, 2.3.4, as text without the final dot. */
const LONGEST_HOST = 253
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Reads a host name (IDNA to ASCII, lowercase, final dot dropped, one leading `*.` allowed) or an IP address.
 *
 * @throws {PulsewardError} `name-invalid`, blame `config`.
 */
export function certificateName(given: string): CertificateName {
  const ip = isIP(given) > 0 && !given.includes('%') ? ipBytes(given) : undefined
  if (ip !== undefined) return { kind: 'ip', text: given.toLowerCase(), bytes: ip }
  const wild = given.startsWith('*.')
  const host = domainToASCII((wild ? given.slice(2) : given).replace(/\.$/, '')).toLowerCase()
  const text = wild ? `*.${host}` : host
  // An all-digit last label would be taken for an IPv4 address by some readers and for a name by others.
  const readable = host.split('.').every((label) => LABEL.test(label)) && !/(?:^|\.)\d+$/.test(host)
  if (!readable || text.length > LONGEST_HOST) {
    throw new PulsewardError(
      'name-invalid',
      'config',
      `not a host name or address: ${JSON.stringify(given.slice(0, 80))}`,
      {
        hint: 'write names such as "gateway.ward.example", "*.ward.example", "192.0.2.7" or "2001:db8::7"',
      },
    )
  }
  return { kind: 'dns', text, bytes: Buffer.from(text, 'latin1') }
}

function ipBytes(ip: string): Buffer {
  if (isIP(ip) === 4) return Buffer.from(ip.split('.').map(Number))
  // The URL parser turns every spelling, embedded IPv4 included, into hexadecimal groups around at most one '::'.
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::')
  const before = groups(head)
  const after = groups(tail ?? '')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0)
  return Buffer.from([...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]))
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}
