// Revocation lists: what is read of them, which are refused and why, and that no bytes do any harm.

import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PulsewardError } from '../../src/errors.ts'
import { entryOf, readCrls } from '../../src/tls/crl.ts'
import { serialOf as comparable } from '../../src/tls/der.ts'
import { factsOf } from '../../src/tls/extensions.ts'
import { isSignedBy } from '../../src/tls/signature.ts'
import { der, extension, makeCa, makeKey, makeLeaf, sequence } from '../help/certificates.ts'
import { Folder } from '../help/folder.ts'
import { openssl } from '../help/openssl.ts'
import { makeList, pemList, scoped, serialOf } from '../help/revocation.ts'
import { describeWith } from '../help/tools.ts'

const ca = makeCa('Listing CA')
const other = makeCa('Other CA')
const leaf = makeLeaf(ca)
const day = 86_400_000

const refusalOf = (bytes: Buffer): string => {
  try {
    readCrls(bytes)
  } catch (error) {
    if (error instanceof PulsewardError && error.code === 'crl-invalid') return error.message
    throw error
  }
  return 'read'
}

test('issuer, number, dates and what is revoked since when and why', () => {
  const [at, from, to] = [Date.UTC(2026, 1, 3), Date.UTC(2026, 2, 1), Date.UTC(2051, 0, 1)]
  const revoked = [
    leaf,
    { serial: Buffer.from([0, 0x99, 7]), at, reason: 1 },
    { serial: Buffer.from([5]), at },
  ]
  const [crl] = readCrls(makeList({ issuer: ca, revoked, from, to, number: 77 }))
  if (crl === undefined) throw new Error('none')
  expect(crl.issuer).toEqual(ca.subject)
  expect([crl.number, crl.thisUpdate, crl.nextUpdate, crl.serials.size]).toEqual([77n, from, to, 3])
  expect(entryOf(crl, comparable(Buffer.from([0x99, 7])))).toEqual({ at, why: 'key compromise' })
  expect(entryOf(crl, comparable(Buffer.from([0, 5])))).toEqual({ at, why: 'no reason given' })
  expect(entryOf(crl, comparable(serialOf(leaf)))).toBeDefined()
  expect(entryOf(crl, comparable(Buffer.from([6])))).toBeUndefined()
  expect(crl.keyId).toEqual(factsOf(new X509Certificate(ca.cert))?.keyId)
})

test('one in DER, or several in PEM with words around them', () => {
  const [one, two] = [makeList({ issuer: ca }), makeList({ issuer: other, revoked: [leaf] })]
  expect(readCrls(one)).toHaveLength(1)
  const text = `lists of the ward\n${pemList(one, two)}`
  expect(readCrls(Buffer.from(text)).map(({ issuer }) => issuer)).toEqual([ca.subject, other.subject])
})

test.each([
  ['nothing', Buffer.alloc(0), 'it holds none'],
  ['a certificate', Buffer.from(leaf.cert), 'it holds a certificate'],
  ['a certificate in DER', new X509Certificate(leaf.cert).raw, 'not encoded as RFC 5280 has it'],
  [
    'too many lists',
    Buffer.from(pemList(...Array.from({ length: 17 }, () => makeList({ issuer: ca })))),
    '17 lists',
  ],
  ['too much', Buffer.alloc(16 * 1_048_576 + 1, 0x30), 'larger than 16 MiB'],
  ['half a list', makeList({ issuer: ca }).subarray(0, -1), 'not encoded'],
  ['a list without an end', makeList({ issuer: ca, to: null }), 'when the next one comes'],
  [
    'a delta',
    makeList({ issuer: ca, more: [extension('2.5.29.27', der(0x02, Buffer.from([1])), true)] }),
    'it is a delta',
  ],
  [
    'of some reasons only',
    makeList({ issuer: ca, more: [scoped(der(0x83, Buffer.from([1, 2])))] }),
    'some reasons',
  ],
  ['indirect', makeList({ issuer: ca, more: [scoped(der(0x84, Buffer.from([255])))] }), 'it is indirect'],
  ['of a relative name', makeList({ issuer: ca, more: [scoped(der(0xa0, der(0xa1)))] }), 'it is indirect'],
  [
    'a list with a critical extension',
    makeList({ issuer: ca, more: [extension('1.3.6.1.4.1.99999.1', sequence(), true)] }),
    'a critical extension nobody here knows (1.3.6.1.4.1.99999.1)',
  ],
  [
    'an indirect entry',
    makeList({
      issuer: ca,
      revoked: [{ serial: Buffer.from([1]), more: [extension('2.5.29.29', sequence(), true)] }],
    }),
    'certificates of other issuers',
  ],
  [
    'a critical entry',
    makeList({
      issuer: ca,
      revoked: [{ serial: Buffer.from([1]), more: [extension('1.3.6.1.4.1.99999.1', sequence(), true)] }],
    }),
    'an entry has a critical extension',
  ],
])('%s is refused', (_, bytes, says) => {
  expect(refusalOf(bytes)).toContain(says)
})

