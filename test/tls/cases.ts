// Certificate cases: what a broker shows, what it is trusted by, and what is to be said of it; minted when asked for.

import { X509Certificate } from 'node:crypto'
import { pinOf } from '../../src/tls/pins.ts'
import type { RevocationSettings } from '../../src/tls/revocation.ts'
import type { Cause, VerdictKind } from '../../src/tls/verdict.ts'
import {
  der,
  directory,
  dns,
  email,
  extension,
  make,
  makeCa,
  makeKey,
  makeLeaf,
  network,
  purpose,
  sequence,
  type KeyPair,
  type Made,
  type Wanted,
} from '../help/certificates.ts'
import { revocationCases } from './revocation-cases.ts'

export interface Shown {
  /** As served, leaf first. */
  readonly chain: readonly Made[]
  readonly ca: readonly Made[]
  readonly name?: string
  /** Whose keys are pinned. */
  readonly pins?: readonly Made[]
  readonly weak?: 'accept'
  /** Revocation lists, in DER. */
  readonly crls?: readonly Buffer[]
  /** The OCSP response it sends along. */
  readonly staple?: Buffer
  readonly revocation?: Partial<Pick<RevocationSettings, 'staple' | 'unknown'>>
  /** Milliseconds since 1970, where the clock of this machine is wrong. */
  readonly at?: number
}

export interface Case {
  readonly what: string
  readonly make: () => Shown
  readonly verdict: VerdictKind | 'no-handshake'
  readonly causes: readonly Cause[]
  /** What one of the reasons says. */
  readonly says?: string | RegExp
  /** What one of the remarks says, of a broker that is trusted all the same. */
  readonly remarks?: string
}

const day = 86_400_000
const year = 365 * day
const now = Date.now()
const expired = { from: now - 9 * day, to: now - day }
const later = { from: now + day, to: now + 9 * day }
const name = 'broker.ward.example'

const keys = new Map<string, KeyPair>()
/** One key of each size for all cases: they take their time to make. */
function rsa(bits: number, which = ''): KeyPair {
  const id = `${bits}${which}`
  const key = keys.get(id) ?? makeKey.rsa(bits)
  keys.set(id, key)
  return key
}

const root = makeCa('Root')
const other = makeCa('Other Root')
const rsaRoot = makeCa('RSA Root', { key: rsa(2048, 'root') })

export const pinsOf = (made: readonly Made[]): string[] =>
  made.map(({ cert }) => pinOf(new X509Certificate(cert)))

/** A leaf directly under the root. */
function leaf(wanted: Partial<Wanted> = {}, more: Partial<Shown> = {}): () => Shown {
  return () => ({ chain: [makeLeaf(root, wanted)], ca: [root], ...more })
}

/** A leaf under CAs under the root, the highest first. */
function under(
  authorities: readonly Partial<Wanted>[],
  wanted: Partial<Wanted> = {},
  more: Partial<Shown> = {},
  top = root,
): () => Shown {
  return () => {
    const chain: Made[] = []
    for (const [index, authority] of authorities.entries()) {
      chain.unshift(makeCa(`CA ${index + 1}`, { issuer: chain[0] ?? top, ...authority }))
    }
    return { chain: [makeLeaf(chain[0] ?? top, wanted), ...chain], ca: [top], ...more }
  }
}

const trusted = { verdict: 'trusted', causes: [] } as const
const untrusted = { verdict: 'likely-mitm', causes: ['untrusted-chain'] } as const
const misnamed = { verdict: 'likely-mitm', causes: ['name-mismatch'] } as const
const old = { verdict: 'expired', causes: ['expired'] } as const
const early = { verdict: 'not-yet-valid', causes: ['not-yet-valid'] } as const
const weakKey = { verdict: 'weak-key', causes: ['weak-key'] } as const
const weakSignature = { verdict: 'weak-signature', causes: ['weak-signature'] } as const
const newKey = { verdict: 'likely-rotation', causes: ['pin-mismatch'] } as const

const deep = /allows \d CAs below it, and there are \d/
const limited = 'by its name constraints'
const unusable = 'not for TLS servers'
const unknown = 'a critical extension that nobody here knows (1.3.6.1.4.1.99999.1)'
const elsewhere = 'OpenSSL refuses its chain: UNABLE_TO_GET_ISSUER_CERT_LOCALLY'
const strange = (critical: boolean): Buffer => extension('1.3.6.1.4.1.99999.1', sequence(), critical)

