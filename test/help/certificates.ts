// Certificates no honest CA would issue: every field as a test wants it, written and signed here, never read back.

import { createHash, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** How a certificate is signed; RSA with SHA-256 or what the key does by itself where nothing else is said. */
export type Hash = 'md5' | 'sha1' | 'sha256' | 'sha384'

export interface Wanted {
  /** Common name; `[oid, text]` pairs where a test wants another subject. */
  readonly subject: string | readonly (readonly [string, string])[]
  readonly key?: KeyPair
  readonly issuer?: Made
  readonly hash?: Hash
  /** Milliseconds since 1970, or a time as it is to be written. */
  readonly from?: number
  readonly to?: number
  readonly serial?: Buffer
  /** DNS names and IP addresses of the subject alternative name, or general names as they are. */
  readonly names?: readonly (string | Buffer)[]
  /** `null` leaves the extension out. */
  readonly ca?: { readonly path?: number } | false | null
  readonly usage?: readonly ('digitalSignature' | 'keyCertSign' | 'crlSign' | 'keyEncipherment')[] | null
  readonly purposes?: readonly string[]
  readonly constraints?: {
    readonly permitted?: readonly Buffer[]
    readonly excluded?: readonly Buffer[]
    readonly critical?: boolean
  }
  readonly more?: readonly Buffer[]
}

export interface Made {
  readonly cert: string
  /** PKCS #8 PEM. */
  readonly key: string
  readonly pair: KeyPair
  readonly subject: Buffer
}

const day = 86_400_000

export const purpose = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const

const usageBits = { digitalSignature: 0x80, keyEncipherment: 0x20, keyCertSign: 0x04, crlSign: 0x02 }

export const makeKey = {
  rsa: (bits: number): KeyPair => generateKeyPairSync('rsa', { modulusLength: bits }),
  ec: (curve: string): KeyPair => generateKeyPairSync('ec', { namedCurve: curve }),
  ed25519: (): KeyPair => generateKeyPairSync('ed25519'),
  ed448: (): KeyPair => generateKeyPairSync('ed448'),
  pss: (): KeyPair => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
}

/** A certificate with exactly these fields. */
export function make(wanted: Wanted): Made {
  const pair = wanted.key ?? makeKey.ec('prime256v1')
  const signer = wanted.issuer?.pair ?? pair
  const subject =
    typeof wanted.subject === 'string'
      ? distinguished([['2.5.4.3', wanted.subject]])
      : distinguished(wanted.subject)
  const [algorithm, hash] = algorithmOf(signer.privateKey, wanted.hash ?? 'sha256')
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(
      0x02,
      wanted.serial ??
        Buffer.from([0x40, ...createHash('sha256').update(String(Math.random())).digest().subarray(0, 12)]),
    ),
    algorithm,
    wanted.issuer?.subject ?? subject,
    sequence(time(wanted.from ?? Date.now() - day), time(wanted.to ?? Date.now() + 9 * day)),
    subject,
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(wanted, pair.publicKey, signer.publicKey))),
  )
  const signature = sign(hash, body, signer.privateKey)
  const raw = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature))
  return {
    cert: pem(raw),
    key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    pair,
    subject,
  }
}

/** A CA certificate, signed by itself unless `issuer` says otherwise. */
export function makeCa(subject: string, wanted: Partial<Wanted> = {}): Made {
  return make({ subject, ca: {}, usage: ['keyCertSign', 'crlSign'], ...wanted })
}

/** A server certificate for `broker.ward.example` unless `wanted` says otherwise. */
export function makeLeaf(issuer: Made | undefined, wanted: Partial<Wanted> = {}): Made {
  return make({
    subject: 'broker.ward.example',
    names: ['broker.ward.example'],
    ca: false,
    usage: ['digitalSignature'],
    purposes: [purpose.server],
    ...(issuer && { issuer }),
    ...wanted,
  })
}

