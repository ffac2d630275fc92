import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { mintAuthority, mintLeaf } from '../../src/tls/issue.ts'
import { mint } from '../../src/tls/mint.ts'
import { Folder } from '../help/folder.ts'
import { openssl } from '../help/openssl.ts'
import { describeWith } from '../help/tools.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NAMES = [
  'gateway.ward.example',
  '*.wild.example',
  'hôpital.example',
  '192.0.2.7',
  '2001:db8::7',
  '::ffff:1.2.3.4',
]
const NOW = Math.floor(Date.now() / 1000) * 1000

describe.each(['rsa', 'ec'] as const)('an %s leaf', (kind) => {
  test('carries its key, names and dates, signed by the authority', async () => {
    const authority = await mintAuthority(NOW)
    const ca = new X509Certificate(authority.cert)
    const { cert, key } = await mintLeaf(authority, NAMES, kind, NOW)
    const leaf = new X509Certificate(cert)
    expect(leaf.checkIssued(ca)).toBe(true)
    expect(leaf.verify(ca.publicKey)).toBe(true)
    expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true)
    expect(leaf.publicKey.asymmetricKeyType).toBe(kind)
    expect(leaf.ca).toBe(false)
    expect(leaf.validFromDate.getTime()).toBe(NOW - HOUR)
    expect(leaf.validToDate.getTime()).toBe(NOW + 397 * DAY)
    for (const name of ['gateway.ward.example', 'a.wild.example', 'xn--hpital-ixa.example']) {
      expect(leaf.checkHost(name, { subject: 'never' })).toBeDefined()
    }
    for (const ip of ['192.0.2.7', '2001:db8::7', '::ffff:1.2.3.4']) expect(leaf.checkIP(ip)).toBe(ip)
    expect(leaf.checkIP('192.0.2.8')).toBeUndefined()
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  })
})

test('an authority may sign servers but no further authorities', async () => {
  const authority = await mintAuthority(NOW)
  const ca = new X509Certificate(authority.cert)
  expect(ca.ca).toBe(true)
  expect(ca.verify(ca.publicKey)).toBe(true)
  expect(ca.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048)
  expect(ca.validToDate.getTime()).toBe(NOW + 3650 * DAY)
  expect((await mintAuthority(NOW)).cert).not.toBe(authority.cert)
  expect(new X509Certificate((await mintAuthority(NOW)).cert).subject).not.toBe(ca.subject)
})

describeWith(['openssl'], 'to openssl', () => {
  test.each(['rsa', 'ec'] as const)(
    'an %s leaf verifies at its strictest, as RFC 5280 wants it',
    async (kind) => {
      await using folder = await Folder.make()
      const authority = await mintAuthority(NOW)
      const ca = await folder.write('ca.pem', authority.cert)
      const leaf = await folder.write('leaf.pem', (await mintLeaf(authority, NAMES, kind, NOW)).cert)
      const strictly = ['-x509_strict', '-check_ss_sig', '-purpose', 'sslserver']
      expect(await openssl('verify', ...strictly, '-CAfile', ca, leaf)).toBe(`${leaf}: OK\n`)
      const text = await openssl('x509', '-in', leaf, '-noout', '-text')
      expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
      const usage = kind === 'rsa' ? 'Digital Signature, Key Encipherment' : 'Digital Signature'
      expect(text).toMatch(new RegExp(`Key Usage: critical\\s+${usage}\\n`))
      expect(text).toContain('X509v3 Authority Key Identifier')
      expect(text).toContain('Signature Algorithm: sha256WithRSAEncryption')
    },
  )

  test('an authority reads as RFC 5280 wants it', async () => {
    await using folder = await Folder.make()
    const file = await folder.write('ca.pem', (await mintAuthority(NOW)).cert)
    const text = await openssl('x509', '-in', file, '-noout', '-text')
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/)
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign/)
  })
})

test('a leaf never outlives its authority', async () => {
  const authority = await mintAuthority(NOW - 3600 * DAY)
  const leaf = new X509Certificate((await mintLeaf(authority, ['a.example'], 'ec', NOW)).cert)
  expect(leaf.validToDate).toEqual(new X509Certificate(authority.cert).validToDate)
})

test('serial numbers are positive, 16 bytes long and never the same', async () => {
  const authority = await mintAuthority(NOW)
  const serials = new Set<string>()
  for (let round = 0; round < 40; round++) {
    const { serialNumber } = new X509Certificate((await mintLeaf(authority, ['a.example'], 'ec', NOW)).cert)
    expect(serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
    serials.add(serialNumber)
  }
  expect(serials.size).toBe(40)
})

test('dates are right on both sides of 2050', async () => {
  const notBefore = Date.UTC(2049, 11, 31, 23, 59, 59)
  const notAfter = Date.UTC(2050, 0, 1, 0, 0, 0)
  const request = { commonName: 'a', names: ['a.example'], key: 'ec' as const }
  const { cert } = await mint({ ...request, notBefore, notAfter })
  const certificate = new X509Certificate(cert)
  expect(certificate.validFromDate.getTime()).toBe(notBefore)
  expect(certificate.validToDate.getTime()).toBe(notAfter)
  // DER: UTCTime (0x17) of 13 characters, then GeneralizedTime (0x18) of 15.
  const der = certificate.raw.toString('latin1')
  expect(der).toContain('\x17\x0d491231235959Z\x18\x0f20500101000000Z')
})

test('names no certificate can carry are refused before a key is made', async () => {
  const authority = await mintAuthority(NOW)
  await expect(mintLeaf(authority, ['a b'], 'rsa', NOW)).rejects.toMatchObject({ code: 'name-invalid' })
})
