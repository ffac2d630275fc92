// A private key whose public half is somebody else's: what a server needs to show a certificate without having its key.

import { createPublicKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto'

/**
 * A key as PEM (PKCS #8) that TLS servers take for the key of `pem`, since they compare public halves only. What it signs
 * does not verify. For P-256 and for RSA of 2048 bits.
 */
export function impostorKey(pem: string): string {
  const genuine = new X509Certificate(pem).publicKey
  const isRsa = genuine.asymmetricKeyType === 'rsa'
  const { privateKey } = isRsa
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'der' })
  const own = publicNumber(createPublicKey(privateKey.export({ type: 'pkcs8', format: 'pem' })))
  const other = publicNumber(genuine)
  const at = key.indexOf(own)
  if (at === -1 || own.length !== other.length) throw new Error('not a key this can be done with')
  other.copy(key, at)
  const lines = key.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
}

/** The modulus, or the point: what tells one public key from another of its kind. */
function publicNumber(key: KeyObject): Buffer {
  const { n, x, y } = key.export({ format: 'jwk' })
  return Buffer.concat(
    [n, x, y].map((part) => Buffer.from(typeof part === 'string' ? part : '', 'base64url')),
  )
}