const named = (names: Wanted['names'], asked = name): (() => Shown) =>
  leaf({ names: names ?? [] }, { name: asked })
const permit = (...permitted: Buffer[]): Partial<Wanted> => ({ constraints: { permitted } })
const exclude = (...excluded: Buffer[]): Partial<Wanted> => ({ constraints: { excluded } })
const ipLeaf = { names: [name, '10.1.2.3'] }

/** One intermediate key with two certificates: under the pinned root with `wanted`, and without limits under another. */
function twoWays(wanted: Partial<Wanted> = {}, at: 'first' | 'last' = 'last'): () => Shown {
  return () => {
    const key = makeKey.ec('prime256v1')
    const bound = makeCa('Crossed', { issuer: rsaRoot, key, ...wanted })
    const free = makeCa('Crossed', { issuer: other, key })
    const crossed = at === 'first' ? [bound, free] : [free, bound]
    return { chain: [makeLeaf(bound), ...crossed], ca: [rsaRoot, other], pins: [rsaRoot] }
  }
}

function crossSigned(order: 'first' | 'last', ca: 'root' | 'other', oldOne = false): () => Shown {
  return () => {
    const key = makeKey.ec('prime256v1')
    const ours = makeCa('Crossed', { issuer: root, key })
    const theirs = makeCa('Crossed', { issuer: other, key, ...(oldOne ? expired : {}) })
    const crossed = order === 'first' ? [ours, theirs] : [theirs, ours]
    return {
      chain: [makeLeaf(ours), ...crossed],
      ca: oldOne ? [root, other] : [ca === 'root' ? root : other],
    }
  }
}

function withExtras(extras: (leaf: Made, middle: Made) => readonly Made[]): () => Shown {
  return () => {
    const middle = makeCa('Middle', { issuer: root })
    const shown = makeLeaf(middle)
    return { chain: [shown, ...extras(shown, middle)], ca: [root] }
  }
}

const crowd = (count: number): Made[] => Array.from({ length: count }, (_, index) => makeCa(`Extra ${index}`))

