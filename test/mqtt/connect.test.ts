import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkConnect, claimedVersion, readConnect } from '../../src/mqtt/connect.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { bytes, connectPacket, field, type ConnectShape, type Level } from '../help/packets.ts'
import { scopeOf } from '../help/scope.ts'

/** Where the variable header begins: behind one length byte, or two. */
const bodyOf = (frame: Uint8Array): number => (frame[1]! < 0x80 ? 2 : 3)

/** Control characters and noncharacters, which strings may not hold. */
const discouraged = /\p{Cc}|\p{Noncharacter_Code_Point}/u

const shape = fc.record({
  version: fc.constantFrom<Level>(3, 4, 5),
  clientId: fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((one) => !discouraged.test(one)),
  clean: fc.boolean(),
  keepAlive: fc.nat(0xffff),
  credentials: fc.constantFrom('none', 'user', 'both'),
  will: fc.boolean(),
  properties: fc.constantFrom('', '\x11\0\0\0\x01', `\x26\0\x01k\0\xc8${'v'.repeat(200)}`),
})

describe('the facts of CONNECT', () => {
  test('are those it was built from', () => {
    fc.assert(
      fc.property(shape, ({ credentials, will, properties, ...rest }) => {
        const built: ConnectShape = {
          ...rest,
          properties: Buffer.from(properties, 'latin1'),
          ...(credentials === 'none' ? {} : { username: 'ward' }),
          ...(credentials === 'both' ? { password: Buffer.from('secret') } : {}),
          ...(will ? { will: { topic: 'gone', payload: Buffer.from('x'), qos: 1, retain: true } } : {}),
        }
        const frame = connectPacket(built)
        expect(checkConnect(frame, bodyOf(frame), frame.length, scopeOf())).toBe(frame.length)
        expect(readConnect(frame, bodyOf(frame), frame.length)).toEqual({
          version: rest.version,
          clientId: rest.clientId,
          keepAlive: rest.keepAlive,
          clean: rest.clean,
          hasUsername: credentials !== 'none',
          hasPassword: credentials === 'both',
          hasWill: will,
        })
        expect(claimedVersion(frame, bodyOf(frame), frame.length)).toBe(rest.version)
      }),
    )
  })

  test('hold no credentials', () => {
    const frame = connectPacket({ version: 4, username: 'nurse-joy', password: Buffer.from('hunter2') })
    const facts = JSON.stringify(readConnect(frame, 2, frame.length))
    expect(facts).not.toContain('nurse-joy')
    expect(facts).not.toContain('hunter2')
  })

  test('do not alias the buffer they were read from', () => {
    const frame = connectPacket({ version: 4, clientId: 'pump' })
    const facts = readConnect(frame, 2, frame.length)
    frame.fill(0)
    expect(facts.clientId).toBe('pump')
  })
})

describe('the flags of CONNECT', () => {
  test.each([3, 4, 5] as const)('are judged in version %i as the standard has them, all 256', (level) => {
    const wrong: string[] = []
    for (let flags = 0; flags < 256; flags++) {
      const verdict = judge(level, flags)
      const expected = naive(level, flags)
      if (verdict !== expected) wrong.push(`${flags.toString(2)}: ${verdict}, not ${expected}`)
    }
    expect(wrong).toEqual([])
  })
})

describe('the claimed version', () => {
  test('is found or not, and nothing is read beyond the end, wherever CONNECT breaks off', () => {
    for (const version of [3, 4, 5] as const) {
      const frame = connectPacket({ version })
      const level = 2 + 2 + (version === 3 ? 6 : 4)
      for (let end = 2; end <= frame.length; end++) {
        expect(claimedVersion(frame, 2, end)).toBe(end > level ? version : 0)
      }
    }
  })
})

/** A CONNECT body that carries just the fields its flags announce. */
function judge(level: Level, flags: number): string {
  const has = (bit: number): boolean => (flags & bit) !== 0
  const body = bytes(
    field(level === 3 ? 'MQIsdp' : 'MQTT'),
    level,
    flags,
    0,
    60,
    level === 5 ? 0 : '',
    field('pump'),
    has(0x04) ? bytes(level === 5 ? 0 : '', field('gone'), field('x')) : '',
    has(0x80) ? field('ward') : '',
    has(0x40) ? field('secret') : '',
  )
  const outcome = checkConnect(body, 0, body.length, scopeOf())
  return outcome === body.length ? 'pass' : brokenRule(outcome).id
}

function naive(level: Level, flags: number): string {
  const has = (bit: number): boolean => (flags & bit) !== 0
  const qos = (flags >> 3) & 3
  if (level !== 3 && has(0x01)) return 'connect-reserved-flag'
  if (level !== 3 && !has(0x04) && (qos > 0 || has(0x20))) return 'will-flags'
  if (has(0x04) && qos === 3) return 'will-qos'
  if (level !== 5 && has(0x40) && !has(0x80)) return 'password-without-username'
  return 'pass'
}
