// Revocation in force: lists that change under an open upstream, resumed sessions, and transparency as a hint.

import { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import { expect, test } from 'vitest'
import { trustAnchors } from '../../src/tls/anchors.ts'
import { readCrls } from '../../src/tls/crl.ts'
import { CrlShelf, CrlSource } from '../../src/tls/crl-source.ts'
import type { RevocationSettings } from '../../src/tls/revocation.ts'
import { judge, trustSettings, type TrustSettings } from '../../src/tls/trust.ts'
import { TimestampMemory } from '../../src/tls/transparency.ts'
import type { HandshakeFacts, Verdict } from '../../src/tls/verdict.ts'
import { makeCa, makeLeaf, type Made } from '../help/certificates.ts'
import { makeList, makeResponse, timestamps } from '../help/revocation.ts'
import { factsWith } from '../help/facts.ts'

const ca = makeCa('Listing CA')
const name = 'broker.ward.example'
const hour = 3_600_000

function trusting(wanted: Partial<RevocationSettings> = {}): { settings: TrustSettings; source: CrlSource } {
  const source = new CrlSource('list')
  const revocation = { staple: 'check', unknown: 'accept', lists: new CrlShelf([source]), ...wanted } as const
  const anchors = trustAnchors([ca.cert])
  const settings = trustSettings({
    anchors,
    pins: [],
    minVersion: 'TLSv1.2',
    postQuantum: 'prefer',
    revocation,
  })
  return { settings, source }
}

function shown(leaf: Made, more: Partial<HandshakeFacts> = {}): HandshakeFacts {
  return factsWith({ name, served: [new X509Certificate(leaf.cert)], ...more })
}

const resumed = (leaf: Made, earlier: Verdict, more: Partial<HandshakeFacts> = {}): HandshakeFacts =>
  shown(leaf, { served: [], resumed: true, earlier, ...more })

test('a list that comes later counts at once, for new handshakes and for resumed sessions', () => {
  const { settings, source } = trusting()
  const leaf = makeLeaf(ca)
  source.adopt(readCrls(makeList({ issuer: ca })))
  const first = judge(shown(leaf), settings)
  expect(first).toMatchObject({ verdict: 'trusted', causes: [] })
  expect(judge(resumed(leaf, first), settings).verdict).toBe('trusted')
  source.adopt(readCrls(makeList({ issuer: ca, number: 2, revoked: [leaf] })))
  for (const facts of [shown(leaf), resumed(leaf, first)]) {
    expect(judge(facts, settings)).toMatchObject({
      verdict: 'revoked',
      causes: ['revoked'],
      hint: expect.stringContaining('new key'),
    })
  }
  source.adopt(readCrls(makeList({ issuer: ca, number: 3 })))
  expect(judge(shown(leaf), settings).verdict).toBe('trusted')
})

test('lists are looked through once for a path until others come', () => {
  const source = new CrlSource('list')
  source.adopt(readCrls(makeList({ issuer: ca })))
  const shelf = new CrlShelf([source])
  const path = [new X509Certificate(makeLeaf(ca).cert), new X509Certificate(ca.cert)]
  const first = shelf.standingsOf(path)
  expect(shelf.standingsOf(path)).toBe(first)
  expect([...source.signers].map(({ fingerprint256 }) => fingerprint256)).toEqual([path[1]?.fingerprint256])
  source.adopt(readCrls(makeList({ issuer: ca, number: 2 })))
  expect(shelf.standingsOf(path)).not.toBe(first)
})

test('the staple of the first handshake stands for a resumed session, until it ends', () => {
  const { settings } = trusting({ staple: 'require', unknown: 'refuse', lists: new CrlShelf([]) })
  const leaf = makeLeaf(ca)
  const at = Date.now()
  const staple = makeResponse({ leaf, issuer: ca, to: at + hour })
  const first = judge(shown(leaf, { staple }), settings)
  expect(first).toMatchObject({ verdict: 'trusted', staple: { status: 'good' } })
  const second = judge(resumed(leaf, first, { at: at + hour / 2 }), settings)
  expect(second).toMatchObject({ verdict: 'trusted', staple: first.staple })
  expect(judge(resumed(leaf, second, { at: at + 2 * hour }), settings)).toMatchObject({
    verdict: 'revocation-unknown',
    causes: ['revocation-unknown'],
  })
})

test('a revoked certificate is not let through by pins that only report', () => {
  const { settings, source } = trusting()
  const leaf = makeLeaf(ca)
  const lenient = trustSettings({ ...settings, pins: [`sha256/${'A'.repeat(43)}=`], pinMode: 'report' })
  expect(judge(shown(leaf), lenient)).toMatchObject({
    verdict: 'trusted',
    reported: { causes: ['pin-mismatch'] },
  })
  source.adopt(readCrls(makeList({ issuer: ca, revoked: [leaf] })))
  expect(judge(shown(leaf), lenient)).toMatchObject({
    verdict: 'revoked',
    causes: ['revoked', 'pin-mismatch'],
  })
})

test('without a verified path nobody is asked', () => {
  const { settings } = trusting({ unknown: 'refuse', staple: 'require' })
  const stranger = makeLeaf(makeCa('Other CA'))
  expect(judge(shown(stranger, { authorized: false }), settings).causes).toEqual(['untrusted-chain'])
})

test('a certificate no log vouches for is remarked upon where the one before was logged, and never refused', () => {
  const { settings } = trusting({ lists: new CrlShelf([]) })
  expect(judge(shown(makeLeaf(ca)), settings)).not.toHaveProperty('remarks')
  expect(judge(shown(makeLeaf(ca, { more: [timestamps(2)] })), settings)).not.toHaveProperty('remarks')
  const facts = shown(makeLeaf(ca))
  const verdict = judge(facts, settings)
  expect(verdict).toMatchObject({
    verdict: 'trusted',
    remarks: [expect.stringContaining('logs did for the one before')],
  })
  expect(judge(facts, settings).remarks).toEqual(verdict.remarks)
})

test('a certificate of a public CA that no log vouches for is remarked upon', () => {
  const anchor = new X509Certificate(getCACertificates('bundled')[0] ?? '')
  const memory = new TimestampMemory()
  const plain = new X509Certificate(makeLeaf(ca).cert)
  const logged = new X509Certificate(makeLeaf(ca, { more: [timestamps(1)] }).cert)
  expect(memory.remark(name, [plain, anchor])).toContain('though its CA is a public one')
  expect(memory.remark(name, [plain, new X509Certificate(ca.cert)])).toBeUndefined()
  expect(memory.remark(name, [logged, anchor])).toBeUndefined()
})
