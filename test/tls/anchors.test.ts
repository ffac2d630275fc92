import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { trustAnchors } from '../../src/tls/anchors.ts'
import { makePki } from '../help/pki.ts'

test('a bundle gives all its certificates, each once, whatever stands between them', async () => {
  const [one, two] = await Promise.all([makePki('One'), makePki('Two')])
  const bundle = `# hospital\n${one.ca.cert}\nsubject: something\n${two.ca.cert.replaceAll('\n', '\r\n')}`
  const anchors = trustAnchors([bundle, one.ca.cert])
  expect(anchors.pem).toHaveLength(2)
  expect(anchors.fingerprints).toContain(new X509Certificate(two.ca.cert).fingerprint256)
})

test.each([
  ['nothing', ''],
  ['a private key', '-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n'],
  ['DER', '\x30\x82\x01\x00'],
])('a file with %s is refused', (_, text) => {
  expect(() => trustAnchors([text])).toThrow(expect.objectContaining({ code: 'ca-invalid', blame: 'config' }))
})

test('one broken certificate among good ones is refused, by its number', async () => {
  const { ca } = await makePki()
  const broken = ca.cert.replace(/\n[^\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA')
  expect(() => trustAnchors([ca.cert + broken])).toThrow(/certificate 2 /)
})

test('an unfinished block is not passed over in silence', async () => {
  const { ca } = await makePki()
  const half = ca.cert.slice(0, 300)
  expect(() => trustAnchors([ca.cert + half])).toThrow(expect.objectContaining({ code: 'ca-invalid' }))
})

test('the machine and Node bring anchors of their own', () => {
  const anchors = trustAnchors('system')
  expect(anchors.pem.length).toBeGreaterThan(50)
  expect(anchors.fingerprints.size).toBe(anchors.pem.length)
})
