import { createHash, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PulsewardError } from '../../src/errors.ts'
import { parsePin, pinOf, samePin } from '../../src/tls/pins.ts'
import { makePki } from '../help/pki.ts'

const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))

test('every spelling of a digest is read as one canonical pin', () => {
  fc.assert(
    fc.property(digests, (digest) => {
      const base64 = digest.toString('base64')
      const hex = digest.toString('hex')
      const canonical = `sha256/${base64}`
      const spellings = [
        canonical,
        canonical.replace('=', ''),
        `  ${canonical}\n`,
        `sha256:${hex}`,
        `SHA256:${hex.toUpperCase()}`,
        `sha256:${hex.replaceAll(/..(?!$)/g, '$&:').toUpperCase()}`,
      ]
      for (const spelling of spellings) expect(parsePin(spelling)).toBe(canonical)
    }),
  )
})

test.each([
  ['nothing', ''],
  ['no algorithm', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
  ['another algorithm', `sha1/${'A'.repeat(27)}=`],
  ['too short', `sha256/${'A'.repeat(42)}=`],
  ['too long', `sha256/${'A'.repeat(44)}=`],
  ['spare bits set', `sha256/${'A'.repeat(42)}B=`],
  ['base64url', `sha256/${'-'.repeat(43)}=`],
  ['short hex', `sha256:${'a'.repeat(63)}`],
  ['stray colons', `sha256:${'aa:'.repeat(32)}`],
  ['half the colons', `sha256:aa:${'a'.repeat(62)}`],
  ['hex after a slash', `sha256/${'a'.repeat(64)}`],
  ['two pins', `sha256/${'A'.repeat(43)}= sha256/${'A'.repeat(43)}=`],
])('%s is no pin', (_, text) => {
  expect(() => parsePin(text)).toThrow(expect.objectContaining({ code: 'pin-invalid', blame: 'config' }))
})

test('the message quotes a bounded part of what was given', () => {
  try {
    parsePin(`x\n${'y'.repeat(100_000)}`)
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(PulsewardError)
    expect((error as PulsewardError).message.length).toBeLessThan(100)
    expect((error as PulsewardError).message).not.toContain('\n')
  }
})

test('the pin of a certificate is the hash of its public key, not of the certificate', async () => {
  const pki = await makePki()
  for (const key of ['rsa', 'ec'] as const) {
    const one = await pki.issue({ key })
    const renewed = await pki.issue({ key: { keep: one.key }, names: ['renewed.example'] })
    const certificate = new X509Certificate(one.cert)
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
    expect(pinOf(certificate)).toBe(`sha256/${createHash('sha256').update(spki).digest('base64')}`)
    expect(pinOf(new X509Certificate(renewed.cert))).toBe(pinOf(certificate))
    expect(parsePin(pinOf(certificate))).toBe(pinOf(certificate))
  }
})

test('only equal canonical pins are the same', () => {
  fc.assert(
    fc.property(digests, digests, (one, other) => {
      const pin = `sha256/${one.toString('base64')}`
      expect(samePin(pin, `sha256/${Buffer.from(one).toString('base64')}`)).toBe(true)
      expect(samePin(pin, `sha256/${other.toString('base64')}`)).toBe(one.equals(other))
      expect(samePin(pin, pin.slice(0, -1))).toBe(false)
      expect(samePin('', '')).toBe(false)
    }),
  )
})
