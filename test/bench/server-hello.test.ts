// What the benchmark reads from a handshake.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readServerHello } from '../../bench/server-hello.ts'

/** A TLS 1.3 ServerHello, field by field from RFC 8446, 4.1.3. */
function serverHello({ group = 0x11ec, cipher = 0x1302, sessionId = 32, share = 1120 } = {}): Buffer {
  const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff])
  const sized = (body: Buffer) => Buffer.concat([u16(body.length), body])
  const supportedVersions = Buffer.concat([u16(43), sized(u16(0x0304))])
  const keyShare = Buffer.concat([u16(51), sized(Buffer.concat([u16(group), sized(Buffer.alloc(share, 9))]))])
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    Buffer.from([sessionId]),
    Buffer.alloc(sessionId, 8),
    u16(cipher),
    Buffer.from([0]),
    sized(Buffer.concat([supportedVersions, keyShare])),
  ])
  const message = Buffer.concat([Buffer.from([2, 0]), u16(body.length), body])
  return Buffer.concat([Buffer.from([22]), u16(0x0303), sized(message)])
}

describe('readServerHello', () => {
  test('names version, cipher and group', () => {
    expect(readServerHello(serverHello())).toEqual({
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      group: 'X25519MLKEM768',
    })
  })

  test('finds its fields behind any session id', () => {
    const hello = serverHello({ group: 0x001d, cipher: 0x1301, sessionId: 0, share: 32 })
    expect(readServerHello(hello)).toMatchObject({ cipher: 'TLS_AES_128_GCM_SHA256', group: 'X25519' })
  })

  test('shows an unknown code as it is', () => {
    expect(readServerHello(serverHello({ group: 0x0abc }))).toMatchObject({ group: '0x0abc' })
  })

  test('waits for the whole record, and does not mind what follows it', () => {
    const hello = serverHello()
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: hello.length - 1 }),
        fc.uint8Array({ maxLength: 50 }),
        (cut, more) => {
          expect(readServerHello(hello.subarray(0, cut))).toBeUndefined()
          expect(readServerHello(Buffer.concat([hello, more]))).toEqual(readServerHello(hello))
        },
      ),
    )
  })

  test('refuses an alert and another handshake message', () => {
    expect(() => readServerHello(Buffer.from([21, 3, 3, 0, 2, 2, 40]))).toThrow(
      'not a handshake record: type 21',
    )
    expect(() => readServerHello(Buffer.from([22, 3, 3, 0, 1, 1]))).toThrow(
      'not a ServerHello: handshake type 1',
    )
  })
})
