// Certificate cases about revocation: lists, staples, and what happens where neither says anything.

import type { Wanted } from '../help/certificates.ts'
import {
  makeCa,
  makeKey,
  makeLeaf,
  purpose,
  sequence,
  der,
  extension,
  type Made,
} from '../help/certificates.ts'
import {
  makeFailure,
  makeList,
  makeResponse,
  mustStaple,
  ocspSigning,
  placed,
  publishedAt,
  scoped,
  serialOf,
  timestamps,
  type WantedList,
  type WantedResponse,
} from '../help/revocation.ts'
import type { Case, Shown } from './cases.ts'

const day = 86_400_000
const now = Date.now()
const root = makeCa('Listing Root')
const namesake = makeCa('Listing Root')
const other = makeCa('Other Listing Root')
const middle = makeCa('Listing CA', { issuer: root })
const past = { from: now - 9 * day, to: now - day }

const trusted = { verdict: 'trusted', causes: [] } as const
const revoked = { verdict: 'revoked', causes: ['revoked'] } as const
const unknown = { verdict: 'revocation-unknown', causes: ['revocation-unknown'] } as const
const invalid = { verdict: 'revocation-unknown', causes: ['staple-invalid'] } as const
const missing = { verdict: 'revocation-unknown', causes: ['staple-missing'] } as const
const refuse = { unknown: 'refuse' } as const
const required = { staple: 'require' } as const

const listed = 'says a list of its issuer'
const noList = 'there is no list of its issuer'

type Lists = (leaf: Made) => readonly (Omit<WantedList, 'issuer'> & { readonly issuer?: Made })[]

/** A leaf below `middle`, and lists made once it is there: by `middle` unless they say otherwise. */
function onlyLists(make: Lists, more: Partial<Shown> = {}): () => Shown {
  return () => {
    const leaf = makeLeaf(middle)
    const crls = make(leaf).map((wanted) => makeList({ issuer: middle, ...wanted }))
    return { chain: [leaf, middle], ca: [root], crls, ...more }
  }
}

/** The same, and a list of the root that names nobody. */
function lists(make: Lists, more: Partial<Shown> = {}): () => Shown {
  return onlyLists((leaf) => [...make(leaf), { issuer: root }], more)
}

/** A leaf below the root that is shown with a response about it. */
function stapled(
  wanted: Partial<WantedResponse> | null = {},
  { leaf: about = {}, ...more }: Partial<Shown> & { readonly leaf?: Partial<Wanted> } = {},
): () => Shown {
  return () => {
    const leaf = makeLeaf(root, about)
    const staple = wanted === null ? undefined : makeResponse({ leaf, issuer: root, ...wanted })
    return { chain: [leaf], ca: [root], ...(staple && { staple }), ...more }
  }
}

const demanding = { leaf: { more: [mustStaple] } }

function responder(issuer: Made, wanted: Partial<Wanted> = {}): Made {
  return makeLeaf(issuer, { subject: 'Responder', names: [], purposes: [ocspSigning], ...wanted })
}

