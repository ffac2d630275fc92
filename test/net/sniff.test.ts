// What the first bytes of a connection are taken for: by name, in whatever pieces they arrive.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sniff, type Sniffed, type Stranger } from '../../src/net/sniff.ts'
import { bytes, connectPacket, pingreqPacket, publishPacket, subscribePacket } from '../help/packets.ts'

/** No verdict ever takes more; beyond them, bytes change nothing. */
const enough = 16

const strangers: readonly (readonly [Stranger, string | Buffer])[] = [
  ['proxy-protocol', 'PROXY TCP4 10.0.0.1 10.0.0.2 4711 1883\r\n'],
  ['proxy-protocol', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'],
  ['http', 'GET / HTTP/1.1\r\n'],
  ['http', 'HEAD / HTTP/1.1\r\n'],
  ['http', 'POST /api HTTP/1.1\r\n'],
  ['http', 'PUT /x HTTP/1.1\r\n'],
  ['http', 'DELETE /x HTTP/1.1\r\n'],
  ['http', 'OPTIONS * HTTP/1.1\r\n'],
  ['http', 'CONNECT evil.example:443 HTTP/1.1\r\n'],
  ['http', 'TRACE / HTTP/1.1\r\n'],
  ['http', 'PATCH /x HTTP/1.1\r\n'],
  ['http', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['rtsp', 'DESCRIBE rtsp://camera RTSP/1.0\r\n'],
  ['rtsp', 'SETUP rtsp://camera RTSP/1.0\r\n'],
  ['rtsp', 'RTSP/1.0 200 OK\r\n'],
  ['sip', 'INVITE sip:nurse@ward SIP/2.0\r\n'],
  ['sip', 'REGISTER sip:ward SIP/2.0\r\n'],
  ['sip', 'SIP/2.0 200 OK\r\n'],
  ['ssh', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['amqp', 'AMQP\0\0\x09\x01'],
  ['stomp', 'STOMP\naccept-version:1.2\n\n\0'],
  ['stomp', 'CONNECT\naccept-version:1.2\n\n\0'],
  ['stomp', 'CONNECT\r\naccept-version:1.2\r\n\r\n\0'],
  ['smtp', 'EHLO mail.example\r\n'],
  ['smtp', 'HELO mail.example\r\n'],
  ['rdp', Buffer.from('0300002b26e00000000000', 'hex')],
  ['smb', Buffer.from('000000a4ff534d4272000000', 'hex')],
  ['smb', Buffer.from('ff534d4272000000', 'hex')],
  ['smb', Buffer.from('fe534d4240000000', 'hex')],
  ['sslv2', Buffer.from('802e0100020015000000100100800700c003', 'hex')],
  ['sslv2', Buffer.from('806201030100390000', 'hex')],
  ['sslv2', Buffer.from('810301030000', 'hex')],
  ['mqtt-without-connect', publishPacket({ version: 4, topic: 'ward/1' })],
  ['mqtt-without-connect', publishPacket({ version: 4, topic: 'ward/1', qos: 2, dup: true, retain: true })],
  ['mqtt-without-connect', subscribePacket(4, 1, [['#', 0]])],
  ['mqtt-without-connect', pingreqPacket],
  ['mqtt-without-connect', Buffer.from('e000', 'hex')],
  // What 'P', 'S' and '@' begin may be packets as well as words.
  ['mqtt-without-connect', Buffer.from('50020001', 'hex')],
  ['mqtt-without-connect', Buffer.from('40020001', 'hex')],
  ['unknown', 'hello\r\n'],
  ['unknown', 'get / http/1.1\r\n'],
  ['unknown', Buffer.from('0000000000', 'hex')],
  ['unknown', Buffer.from('ffffffff', 'hex')],
  // PUBLISH with QoS 3, SUBSCRIBE without its flag.
  ['unknown', Buffer.from('3600', 'hex')],
  ['unknown', Buffer.from('8206'.replace('82', '8f'), 'hex')],
  // A TLS record is of version 3.x.
  ['unknown', Buffer.from('16feff0000', 'hex')],
]

describe('a stranger', () => {
  test.each(strangers)('%s is named: %j', (name, hello) => {
    expect(sniffAll(hello)).toEqual({ kind: 'other', name })
  })

  test.each(strangers)('%s is named however it is cut: %j', (name, hello) => {
    const whole = Buffer.from(hello as string, 'latin1')
    for (let length = 0; length <= whole.length; length++) {
      const sniffed = sniff(whole.subarray(0, length))
      if (sniffed !== 'more') expect(sniffed, `${length} bytes`).toEqual({ kind: 'other', name })
    }
  })
})

describe('MQTT and TLS', () => {
  test.each([3, 4, 5] as const)('CONNECT of level %i is told by its first byte', (version) => {
    expect(sniff(connectPacket({ version }).subarray(0, 1))).toEqual({ kind: 'mqtt' })
  })

  test('CONNECT with flags is MQTT: the judge names the mistake', () => {
    for (let flags = 0; flags < 16; flags++) {
      if (flags !== 6) expect(sniff(bytes(0x10 | flags, 12))).toEqual({ kind: 'mqtt' })
    }
  })

  test.each([0, 1, 2, 3, 4])('a TLS record of version 3.%i is TLS', (minor) => {
    const hello = bytes(0x16, 3, minor, 0, 100)
    expect(sniff(hello.subarray(0, 1))).toBe('more')
    expect(sniff(hello.subarray(0, 2))).toEqual({ kind: 'tls' })
    expect(sniff(hello)).toEqual({ kind: 'tls' })
  })
})

test('nothing is known before the first byte', () => {
  expect(sniff(Buffer.alloc(0))).toBe('more')
})

describe('any bytes at all', () => {
  const beginnings = strangers.map(([, hello]) => Buffer.from(hello as string, 'latin1'))
  const hello = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc
      .tuple(fc.constantFrom(...beginnings), fc.nat(40), fc.uint8Array({ maxLength: 20 }))
      .map(([known, keep, more]) => bytes(known.subarray(0, keep), more)),
  )

  test('get one verdict: once given, more bytes never change it', () => {
    fc.assert(
      fc.property(hello, (given) => {
        const whole = Buffer.from(given)
        let verdict: Sniffed = 'more'
        for (let length = 0; length <= whole.length; length++) {
          const sniffed = sniff(whole.subarray(0, length))
          if (verdict !== 'more') expect(sniffed).toEqual(verdict)
          verdict = sniffed
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('get it within sixteen bytes', () => {
    fc.assert(
      fc.property(hello, fc.uint8Array({ minLength: enough, maxLength: enough }), (given, more) => {
        expect(sniff(bytes(given, more))).not.toBe('more')
      }),
      { numRuns: 2000 },
    )
  })
})

/** As a connection is judged: again with every byte that comes. */
function sniffAll(hello: string | Buffer): Sniffed {
  const whole = Buffer.from(hello as string, 'latin1')
  let verdict: Sniffed = 'more'
  for (let length = 1; length <= whole.length && verdict === 'more'; length++) {
    verdict = sniff(whole.subarray(0, length))
  }
  return verdict
}
