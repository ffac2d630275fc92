import { generateKeyPairSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { messageOf, PulsewardError } from '../../src/errors.ts'
import {
  identityKeys,
  makeIdentity,
  nameOf,
  nameOfPeer,
  parseIdentity,
  parsePeer,
  parseSharedKey,
  publicLine,
  sharedKeys,
} from '../../src/pair/keys.ts'

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof PulsewardError) return error.code
    throw error
  }
  return 'none'
}

test('a shared key is base64 or base64url of 32 to 64 bytes, white space around it aside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 64 }), (array) => {
      const key = Buffer.from(array)
      expect(parseSharedKey(`  ${key.toString('base64')}\n`)).toEqual(key)
      expect(parseSharedKey(key.toString('base64url'))).toEqual(key)
    }),
  )
})

test.each([
  ['nothing', ''],
  ['a password', 'correct horse battery staple and some more words'],
  ['31 bytes', randomBytes(31).toString('base64')],
  ['65 bytes', randomBytes(65).toString('base64')],
  ['what is behind a key', `${randomBytes(32).toString('base64')} comment`],
])('%s is no shared key, and the refusal repeats nothing of it', (_, text) => {
  expect(codeOf(() => parseSharedKey(text))).toBe('shared-key-invalid')
  try {
    parseSharedKey(text)
  } catch (error) {
    if (text !== '') expect(messageOf(error)).not.toContain(text)
  }
})

describe('the public line of an identity', () => {
  const identity = parseIdentity(makeIdentity())

  test('is read as it is printed, with or without its padding', () => {
    const line = publicLine(identity)
    expect(line).toMatch(/^ed25519\/[A-Za-z0-9+/]{43}=$/)
    expect(parsePeer(` ${line}\n`)).toBe(line)
    expect(parsePeer(line.slice(0, -1))).toBe(line)
  })

  test.each(['', 'ed25519/', 'sha256/B1bMBM/jQ2DP7Pmv9WZmcdemoRZn7cqON28iWk8QqLA=', 'ed25519/AAAA'])(
    'is not "%s"',
    (text) => expect(codeOf(() => parsePeer(text))).toBe('peer-invalid'),
  )

  test('names the same key that the identity proves by', () => {
    const [own] = identityKeys(identity, []).own
    expect(nameOfPeer(publicLine(identity))).toBe(nameOf(own?.id ?? Buffer.alloc(0)))
  })
})

test('an identity is an Ed25519 key and nothing else', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const pem = ec.export({ type: 'pkcs8', format: 'pem' })
  for (const text of ['', 'secret words', pem]) {
    expect(codeOf(() => parseIdentity(text))).toBe('identity-invalid')
  }
  expect(parseIdentity(makeIdentity()).asymmetricKeyType).toBe('ed25519')
})

test('a key is told apart by its id, which is the same at both ends and is no part of the key', () => {
  const key = randomBytes(32)
  const [[near], [far]] = [sharedKeys([key]).own, sharedKeys([key]).accepted]
  expect(near?.id).toEqual(far?.id)
  expect(key.includes(near?.id ?? key)).toBe(false)
})
