// JA4: the fingerprint of a TLS ClientHello (algorithm by FoxIO, BSD 3-Clause), from the hello's own lists.
import { hash } from 'node:crypto'

/** What JA4 reads of a ClientHello; every list without GREASE values (RFC 8701), in the order sent. */
export interface Ja4Input {
  /** The highest version offered, as on the wire: 0x0304 is TLS 1.3. */
  readonly version: number
  readonly hasServerName: boolean
  /** The first ALPN protocol, one character a byte; undefined where none was offered. */
  readonly alpn: string | undefined
  readonly ciphers: readonly number[]
  readonly extensions: readonly number[]
  readonly signatureAlgorithms: readonly number[]
}

const SERVER_NAME = 0x0000
const ALPN = 0x0010
const NOTHING = '000000000000'

const VERSIONS = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
])

/** The JA4 of a ClientHello that came over TCP, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`. */
export function ja4(hello: Ja4Input): string {
  return `${shape(hello)}_${digest(sorted(hello.ciphers))}_${digestExtensions(hello)}`
}

function shape(hello: Ja4Input): string {
  const version = VERSIONS.get(hello.version) ?? '00'
  const name = hello.hasServerName ? 'd' : 'i'
  return `t${version}${name}${count(hello.ciphers)}${count(hello.extensions)}${ends(hello.alpn)}`
}

function digestExtensions(hello: Ja4Input): string {
  if (hello.extensions.length === 0) return NOTHING
  const extensions = sorted(hello.extensions.filter((type) => type !== SERVER_NAME && type !== ALPN))
  const algorithms = hello.signatureAlgorithms.map(hex4).join(',')
  return digest(algorithms === '' ? extensions : `${extensions}_${algorithms}`)
}

/** First and last character of the protocol name, or of its hex where either is not alphanumeric. */
function ends(alpn: string | undefined): string {
  if (alpn === undefined || alpn === '') return '00'
  const text = /^[0-9A-Za-z](?:.*[0-9A-Za-z])?$/s.test(alpn)
    ? alpn
    : Buffer.from(alpn, 'latin1').toString('hex')
  return `${text.at(0) ?? '0'}${text.at(-1) ?? '0'}`
}

function count(list: readonly number[]): string {
  return String(Math.min(list.length, 99)).padStart(2, '0')
}

function sorted(list: readonly number[]): string {
  return list
    .toSorted((a, b) => a - b)
    .map(hex4)
    .join(',')
}

function digest(text: string): string {
  return text === '' ? NOTHING : hash('sha256', text, 'hex').slice(0, 12)
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0')
}