function extensions(wanted: Wanted, key: KeyObject, signer: KeyObject): Buffer[] {
  const { ca = false, usage, names, purposes, constraints, more = [] } = wanted
  const list: Buffer[] = []
  if (ca === false) list.push(extension('2.5.29.19', sequence(), true))
  else if (ca !== null) {
    const path = ca.path === undefined ? [] : [der(0x02, Buffer.from([ca.path]))]
    list.push(extension('2.5.29.19', sequence(der(0x01, Buffer.from([255])), ...path), true))
  }
  if (usage !== null && usage !== undefined) {
    const bits = usage.reduce((sum, name) => sum | usageBits[name], 0)
    list.push(extension('2.5.29.15', der(0x03, Buffer.from([0, bits])), true))
  }
  list.push(extension('2.5.29.14', der(0x04, keyId(key))))
  list.push(extension('2.5.29.35', sequence(der(0x80, keyId(signer)))))
  if (purposes !== undefined) list.push(extension('2.5.29.37', sequence(...purposes.map(oid))))
  if (names !== undefined && names.length > 0) {
    list.push(
      extension(
        '2.5.29.17',
        sequence(...names.map((name) => (typeof name === 'string' ? general(name) : name))),
      ),
    )
  }
  if (constraints !== undefined) {
    const { permitted = [], excluded = [], critical = true } = constraints
    const subtrees = (tag: number, bases: readonly Buffer[]): Buffer[] =>
      bases.length === 0 ? [] : [der(tag, ...bases.map((base) => sequence(base)))]
    list.push(
      extension('2.5.29.30', sequence(...subtrees(0xa0, permitted), ...subtrees(0xa1, excluded)), critical),
    )
  }
  return [...list, ...more]
}

/** A general name: DNS name, or IP address. */
function general(name: string): Buffer {
  return isIP(name) === 0 ? dns(name) : der(0x87, address(name))
}

export function dns(name: string): Buffer {
  return der(0x82, Buffer.from(name, 'latin1'))
}

export function email(name: string): Buffer {
  return der(0x81, Buffer.from(name, 'latin1'))
}

export function directory(name: readonly (readonly [string, string])[]): Buffer {
  return der(0xa4, distinguished(name))
}

/** An IP subtree of a name constraint. */
export function network(base: string, mask: string): Buffer {
  return der(0x87, address(base), address(mask))
}

export function extension(type: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(type), ...(critical ? [der(0x01, Buffer.from([255]))] : []), der(0x04, value))
}

function address(ip: string): Buffer {
  if (isIP(ip) === 4) return Buffer.from(ip.split('.').map(Number))
  const [head = '', tail = ''] = ip.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const zeros = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => 0)
  return Buffer.from(
    [...groups(head), ...zeros, ...groups(tail)].flatMap((group) => [group >> 8, group & 0xff]),
  )
}

function distinguished(attributes: readonly (readonly [string, string])[]): Buffer {
  return sequence(
    ...attributes.map(([type, text]) => der(0x31, sequence(oid(type), der(0x0c, Buffer.from(text))))),
  )
}

export function algorithmOf(key: KeyObject, hash: Hash): readonly [Buffer, Hash | null] {
  const kind = key.asymmetricKeyType
  if (kind === 'ed25519') return [sequence(oid('1.3.101.112')), null]
  if (kind === 'ed448') return [sequence(oid('1.3.101.113')), null]
  if (kind === 'ec') {
    const types = {
      md5: '',
      sha1: '1.2.840.10045.4.1',
      sha256: '1.2.840.10045.4.3.2',
      sha384: '1.2.840.10045.4.3.3',
    }
    return [sequence(oid(types[hash])), hash]
  }
  const types = { md5: 4, sha1: 5, sha256: 11, sha384: 12 }
  return [sequence(oid(`1.2.840.113549.1.1.${types[hash]}`), der(0x05)), hash]
}

export function keyId(key: KeyObject): Buffer {
  const spki = createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({
    type: 'spki',
    format: 'der',
  })
  return createHash('sha256').update(spki).digest().subarray(0, 20)
}

/** UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
export function time(moment: number): Buffer {
  const text = new Date(moment).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const [tag, written] = text < '2050' && text > '1950' ? [0x17, text.slice(2)] : [0x18, text]
  return der(tag, Buffer.from(written))
}

export function sequence(...members: readonly Buffer[]): Buffer {
  return der(0x30, ...members)
}

export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const size = Buffer.from(
    length.toString(16).padStart(length.toString(16).length + (length.toString(16).length % 2), '0'),
    'hex',
  )
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length]), size, content])
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return der(0x06, Buffer.from(bytes))
}

function pem(raw: Buffer): string {
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
