// The keys of paired mode: keys both ends share, the identity of one end, and the public keys of the other.
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { PulsewardError } from '../errors.ts'
import { KEY_ID_BYTES } from './frame.ts'
import type { Method } from './frame.ts'

/** Makes proofs. */
export interface Prover {
  readonly method: Method
  /** Says which key it is and nothing about the key; see `nameOf`. */
  readonly id: Buffer
  /** 64 bytes that nobody without the key can make for this message. */
  readonly prove: (message: Buffer) => Buffer
}

/** Checks proofs of one key. */
export interface Verifier {
  readonly method: Method
  readonly id: Buffer
  /** Takes the same time for every wrong proof of 64 bytes. */
  readonly verify: (message: Buffer, proof: Buffer) => boolean
}

/** What one end holds. */
export interface PairKeys {
  /** Its own, the one in use first; at least one. */
  readonly own: readonly Prover[]
  /** Those the other end may prove by: current and backup. */
  readonly accepted: readonly Verifier[]
}

const LEAST_SHARED = 32
const MOST_SHARED = 64
const PUBLIC_BYTES = 32
const PUBLIC_PREFIX = 'ed25519/'
/** DER of a SubjectPublicKeyInfo of Ed25519 up to the key itself (RFC 8410, 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The keys of an end that shares them with the other: it proves by the first and accepts every one. */
export function sharedKeys(keys: readonly Buffer[]): PairKeys {
  const both = keys.map(sharedKey)
  return { own: both, accepted: both }
}

/** The keys of an end with an identity of its own. */
export function identityKeys(identity: KeyObject, peers: readonly string[]): PairKeys {
  const id = idOf(rawPublic(identity))
  return {
    own: [{ method: 'ed25519', id, prove: (message) => sign(null, message, identity) }],
    accepted: peers.map(peerKey),
  }
}

/**
 * Reads a shared key: base64 or base64url of 32 to 64 random bytes, surrounding white space aside.
 *
 * @throws {PulsewardError} `shared-key-invalid`, blame `config`; repeats nothing of the text.
 */
export function parseSharedKey(text: string): Buffer {
  const trimmed = text.trim()
  const bytes = Buffer.from(trimmed, 'base64')
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(trimmed)
  if (isBase64 && bytes.length >= LEAST_SHARED && bytes.length <= MOST_SHARED) return bytes
  throw new PulsewardError('shared-key-invalid', 'config', 'expected base64 of 32 to 64 random bytes', {
    hint: 'make one with "pulseward pair keygen --shared"; a password somebody thought of can be guessed',
  })
}

/** A new shared key, as `parseSharedKey` reads it. */
export function makeSharedKey(): string {
  return randomBytes(LEAST_SHARED).toString('base64')
}

/**
 * Reads the public line of an identity, `ed25519/` and base64 of 32 bytes, into its canonical spelling.
 *
 * @throws {PulsewardError} `peer-invalid`, blame `config`.
 */
export function parsePeer(text: string): string {
  const trimmed = text.trim()
  const encoded = trimmed.startsWith(PUBLIC_PREFIX) ? trimmed.slice(PUBLIC_PREFIX.length) : ''
  const raw = Buffer.from(encoded, 'base64')
  if (/^[A-Za-z0-9+/]{43}=?$/.test(encoded) && raw.length === PUBLIC_BYTES) return spell(raw)
  throw new PulsewardError('peer-invalid', 'config', 'expected "ed25519/" and 44 characters of base64', {
    hint: 'paste the line that "pulseward pair show" prints at the other end',
  })
}

/** A new identity: an Ed25519 key as PEM (PKCS #8). */
export function makeIdentity(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
}

/** @throws {PulsewardError} `identity-invalid`, blame `config`; repeats nothing of the text. */
export function parseIdentity(pem: string): KeyObject {
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(pem)
  } catch {
    // The cause may quote key material, so it stays here.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key
  throw new PulsewardError('identity-invalid', 'config', 'the file holds no Ed25519 private key in PEM', {
    hint: 'make one with "pulseward pair keygen"',
  })
}

/** The public line of an identity, to be listed at the other end. */
export function publicLine(identity: KeyObject): string {
  return spell(rawPublic(identity))
}

/** A key's id as people read it: 16 hex digits, in logs and in `pulseward pair show`. */
export function nameOf(id: Buffer): string {
  return id.toString('hex')
}

/** The name of the key behind a canonical public line. */
export function nameOfPeer(line: string): string {
  return nameOf(idOf(rawOf(line)))
}

function sharedKey(key: Buffer): Prover & Verifier {
  const prove = (message: Buffer): Buffer => createHmac('sha512', key).update(message).digest()
  return {
    method: 'shared-key',
    id: prove(Buffer.from('pulseward-pair key id')).subarray(0, KEY_ID_BYTES),
    prove,
    verify: (message, proof) => {
      const right = prove(message)
      return proof.length === right.length && timingSafeEqual(proof, right)
    },
  }
}

function peerKey(line: string): Verifier {
  const raw = rawOf(line)
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' })
  return {
    method: 'ed25519',
    id: idOf(raw),
    verify: (message, proof) => verify(null, message, key, proof),
  }
}

function rawPublic(identity: KeyObject): Buffer {
  return createPublicKey(identity).export({ type: 'spki', format: 'der' }).subarray(-PUBLIC_BYTES)
}

function rawOf(line: string): Buffer {
  return Buffer.from(line.slice(PUBLIC_PREFIX.length), 'base64')
}

function idOf(raw: Buffer): Buffer {
  return createHash('sha256').update(raw).digest().subarray(0, KEY_ID_BYTES)
}

function spell(raw: Buffer): string {
  return PUBLIC_PREFIX + raw.toString('base64')
}