export const revocationCases: readonly Case[] = [
  // Lists.
  { what: 'list: names others', make: lists(() => [{ revoked: [other] }]), ...trusted },
  { what: 'list: names the leaf', make: lists((leaf) => [{ revoked: [leaf] }]), ...revoked, says: listed },
  {
    what: 'list: names the leaf, key compromise',
    make: lists((leaf) => [{ revoked: [{ serial: serialOf(leaf), reason: 1 }] }]),
    ...revoked,
    says: '(key compromise)',
  },
  {
    what: 'list: the leaf is on hold',
    make: lists((leaf) => [{ revoked: [{ serial: serialOf(leaf), reason: 6 }] }]),
    ...revoked,
    says: '(certificate hold)',
  },
  {
    what: 'list: names the intermediate',
    make: onlyLists(() => [{}, { issuer: root, revoked: [middle] }]),
    ...revoked,
    says: '"CN=Listing CA" was revoked',
  },
  {
    what: 'list: names the leaf, whose key is pinned',
    make: () => {
      const shown = lists((leaf) => [{ revoked: [leaf] }])()
      return { ...shown, pins: shown.chain.slice(0, 1) }
    },
    ...revoked,
  },
  {
    what: 'list: names the leaf, and another key is pinned',
    make: lists((leaf) => [{ revoked: [leaf] }], { pins: [other] }),
    verdict: 'revoked',
    causes: ['revoked', 'pin-mismatch'],
  },
  {
    what: 'list: out of date, names the leaf',
    make: lists((leaf) => [{ ...past, revoked: [leaf] }]),
    ...revoked,
  },
  { what: 'list: out of date', make: lists(() => [past]), ...trusted, remarks: 'counted until' },
  {
    what: 'list: out of date, unknown refused',
    make: lists(() => [past], { revocation: refuse }),
    ...unknown,
    says: 'counted until',
  },
  {
    what: 'list: of tomorrow, unknown refused',
    make: lists(() => [{ from: now + day }], { revocation: refuse }),
    ...unknown,
    says: 'yet to come',
  },
  {
    what: 'list: one of each issuer, unknown refused',
    make: lists(() => [{}], { revocation: refuse }),
    ...trusted,
  },
  {
    what: 'list: none of the root, unknown refused',
    make: onlyLists(() => [{}], { revocation: refuse }),
    ...unknown,
    says: `"CN=Listing CA" is revoked is not known: ${noList}`,
  },
  {
    what: 'list: none of the root',
    make: onlyLists(() => [{}]),
    ...trusted,
    remarks: noList,
  },
  {
    what: 'list: none at all, unknown refused',
    make: onlyLists(() => [], { revocation: refuse }),
    ...unknown,
    says: noList,
  },
  {
    what: 'list: the anchor itself is named by its own',
    make: lists(() => [{}, { issuer: root, revoked: [root] }], { revocation: refuse }),
    ...trusted,
  },
  {
    what: 'list: of another CA names its serial number',
    make: lists((leaf) => [{ issuer: other, revoked: [leaf] }]),
    ...trusted,
    remarks: noList,
  },
  {
    what: 'list: signed by another key',
    make: lists((leaf) => [{ signer: other, revoked: [leaf] }]),
    ...trusted,
    remarks: 'bears the name of its issuer and not its signature',
  },
  {
    what: 'list: signed by another key, unknown refused',
    make: lists((leaf) => [{ signer: other, revoked: [leaf] }], { revocation: refuse }),
    ...unknown,
    says: 'bears the name of its issuer and not its signature',
  },
  {
    what: 'list: of another CA of the same name',
    make: onlyLists(() => [{}, { issuer: namesake, revoked: [middle] }]),
    ...trusted,
    remarks: noList,
  },
  {
    what: 'list: does not say which key signed it',
    make: lists((leaf) => [{ anonymous: true, revoked: [leaf] }]),
    ...revoked,
  },
  {
    what: 'list: its issuer in other letters',
    make: lists((leaf) => [{ issuer: makeCa('LISTING  ca', { key: middle.pair }), revoked: [leaf] }]),
    ...revoked,
  },
  {
    what: 'list: two of one CA, one names the leaf',
    make: lists((leaf) => [{}, { number: 2, revoked: [leaf] }]),
    ...revoked,
  },
  // Lists about some certificates (RFC 5280, 5.2.5).
  ...[
    { about: 'servers only', scope: scoped(der(0x81, Buffer.from([255]))), covers: true },
    { about: 'CAs only', scope: scoped(der(0x82, Buffer.from([255]))), covers: false },
    { about: 'those that name its place', scope: placed('http://pki.example/1.crl'), covers: true },
    { about: 'those that name another place', scope: placed('http://pki.example/9.crl'), covers: false },
  ].flatMap(({ about, scope, covers }): Case[] => {
    const shown = (isRevoked: boolean) => (): Shown => {
      const leaf = makeLeaf(root, {
        more: [publishedAt('http://pki.example/0.crl', 'http://pki.example/1.crl')],
      })
      const list = makeList({ issuer: root, more: [scope], revoked: isRevoked ? [leaf] : [] })
      return { chain: [leaf], ca: [root], crls: [list], revocation: refuse }
    }
    const [verdict, says] = covers ? [trusted, undefined] : [unknown, 'is about other certificates']
    return [
      {
        what: `list: about ${about}, unknown refused`,
        make: shown(false),
        ...verdict,
        ...(says && { says }),
      },
      { what: `list: about ${about}, names the leaf`, make: shown(true), ...revoked },
    ]
  }),
  {
    what: 'list: by a CA that may not sign lists',
    make: () => {
      const silent = makeCa('Silent CA', { issuer: root, usage: ['keyCertSign'] })
      const leaf = makeLeaf(silent)
      return { chain: [leaf, silent], ca: [root], crls: [makeList({ issuer: silent, revoked: [leaf] })] }
    },
    ...trusted,
    remarks: 'not its signature',
  },
  {
    what: 'list: signed with SHA-1',
    make: lists((leaf) => [{ hash: 'sha1', revoked: [leaf] }]),
    ...trusted,
    remarks: 'not its signature',
  },
  {
    what: 'list: signed with SHA-1, old broker',
    make: lists((leaf) => [{ hash: 'sha1', revoked: [leaf] }], { weak: 'accept' }),
    ...revoked,
  },
  ...(['rsa', 'ed25519', 'ed448'] as const).map((kind): Case => ({
    what: `list: signed with ${kind}`,
    make: () => {
      const ca = makeCa('Key CA', { key: kind === 'rsa' ? makeKey.rsa(2048) : makeKey[kind]() })
      const leaf = makeLeaf(ca)
      return { chain: [leaf], ca: [ca], crls: [makeList({ issuer: ca, revoked: [leaf] })] }
    },
    ...revoked,
  })),

  // Staples.
  { what: 'staple: good', make: stapled(), ...trusted },
  { what: 'staple: good, unknown refused', make: stapled({}, { revocation: refuse }), ...trusted },
  { what: 'staple: revoked', make: stapled({ status: 'revoked' }), ...revoked, says: 'the OCSP response' },
  {
    what: 'staple: revoked, key compromise',
    make: stapled({ status: 'revoked', reason: 1 }),
    ...revoked,
    says: '(key compromise)',
  },
  { what: 'staple: revoked, out of date', make: stapled({ status: 'revoked', ...past }), ...revoked },
  {
    what: 'staple: good, and a list names the leaf',
    make: () => {
      const shown = stapled()()
      const [leaf] = shown.chain
      return { ...shown, crls: [makeList({ issuer: root, revoked: leaf === undefined ? [] : [leaf] })] }
    },
    ...revoked,
    says: listed,
  },
  {
    what: 'staple: unknown to the responder',
    make: stapled({ status: 'unknown' }),
    ...trusted,
    remarks: 'knows no such certificate',
  },
  { what: 'staple: out of date', make: stapled(past), ...trusted, remarks: 'it counted until' },
  { what: 'staple: required, out of date', make: stapled(past, { revocation: required }), ...invalid },
  { what: 'staple: required, unknown', make: stapled({ status: 'unknown' }, { revocation: required }), ...invalid }, // prettier-ignore
  { what: 'staple: required, none', make: stapled(null, { revocation: required }), ...missing },
  { what: 'staple: required, good', make: stapled({}, { revocation: required }), ...trusted },
  { what: 'staple: none', make: stapled(null), ...trusted },
  { what: 'staple: none, unknown refused', make: stapled(null, { revocation: refuse }), ...unknown },
  { what: 'staple: not asked for, revoked', make: stapled({ status: 'revoked' }, { revocation: { staple: 'off' } }), ...trusted }, // prettier-ignore
  {
    what: 'must-staple: none',
    make: stapled(null, demanding),
    ...missing,
    says: 'only to be taken with one',
  },
  { what: 'must-staple: good', make: stapled({}, demanding), ...trusted },
  { what: 'must-staple: out of date', make: stapled(past, demanding), ...invalid },
  { what: 'must-staple: revoked', make: stapled({ status: 'revoked' }, demanding), ...revoked },
  {
    what: 'must-staple: of tomorrow',
    make: stapled({ from: now + day, to: now + 2 * day }, demanding),
    ...invalid,
    says: 'yet to come',
  },
  {
    what: 'must-staple: no end, of today',
    make: stapled({ to: null }, demanding),
    ...trusted,
  },
  {
    what: 'must-staple: no end, of last week',
    make: stapled({ from: now - 7 * day, to: null }, demanding),
    ...invalid,
  },
  {
    what: 'must-staple: for another serial number',
    make: stapled({ serial: Buffer.from([1, 2, 3]) }, demanding),
    ...invalid,
    says: 'about another certificate',
  },
  {
    what: 'must-staple: for another issuer',
    make: stapled({ issuer: other, by: root }, demanding),
    ...invalid,
    says: 'about another certificate',
  },
  {
    what: 'must-staple: signed by another key',
    make: stapled({ signer: other }, demanding),
    ...invalid,
    says: 'nobody signed it',
  },
  {
    what: 'must-staple: certificate named by SHA-256',
    make: stapled({ certId: 'sha256' }, demanding),
    ...trusted,
  },
  { what: 'must-staple: certificate named by MD5', make: stapled({ certId: 'md5' }, demanding), ...invalid },
  { what: 'must-staple: signed with SHA-1', make: stapled({ hash: 'sha1' }, demanding), ...invalid },
  { what: 'must-staple: responder named by key', make: stapled({ byKey: true }, demanding), ...trusted },
  { what: 'must-staple: delegated responder', make: stapled({ by: responder(root) }, demanding), ...trusted },
  {
    what: 'must-staple: delegated responder named by key',
    make: stapled({ by: responder(root), byKey: true }, demanding),
    ...trusted,
  },
  {
    what: 'must-staple: responder without the purpose',
    make: stapled({ by: responder(root, { purposes: [purpose.server] }) }, demanding),
    ...invalid,
    says: 'nobody signed it',
  },
  {
    what: 'must-staple: responder of another CA',
    make: stapled({ by: responder(other) }, demanding),
    ...invalid,
    says: 'nobody signed it',
  },
  {
    what: 'must-staple: responder that signed itself',
    make: stapled({ by: makeCa('Listing Root', { purposes: [ocspSigning] }) }, demanding),
    ...invalid,
    says: 'nobody signed it',
  },
  {
    what: 'must-staple: responder out of date',
    make: stapled({ by: responder(root, past) }, demanding),
    ...invalid,
    says: 'it counted until',
  },
  {
    what: 'must-staple: responder with a short key',
    make: stapled({ by: responder(root, { key: makeKey.rsa(1024) }) }, demanding),
    ...invalid,
    says: 'nobody signed it',
  },
  {
    what: 'must-staple: critical extension nobody knows',
    make: stapled({ more: [extension('1.3.6.1.4.1.99999.1', sequence(), true)] }, demanding),
    ...invalid,
    says: 'not encoded',
  },
  {
    what: 'must-staple: the responder asks to come back later',
    make: () => ({ ...stapled(null, demanding)(), staple: makeFailure(3) }),
    ...invalid,
    says: 'asks to come back later',
  },
  {
    what: 'must-staple: no response at all',
    make: () => ({ ...stapled(null, demanding)(), staple: Buffer.from('not DER') }),
    ...invalid,
    says: 'not encoded',
  },

  // Transparency.
  {
    what: 'two logs vouch for it',
    make: () => ({ chain: [makeLeaf(root, { more: [timestamps(2)] })], ca: [root] }),
    ...trusted,
  },
  {
    what: 'timestamps nobody can read',
    make: () => ({
      chain: [makeLeaf(root, { more: [extension('1.3.6.1.4.1.11129.2.4.2', der(0x04, Buffer.from([9])))] })],
      ca: [root],
    }),
    ...trusted,
  },
]
