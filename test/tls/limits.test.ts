// The limits of a path, beyond what the certificate cases show: hostile encodings and sizes, and clocks.

import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { brokerContext } from '../../src/tls/contexts.ts'
import { doubtClock } from '../../src/tls/clock.ts'
import { factsOf } from '../../src/tls/extensions.ts'
import { judgeLimits } from '../../src/tls/limits.ts'
import { mint } from '../../src/tls/mint.ts'
import { releasedAt } from '../../src/version.ts'
import { dns, makeCa, makeKey, makeLeaf, type Made } from '../help/certificates.ts'
import { shakeHands, startTls } from './broker.ts'

const day = 86_400_000
const read = ({ cert }: { cert: string }): X509Certificate => new X509Certificate(cert)
const pathOf = (...made: Made[]): X509Certificate[] => made.map(read)
const name = 'broker.ward.example'

test('what the mint makes is within every limit', async () => {
  const span = { notBefore: Date.now() - day, notAfter: Date.now() + day }
  const ca = await mint({ commonName: 'CA', names: [], key: 'ec', authority: { pathLength: 0 }, ...span })
  for (const key of ['ec', 'rsa'] as const) {
    const leaf = await mint({
      commonName: name,
      names: [name, '192.0.2.7', '2001:db8::7'],
      key,
      issuer: ca,
      ...span,
    })
    expect(judgeLimits([leaf, ca].map(read), name, 'refuse')).toEqual([])
    expect(factsOf(read(leaf))).toMatchObject({ authority: false, signs: true, serves: true, hash: 'strong' })
  }
  expect(factsOf(read(ca))).toMatchObject({ authority: true, pathLength: 0, selfIssued: true })
})

test('the CAs everybody trusts are within every limit', () => {
  for (const cert of rootCertificates) {
    const root = read({ cert })
    expect(factsOf(root), root.subject).toBeDefined()
    const leaf = read(makeLeaf(makeCa('Root')))
    const objections = judgeLimits([leaf, root], name, 'refuse').filter(
      ({ reason }) => !reason.includes('constraints'),
    )
    expect(objections, root.subject).toEqual([])
  }
})

test('bytes that are no certificate are said to be none, whatever they are', () => {
  const raw = read(makeLeaf(makeCa('Root'))).raw
  const mutated = fc
    .array(fc.tuple(fc.nat(raw.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const bytes = Buffer.from(raw)
      for (const [at, byte] of changes) bytes[at] = byte
      return bytes
    })
  fc.assert(
    fc.property(
      fc.oneof(
        mutated,
        fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some)),
      ),
      (bytes) => {
        // Only `raw` is read.
        const facts = factsOf({ raw: bytes } as X509Certificate)
        expect(facts === undefined || typeof facts.signs === 'boolean').toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
  expect(factsOf({ raw: Buffer.alloc(0) } as X509Certificate)).toBeUndefined()
})

test('more names and constraints than can be compared are refused, and at once', () => {
  const many = (count: number, of: string): Buffer[] =>
    Array.from({ length: count }, (_, index) => dns(`${of}${index}.example`))
  const ca = makeCa('Fenced', { constraints: { excluded: many(2000, 'x') } })
  const began = performance.now()
  expect(judgeLimits(pathOf(makeLeaf(ca, { names: many(2000, 'y') }), ca), name, 'refuse')).toEqual([
    { cause: 'untrusted-chain', reason: '"CN=Fenced" limits more names than can be compared' },
  ])
  expect(judgeLimits(pathOf(makeLeaf(ca, { names: many(20, 'y') }), ca), name, 'refuse')).toEqual([])
  expect(performance.now() - began).toBeLessThan(5000)
})

test('a self-issued CA counts for no path length, and its own name for no constraint', () => {
  const permitted = [dns('ward.example')]
  const root = makeCa('Same', { ca: { path: 0 }, constraints: { permitted } })
  const renewed = makeCa('Same', { issuer: root, names: ['elsewhere.example'] })
  expect(judgeLimits(pathOf(makeLeaf(renewed), renewed, root), name, 'refuse')).toEqual([])
  const further = makeCa('Further', { issuer: root, names: ['elsewhere.example'] })
  expect(judgeLimits(pathOf(makeLeaf(further), further, root), name, 'refuse')).toHaveLength(2)
})

test('where SHA-1 is let through in chains, the handshake itself stays with SHA-256', async () => {
  const root = makeCa('Root')
  const { cert, key } = makeLeaf(root, { key: makeKey.rsa(2048), hash: 'sha1' })
  const options = { cert, key, ciphers: 'ECDHE+AESGCM:@SECLEVEL=0', maxVersion: 'TLSv1.2' } as const
  const context = brokerContext({
    ca: [root.cert],
    minVersion: 'TLSv1.2',
    postQuantum: 'prefer',
    weakCertificates: 'accept',
  })
  await using strong = await startTls({ ...options, sigalgs: 'RSA+SHA256' })
  expect((await shakeHands(strong.port, context, { name })).facts.authorized).toBe(true)
  await using weak = await startTls({ ...options, sigalgs: 'RSA+SHA1' })
  await expect(shakeHands(weak.port, context, { name })).rejects.toThrow()
})

test('a clock is doubted only where a date is objected to, and it says what cannot be', () => {
  const now = releasedAt + day
  const path = pathOf(makeLeaf(makeCa('Root'), { from: now - 9 * day, to: now }))
  const old = { cause: 'expired', reason: 'old' } as const
  const other = { cause: 'name-mismatch', reason: 'other' } as const
  expect(doubtClock(releasedAt - 1, [], path)).toEqual([])
  expect(doubtClock(releasedAt - 1, [old, other], path)).toHaveLength(1)
  expect(doubtClock(now + 2 * day, [old], path)).toEqual([])
  expect(doubtClock(now + 400 * day, [old], path)).toHaveLength(1)
  expect(doubtClock(now + 400 * day, [old, other], path)).toEqual([])
  expect(doubtClock(now + 400 * day, [old], [])).toEqual([])
})