export const cases: readonly Case[] = [
  // Path length (RFC 5280, 4.2.1.9).
  { what: 'one CA, no path length', make: under([{}]), ...trusted },
  { what: 'path length 0 over a leaf', make: under([{ ca: { path: 0 } }]), ...trusted },
  { what: 'path length 0 over a CA', make: under([{ ca: { path: 0 } }, {}]), ...untrusted, says: deep },
  { what: 'path length 1, exactly met', make: under([{ ca: { path: 1 } }, {}]), ...trusted },
  { what: 'path length 1, exceeded', make: under([{ ca: { path: 1 } }, {}, {}]), ...untrusted, says: deep },
  {
    what: 'path length 0 of the root, exceeded',
    make: under([{}], {}, {}, makeCa('Narrow Root', { ca: { path: 0 } })),
    ...untrusted,
    says: deep,
  },

  // Name constraints (RFC 5280, 4.2.1.10).
  { what: 'permitted domain of the broker', make: under([permit(dns('ward.example'))]), ...trusted },
  { what: 'permitted domain in other letters', make: under([permit(dns('WARD.Example'))]), ...trusted },
  {
    what: 'permitted domain of somebody else',
    make: under([permit(dns('other.example'))]),
    ...untrusted,
    says: limited,
  },
  {
    what: 'permitted domain that only ends alike',
    make: under([permit(dns('ker.ward.example'))]),
    ...untrusted,
    says: limited,
  },
  {
    what: 'excluded domain of the broker',
    make: under([exclude(dns('ward.example'))]),
    ...untrusted,
    says: limited,
  },
  { what: 'excluded domain of somebody else', make: under([exclude(dns('other.example'))]), ...trusted },
  {
    what: 'wildcard over an excluded name',
    make: under([exclude(dns(name))], { names: ['*.ward.example'] }),
    ...untrusted,
    says: limited,
  },
  {
    what: 'permitted network',
    make: under([permit(network('10.0.0.0', '255.0.0.0'))], ipLeaf, { name: '10.1.2.3' }),
    ...trusted,
  },
  {
    what: 'permitted network of others',
    make: under([permit(network('11.0.0.0', '255.0.0.0'))], ipLeaf),
    ...untrusted,
    says: limited,
  },
  {
    what: 'excluded network',
    make: under([exclude(network('10.1.0.0', '255.255.0.0'))], ipLeaf),
    ...untrusted,
    says: limited,
  },
  {
    what: 'excluded IPv6 network',
    make: under([exclude(network('2001:db8::', 'ffff:ffff::'))], { names: [name, '2001:db8::7'] }),
    ...untrusted,
    says: limited,
  },
  {
    what: 'permitted network, no address',
    make: under([permit(network('11.0.0.0', '255.0.0.0'))]),
    ...trusted,
  },
  { what: 'constraint on mail addresses only', make: under([permit(email('ward.example'))]), ...trusted },
  {
    what: 'excluded domain, not critical',
    make: under([{ constraints: { excluded: [dns('ward.example')], critical: false } }]),
    ...untrusted,
    says: limited,
  },
  {
    what: 'permitted directory name',
    make: under([permit(directory([['2.5.4.10', 'Ward']]))], {
      subject: [
        ['2.5.4.10', 'Ward'],
        ['2.5.4.3', name],
      ],
    }),
    ...trusted,
  },
  {
    what: 'permitted directory name of others',
    make: under([permit(directory([['2.5.4.10', 'Ward']]))]),
    ...untrusted,
    says: limited,
  },
  {
    what: 'name constraints of the root',
    make: under([{}], {}, {}, makeCa('Fenced Root', permit(dns('other.example')))),
    ...untrusted,
    says: limited,
  },

  // Extended key usage.
  {
    what: 'no extended key usage',
    make: () => ({ chain: [make({ subject: name, names: [name], issuer: root })], ca: [root] }),
    ...trusted,
  },
  { what: 'server and client', make: leaf({ purposes: [purpose.client, purpose.server] }), ...trusted },
  { what: 'client only', make: leaf({ purposes: [purpose.client] }), ...untrusted, says: unusable },
  { what: 'any purpose', make: leaf({ purposes: [purpose.any] }), ...untrusted, says: unusable },
  { what: 'CA for servers', make: under([{ purposes: [purpose.server] }]), ...trusted },
  {
    what: 'CA for clients only',
    make: under([{ purposes: [purpose.client] }]),
    ...untrusted,
    says: unusable,
  },

  // Key usage and basic constraints.
  {
    what: 'leaf that may not sign',
    make: leaf({ usage: ['keyEncipherment'] }),
    ...untrusted,
    says: 'forbids it to sign',
  },
  {
    what: 'leaf that may sign and encipher',
    make: leaf({ usage: ['digitalSignature', 'keyEncipherment'] }),
    ...trusted,
  },
  { what: 'CA that may not sign certificates', make: under([{ usage: ['crlSign'] }]), ...untrusted },
  { what: 'issuer without the CA flag', make: under([{ ca: false }]), ...untrusted },
  { what: 'issuer without basic constraints', make: under([{ ca: null }]), ...untrusted },
  { what: 'leaf with the CA flag', make: leaf({ ca: {} }), ...trusted },
  {
    what: 'root in the file that is no CA',
    make: under([], {}, {}, makeCa('No Root', { ca: false })),
    ...untrusted,
    says: 'is no CA',
  },

  // Names (RFC 9525, 6.3).
  { what: 'exact name', make: named([name]), ...trusted },
  { what: 'another name', make: named(['other.ward.example']), ...misnamed },
  { what: 'mixed case', make: named(['BroKer.WARD.example']), ...trusted },
  { what: 'second of two names', make: named(['other.example', name]), ...trusted },
  { what: 'common name only', make: named([]), ...misnamed, says: 'no name at all' },
  { what: 'wildcard *.x', make: named(['*.ward.example']), ...trusted },
  { what: 'wildcard for two labels', make: named(['*.ward.example'], 'a.broker.ward.example'), ...misnamed },
  { what: 'wildcard for its own domain', make: named(['*.ward.example'], 'ward.example'), ...misnamed },
  { what: 'wildcard *.*.x', make: named(['*.*.example']), ...misnamed },
  { what: 'wildcard f*o.x', make: named(['bro*er.ward.example']), ...misnamed },
  { what: 'wildcard b*.x', make: named(['b*.ward.example']), ...misnamed },
  { what: 'wildcard alone', make: named(['*']), ...misnamed },
  { what: 'wildcard of a top-level domain', make: named(['*.example'], 'ward.example'), ...misnamed },
  { what: 'wildcard in the middle', make: named(['broker.*.example']), ...misnamed },
  {
    what: 'wildcard for an A-label',
    make: named(['*.ward.example'], 'xn--brker-kva.ward.example'),
    ...trusted,
  },
  { what: 'A-label', make: named(['xn--brker-kva.example'], 'xn--brker-kva.example'), ...trusted },
  { what: 'the same as a U-label', make: named(['brøker.example'], 'xn--brker-kva.example'), ...misnamed },
  { what: 'trailing dot in the certificate', make: named([`${name}.`]), ...misnamed },
  { what: 'leading dot in the certificate', make: named(['.ward.example']), ...misnamed },
  { what: 'IPv4 address', make: named(['192.0.2.7'], '192.0.2.7'), ...trusted },
  { what: 'IPv6 address', make: named(['2001:db8::7'], '2001:db8::7'), ...trusted },
  { what: 'IPv6 address, spelt otherwise', make: named(['2001:db8::7'], '2001:DB8:0:0::7'), ...trusted },
  { what: 'another address', make: named(['192.0.2.7'], '192.0.2.8'), ...misnamed },
  { what: 'address as a DNS name', make: named([dns('192.0.2.7')], '192.0.2.7'), ...misnamed },
  { what: 'wildcard for an address', make: named([dns('*.0.2.7')], '192.0.2.7'), ...misnamed },
  {
    what: 'address of a strange length',
    make: named([der(0x87, Buffer.from([192, 0, 2]))], '192.0.2.7'),
    ...misnamed,
  },
  { what: 'embedded NUL', make: named([`${name}\0.evil.example`]), ...misnamed },
  { what: 'control characters in a name', make: named(['x\r\ny\u001B[31m.example']), ...misnamed },

  // Dates.
  { what: 'expired leaf', make: leaf(expired), ...old },
  { what: 'expired intermediate', make: under([expired]), ...old },
  { what: 'expired root', make: under([{}], {}, {}, makeCa('Old Root', expired)), ...old },
  { what: 'leaf not yet valid', make: leaf(later), ...early },
  { what: 'intermediate not yet valid', make: under([later]), ...early },
  { what: 'valid for a thousand years', make: leaf({ to: Date.UTC(3026, 0) }), ...trusted },
  { what: 'valid since before 1950', make: leaf({ from: Date.UTC(1949, 0) }), ...trusted },
  {
    what: 'expired intermediate, valid cross-signed one first',
    make: crossSigned('first', 'root', true),
    ...trusted,
  },
  {
    what: 'expired intermediate, valid cross-signed one last',
    make: crossSigned('last', 'root', true),
    ...trusted,
  },
  {
    what: 'clock of before the release',
    make: leaf({}, { at: Date.UTC(2001, 0) }),
    ...early,
    says: 'the clock of this machine may be wrong',
  },
  {
    what: 'clock of years after the end',
    make: leaf({}, { at: now + 3 * year }),
    ...old,
    says: 'the clock of this machine may be wrong',
  },

  // Chains.
  // OpenSSL takes the first issuer served, and does not turn back.
  { what: 'cross-signed, asked for the first', make: crossSigned('first', 'root'), ...trusted },
  {
    what: 'cross-signed, asked for the second',
    make: crossSigned('first', 'other'),
    ...untrusted,
    says: elsewhere,
  },
  {
    what: 'cross-signed in the other order, asked for the first',
    make: crossSigned('last', 'root'),
    ...untrusted,
    says: elsewhere,
  },
  {
    what: 'cross-signed in the other order, asked for the second',
    make: crossSigned('last', 'other'),
    ...trusted,
  },
  { what: 'missing intermediate', make: withExtras(() => []), ...untrusted },
  { what: 'chain in the wrong order', make: () => { const shown = under([{}, {}])(); const [first, ...rest] = shown.chain; return { ...shown, chain: [...(first ? [first] : []), ...rest.toReversed()] } }, ...trusted }, // prettier-ignore
  { what: 'root served as well', make: withExtras((_, middle) => [middle, root]), ...trusted },
  { what: 'unrelated certificates', make: withExtras((_, middle) => [...crowd(3), middle]), ...trusted },
  {
    what: 'everything twice',
    make: withExtras((shown, middle) => [shown, middle, middle, shown]),
    ...trusted,
  },
  { what: 'sixteen certificates', make: withExtras((_, middle) => [...crowd(14), middle]), ...trusted },
  {
    what: 'intermediate behind sixteen others',
    make: withExtras((_, middle) => [...crowd(15), middle]),
    ...untrusted,
  },
  { what: 'another root', make: leaf({}, { ca: [other] }), ...untrusted },
  {
    what: 'self-signed',
    make: () => ({ chain: [makeLeaf(undefined)], ca: [root] }),
    verdict: 'likely-mitm',
    causes: ['self-signed'],
  },
  { what: 'self-signed and in the CA file', make: () => { const own = makeLeaf(undefined); return { chain: [own], ca: [own] } }, ...trusted }, // prettier-ignore
  { what: 'root of the same name, another key', make: leaf({}, { ca: [makeCa('Root')] }), ...untrusted },
  {
    what: 'root of the same name beside the right one',
    make: leaf({}, { ca: [makeCa('Root'), root] }),
    ...trusted,
  },

  // Extensions and encodings.
  {
    what: 'critical unknown extension of the leaf',
    make: leaf({ more: [strange(true)] }),
    ...untrusted,
    says: unknown,
  },
  {
    what: 'critical unknown extension of a CA',
    make: under([{ more: [strange(true)] }]),
    ...untrusted,
    says: unknown,
  },
  {
    what: 'unknown extension, not critical',
    make: under([{ more: [strange(false)] }], { more: [strange(false)] }),
    ...trusted,
  },
  { what: 'the same extension twice', make: leaf({ more: [strange(false), strange(false)] }), ...untrusted },
  { what: 'huge serial number', make: leaf({ serial: Buffer.alloc(500, 0x41) }), ...trusted },
  { what: 'negative serial number', make: leaf({ serial: Buffer.from([0xff, 0x01]) }), ...trusted },
  { what: 'very long subject', make: leaf({ subject: 'x'.repeat(20_000) }, { ca: [other] }), ...untrusted },
  {
    what: 'subject that moves the cursor',
    make: leaf({ subject: 'a\r\n\u001B[2J\u202Eb\0', key: rsa(1024) }),
    ...weakKey,
  },

  // Keys (NIST SP 800-131A).
  { what: 'RSA 1024 leaf', make: leaf({ key: rsa(1024) }), ...weakKey },
  { what: 'RSA 1024 intermediate', make: under([{ key: rsa(1024) }]), ...weakKey },
  { what: 'RSA 2047 leaf', make: leaf({ key: rsa(2047) }), ...weakKey },
  { what: 'RSA 2048', make: leaf({ key: rsa(2048) }), ...trusted },
  { what: 'RSA 3072', make: leaf({ key: rsa(3072) }), ...trusted },
  { what: 'RSA-PSS key', make: leaf({ key: makeKey.pss() }), ...trusted },
  { what: 'P-256', make: leaf({ key: makeKey.ec('prime256v1') }), ...trusted },
  { what: 'P-384', make: leaf({ key: makeKey.ec('secp384r1') }), ...trusted },
  { what: 'P-521', make: leaf({ key: makeKey.ec('secp521r1') }), ...trusted },
  { what: 'Ed25519', make: leaf({ key: makeKey.ed25519() }), ...trusted },
  { what: 'Ed448', make: leaf({ key: makeKey.ed448() }), ...trusted },
  {
    what: 'EC leaf of 192 bits',
    make: leaf({ key: makeKey.ec('prime192v1') }),
    verdict: 'no-handshake',
    causes: [],
  },
  { what: 'EC intermediate of 192 bits', make: under([{ key: makeKey.ec('prime192v1') }]), ...weakKey },

  // Signatures.
  { what: 'leaf signed with SHA-1', make: leaf({ hash: 'sha1' }), ...weakSignature, says: 'SHA-1' },
  {
    what: 'intermediate signed with SHA-1',
    make: under([{ hash: 'sha1' }], {}, {}, rsaRoot),
    ...weakSignature,
    says: 'SHA-1',
  },
  {
    what: 'leaf signed with MD5',
    make: under([], { hash: 'md5' }, {}, rsaRoot),
    ...weakSignature,
    says: 'MD5',
  },
  {
    what: 'root that signed itself with SHA-1',
    make: under([{}], {}, {}, makeCa('Old RSA Root', { key: rsa(2048, 'root'), hash: 'sha1' })),
    ...trusted,
  },
  { what: 'leaf signed with SHA-384', make: leaf({ hash: 'sha384' }), ...trusted },

  // An old broker that is allowed to be one.
  { what: 'old broker: SHA-1 leaf', make: leaf({ hash: 'sha1' }, { weak: 'accept' }), ...trusted },
  {
    what: 'old broker: SHA-1 intermediate',
    make: under([{ hash: 'sha1' }], {}, { weak: 'accept' }, rsaRoot),
    ...trusted,
  },
  { what: 'old broker: RSA 1024', make: leaf({ key: rsa(1024) }, { weak: 'accept' }), ...trusted },
  {
    what: 'old broker: RSA 1024 intermediate',
    make: under([{ key: rsa(1024) }], { hash: 'sha1' }, { weak: 'accept' }),
    ...trusted,
  },
  { what: 'old broker: RSA 1016', make: leaf({ key: rsa(1016) }, { weak: 'accept' }), ...weakKey },
  {
    what: 'old broker: MD5',
    make: under([], { hash: 'md5' }, { weak: 'accept' }, rsaRoot),
    ...weakSignature,
  },
  {
    what: 'old broker: path length exceeded',
    make: under([{ ca: { path: 0 } }, {}], {}, { weak: 'accept' }),
    ...untrusted,
    says: deep,
  },
  {
    what: 'old broker: excluded domain',
    make: under([exclude(dns('ward.example'))], {}, { weak: 'accept' }),
    ...untrusted,
    says: limited,
  },
  {
    what: 'old broker: another root',
    make: leaf({ hash: 'sha1' }, { weak: 'accept', ca: [other] }),
    ...untrusted,
  },

  // Pins.
  { what: 'leaf pinned', make: () => { const shown = leaf()(); return { ...shown, pins: shown.chain } }, ...trusted }, // prettier-ignore
  { what: 'intermediate pinned', make: () => { const shown = under([{}])(); return { ...shown, pins: shown.chain.slice(1) } }, ...trusted }, // prettier-ignore
  { what: 'root pinned', make: under([{}], {}, { pins: [root] }), ...trusted },
  { what: 'another key pinned', make: under([{}], {}, { pins: [other] }), ...newKey },
  {
    what: 'pinned key under another name',
    make: () => {
      const genuine = makeLeaf(root)
      return {
        chain: [makeLeaf(root, { key: genuine.pair, names: ['elsewhere.example'] })],
        ca: [root],
        pins: [genuine],
      }
    },
    ...misnamed,
  },
  {
    what: 'pinned key, certified again',
    make: () => {
      const genuine = makeLeaf(root)
      return { chain: [makeLeaf(root, { key: genuine.pair })], ca: [root], pins: [genuine] }
    },
    ...trusted,
  },
  {
    what: 'pin only in an unrelated extra certificate',
    make: () => {
      const genuine = makeLeaf(root)
      return { chain: [makeLeaf(root), genuine], ca: [root], pins: [genuine] }
    },
    verdict: 'likely-mitm',
    causes: ['copied-certificate'],
  },
  // One key, two certificates: OpenSSL takes the way that is served first, and the pin lies on the one with the fault.
  ...['excluded name', 'CA for clients', 'SHA-1', 'unknown extension'].flatMap((fault, index): Case[] => {
    const wanted = [
      exclude(dns('ward.example')),
      { purposes: [purpose.client] },
      { hash: 'sha1' } as const,
      { more: [strange(true)] },
    ][index]
    return [
      { what: `pin beyond a fault OpenSSL does not see: ${fault}`, make: twoWays(wanted, 'last'), ...newKey },
      {
        what: `pin beyond a fault OpenSSL sees: ${fault}`,
        make: twoWays(wanted, 'first'),
        verdict: 'likely-mitm',
        causes: ['untrusted-chain', 'pin-mismatch'],
      },
    ]
  }),
  ...revocationCases,
]