test('a key that is not of the algorithm named signs nothing', () => {
  const [crl] = readCrls(makeList({ issuer: ca }))
  const rsa = makeKey.rsa(2048)
  const listed = readCrls(makeList({ issuer: makeCa('RSA', { key: rsa }) }))
  expect(crl && isSignedBy(crl.signed, ca.pair.publicKey, 'refuse')).toBe(true)
  expect(crl && isSignedBy(crl.signed, rsa.publicKey, 'refuse')).toBe(false)
  expect(listed.map(({ signed }) => isSignedBy(signed, rsa.publicKey, 'refuse'))).toEqual([true])
  expect(listed.map(({ signed }) => isSignedBy(signed, ca.pair.publicKey, 'refuse'))).toEqual([false])
})

describe('properties', () => {
  const whole = makeList({ issuer: ca, revoked: [leaf, { serial: Buffer.from([1, 2, 3]), reason: 4 }] })

  test('bytes changed anywhere, or cut off, are refused by name or break the signature', () => {
    const [genuine] = readCrls(whole)
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(whole)
        changed[at] = (changed[at] ?? 0) ^ change
        refusalOf(changed.subarray(0, at))
        if (refusalOf(changed) !== 'read') return
        const [crl] = readCrls(changed)
        for (const serial of crl?.serials ?? []) if (crl !== undefined) entryOf(crl, serial)
        const stands = crl !== undefined && isSignedBy(crl.signed, ca.pair.publicKey, 'refuse')
        if (stands) expect([...crl.serials]).toEqual([...(genuine?.serials ?? [])])
      }),
      { numRuns: 3000 },
    )
  })

  test('noise is refused by name', () => {
    const start = fc.constantFrom(
      [],
      [0x30],
      [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
      [...whole.subarray(0, 40)],
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), (first, rest) => {
        expect(refusalOf(Buffer.from([...first, ...rest]))).not.toBe('read')
      }),
      { numRuns: 1000 },
    )
  })

  test('every serial number that is listed is found, whatever zeros lead it, and no other', () => {
    const number = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(fc.array(number, { maxLength: 20 }), number, (serials, asked) => {
        const revoked = serials.map((serial) => ({ serial: Buffer.concat([Buffer.from([0]), serial]) }))
        const [crl] = readCrls(makeList({ issuer: ca, revoked }))
        const valueOf = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`)
        const isListed = serials.some((serial) => valueOf(serial) === valueOf(asked))
        expect(crl && entryOf(crl, comparable(asked)) !== undefined).toBe(isListed)
      }),
      { numRuns: 60 },
    )
  })
})

describeWith(['openssl'], 'openssl', () => {
  test('a list that it made is read alike', async () => {
    await using folder = await Folder.make({ 'ca.pem': ca.cert, 'ca.key': ca.key, 'leaf.pem': leaf.cert })
    const settings = `[ca]\ndefault_ca=x\n[x]\ndatabase=${folder.at('index')}\ncrlnumber=${folder.at('number')}\ndefault_md=sha384\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`
    await folder.write('openssl.cnf', settings)
    await folder.write('index', '')
    await folder.write('number', '1F\n')
    const authority = [
      '-config',
      folder.at('openssl.cnf'),
      '-cert',
      folder.at('ca.pem'),
      '-keyfile',
      folder.at('ca.key'),
    ]
    await openssl('ca', ...authority, '-revoke', folder.at('leaf.pem'), '-crl_reason', 'superseded')
    await openssl('ca', ...authority, '-gencrl', '-crldays', '3', '-out', folder.at('list.pem'))
    const [crl] = readCrls(await readFile(folder.at('list.pem')))
    if (crl === undefined) throw new Error('none')
    expect(crl.number).toBe(31n)
    expect(crl.nextUpdate - crl.thisUpdate).toBe(3 * day)
    expect(entryOf(crl, comparable(serialOf(leaf)))?.why).toBe('superseded')
    expect(isSignedBy(crl.signed, ca.pair.publicKey, 'refuse')).toBe(true)
    expect(isSignedBy(crl.signed, other.pair.publicKey, 'refuse')).toBe(false)
  })
})
