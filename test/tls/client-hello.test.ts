import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { MAX_CLIENT_HELLO, parseClientHello } from '../../src/tls/client-hello.ts'
import type { ClientHello, ClientHelloResult } from '../../src/tls/client-hello.ts'
import { listen } from './broker.ts'

/** A hello put together byte by byte, independently of the parser. */
interface Plan {
  readonly version?: number
  readonly session?: number
  readonly ciphers?: readonly number[]
  readonly compression?: readonly number[]
  /** Undefined leaves the whole block out. */
  readonly extensions?: readonly (readonly [number, Buffer])[] | undefined
}

function u16(...values: readonly number[]): Buffer {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]))
}

function sized16(content: Buffer): Buffer {
  return Buffer.concat([u16(content.length), content])
}

function sized8(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([content.length]), content])
}

const serverName = (name: string): readonly [number, Buffer] => [
  0,
  sized16(Buffer.concat([Buffer.from([0]), sized16(Buffer.from(name, 'latin1'))])),
]
const alpn = (...names: readonly string[]): readonly [number, Buffer] => [
  16,
  sized16(Buffer.concat(names.map((name) => sized8(Buffer.from(name, 'latin1'))))),
]
const versions = (...list: readonly number[]): readonly [number, Buffer] => [43, sized8(u16(...list))]
const algorithms = (...list: readonly number[]): readonly [number, Buffer] => [13, sized16(u16(...list))]
const groups = (...list: readonly number[]): readonly [number, Buffer] => [10, sized16(u16(...list))]
const keyShares = (...list: readonly number[]): readonly [number, Buffer] => [
  51,
  sized16(Buffer.concat(list.map((group) => Buffer.concat([u16(group), sized16(Buffer.alloc(32))])))),
]

function message(plan: Plan): Buffer {
  const { version = 0x0303, session = 32, ciphers = [0x1301], compression = [0] } = plan
  const extensions = 'extensions' in plan ? plan.extensions : [versions(0x0304)]
  const body = Buffer.concat([
    u16(version),
    Buffer.alloc(32, 7),
    sized8(Buffer.alloc(session)),
    sized16(u16(...ciphers)),
    sized8(Buffer.from(compression)),
    ...(extensions === undefined
      ? []
      : [
          sized16(
            Buffer.concat(extensions.map(([type, content]) => Buffer.concat([u16(type), sized16(content)]))),
          ),
        ]),
  ])
  return Buffer.concat([Buffer.from([1, body.length >> 16]), u16(body.length & 0xffff), body])
}

/** The message in records that hold so many bytes each. */
function records(bytes: Buffer, size = 2 ** 14): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) {
    parts.push(Buffer.from([22, 3, 1]), sized16(bytes.subarray(at, at + size)))
  }
  return Buffer.concat(parts)
}

function parse(bytes: Buffer): ClientHelloResult {
  return parseClientHello(bytes, 0, bytes.length)
}

function helloIn(bytes: Buffer): ClientHello {
  const result = parse(bytes)
  if (typeof result === 'string' || 'error' in result) throw new Error(JSON.stringify(result))
  return result.hello
}

/** The bytes node's own TLS client begins with. */
async function capture(options: ConnectionOptions): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const server = createServer((socket: Socket) => {
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (parse(bytes) !== 'more') resolve(bytes)
    })
  })
  await using listening = await listen(server)
  const client = connect({ port: listening.port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  client.on('error', () => {})
  const bytes = await promise
  client.destroy()
  await once(client, 'close')
  return bytes
}

/** The published example of JA4: these ciphers, extensions and algorithms of a browser hash to this name. */
const PUBLISHED = 't13d1516h2_8daaf6152771_e5627efa2ab1'

function browserHello(): Buffer {
  const grease = 0x3a3a
  const ciphers = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
    0x002f, 0x0035,
  ]
  const blank = [0x0012, 0x0005, 0x000b, 0x0015, 0x0017, 0x001b, 0x0023, 0x002d, 0x4469, 0xff01]
  return message({
    ciphers: [grease, ...ciphers],
    extensions: [
      [grease, Buffer.alloc(0)],
      ...blank.map((type) => [type, Buffer.alloc(3)] as const),
      serverName('broker.example'),
      alpn('h2', 'http/1.1'),
      versions(0x4a4a, 0x0304, 0x0303),
      groups(grease, 0x001d),
      keyShares(grease, 0x001d),
      algorithms(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
      [0xfafa, Buffer.from([0])],
    ],
  })
}

describe('real hellos', () => {
  let captured: Buffer

  beforeAll(async () => {
    captured = await capture({
      servername: 'Broker.Example',
      ALPNProtocols: ['mqtt', 'x'],
      minVersion: 'TLSv1.2',
    })
  })

  test('node with TLS 1.3', () => {
    const hello = helloIn(captured)
    expect(hello).toMatchObject({
      legacyVersion: 0x0303,
      versions: [0x0304, 0x0303],
      sni: 'broker.example',
      alpn: ['mqtt', 'x'],
      grease: false,
    })
    expect(hello.keyShares).toContain(0x11ec) // X25519MLKEM768
    expect(hello.ja4).toMatch(/^t13d\d{4}mt_[0-9a-f]{12}_[0-9a-f]{12}$/)
  })

  test('node with TLS 1.2 and without a name', async () => {
    const hello = helloIn(await capture({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }))
    expect(hello).toMatchObject({
      legacyVersion: 0x0303,
      versions: [0x0303],
      sni: undefined,
      alpn: [],
      keyShares: [],
    })
    expect(hello.ciphers).toContain(0xc02f)
    expect(hello.ja4).toMatch(/^t12i01\d\d00_/)
  })

  test('one client, one name: the JA4 does not depend on what is random in a hello', async () => {
    const again = await capture({
      servername: 'other.example',
      ALPNProtocols: ['mqtt'],
      minVersion: 'TLSv1.2',
    })
    expect(helloIn(again).ja4).toBe(helloIn(captured).ja4)
  })

  test('any segmentation and any cut into records reads the same, and never too early', () => {
    const plain = captured.subarray(5)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat({ max: 50 }), (size, offset) => {
        const wire = Buffer.concat([
          Buffer.alloc(offset, 0xff),
          records(plain, size),
          Buffer.from('more bytes'),
        ])
        const whole = wire.length - 'more bytes'.length
        expect(parseClientHello(wire, offset, whole - 1)).toBe('more')
        expect(parseClientHello(wire, offset, whole)).toEqual(parse(captured))
        expect(parseClientHello(wire, offset, wire.length)).toEqual(parse(captured))
      }),
    )
    for (let length = 0; length < captured.length; length++)
      expect(parse(captured.subarray(0, length))).toBe('more')
  })
})

describe('JA4', () => {
  test('the published example', () => {
    expect(helloIn(records(browserHello())).ja4).toBe(PUBLISHED)
    expect(helloIn(records(browserHello())).grease).toBe(true)
  })

  test.each([
    ['h2', 'h2'],
    ['http/1.1', 'h1'],
    ['x', 'xx'],
    ['\u00abtext', 'a4'], // hex 'ab…74'
    ['0\u00ff', '3f'],
  ])('ALPN %j appears as %s', (name, ends) => {
    const hello = helloIn(records(message({ extensions: [alpn(name), versions(0x0304)] })))
    expect(hello.ja4.slice(8, 10)).toBe(ends)
  })

  test('a hello without extensions, as TLS 1.0 devices send it', () => {
    const hello = helloIn(
      records(message({ version: 0x0301, ciphers: [0x002f, 0x0035], extensions: undefined })),
    )
    expect(hello).toMatchObject({ versions: [0x0301], extensions: [] })
    expect(hello.ja4).toMatch(/^t10i020000_[0-9a-f]{12}_000000000000$/)
  })

  test('an unknown highest version is 00', () => {
    expect(helloIn(records(message({ version: 0x0399, extensions: undefined }))).ja4).toMatch(/^t00/)
  })

  test('the order of ciphers and extensions does not matter', () => {
    const one = message({ ciphers: [0x1301, 0x1302], extensions: [versions(0x0304), groups(0x001d)] })
    const two = message({ ciphers: [0x1302, 0x1301], extensions: [groups(0x001d), versions(0x0304)] })
    expect(helloIn(records(one)).ja4).toBe(helloIn(records(two)).ja4)
  })
})

describe('what is no hello', () => {
  const whole = records(message({}))

  test.each([
    ['an MQTT CONNECT', Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84]), 'not-handshake'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), 'not-handshake'],
    ['an SSL 2 hello', Buffer.from([0x80, 46, 1, 3, 1]), 'not-handshake'],
    ['another record version', Buffer.from([22, 4]), 'bad-record'],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0]), 'bad-record'],
    ['a record over 2^14', Buffer.from([22, 3, 1, 0x40, 1]), 'bad-record'],
    [
      'an alert in the middle',
      Buffer.concat([records(message({}).subarray(0, 9)), Buffer.from([21])]),
      'bad-record',
    ],
    ['a ServerHello', Buffer.from([22, 3, 3, 0, 4, 2]), 'not-client-hello'],
    ['a declared length over the bound', Buffer.from([22, 3, 1, 0x40, 0, 1, 1, 0, 0]), 'too-large'],
  ])('%s is %s', (_, bytes, error) => {
    expect(parse(bytes)).toEqual({ error })
  })

  test.each([
    ['a session id over 32 bytes', message({ session: 33 })],
    ['no ciphers', message({ ciphers: [] })],
    ['no compression method', message({ compression: [] })],
    ['an extension twice', message({ extensions: [versions(0x0304), versions(0x0304)] })],
    ['an empty name', message({ extensions: [serverName('')] })],
    ['a name with a line end', message({ extensions: [serverName('a\nb')] })],
    ['a name with a NUL', message({ extensions: [serverName('a\0b')] })],
    ['a name over 255 bytes', message({ extensions: [serverName('a'.repeat(256))] })],
    ['an empty ALPN name', message({ extensions: [alpn('')] })],
    ['an odd list of groups', message({ extensions: [[10, Buffer.from([0, 3, 0, 29, 0])]] })],
    ['a list longer than its extension', message({ extensions: [[10, Buffer.from([0, 9, 0, 29])]] })],
    ['bytes after a list', message({ extensions: [[10, Buffer.from([0, 2, 0, 29, 0])]] })],
    ['bytes after the extensions', Buffer.concat([message({}), Buffer.from([0])])],
  ])('%s is malformed', (_, bytes) => {
    const length = bytes.length - 4
    const fixed = Buffer.concat([Buffer.from([1, length >> 16]), u16(length & 0xffff), bytes.subarray(4)])
    expect(parse(records(fixed))).toEqual({ error: 'malformed' })
  })

  test('a hello that does not end within 16 KiB is too large, in one piece or many', () => {
    const long = message({ extensions: [[21, Buffer.alloc(MAX_CLIENT_HELLO - 200)]] })
    const tiny = records(long, 1)
    expect(parse(records(long))).toHaveProperty('hello')
    expect(parse(tiny)).toEqual({ error: 'too-large' })
    expect(parse(tiny.subarray(0, MAX_CLIENT_HELLO - 1))).toBe('more')
    expect(parse(tiny.subarray(0, MAX_CLIENT_HELLO))).toEqual({ error: 'too-large' })
  })

  test('random bytes never throw, and a result once reached stands', () => {
    const noise = fc.uint8Array({ maxLength: 300 })
    const beginning = fc.constantFrom([], [22, 3, 1], [22, 3, 1, 0, 60, 1, 0, 0], [...whole.subarray(0, 60)])
    fc.assert(
      fc.property(beginning, noise, (start, rest) => {
        const bytes = Buffer.from([...start, ...rest])
        const final = parse(bytes)
        for (let length = 0; length < bytes.length; length++) {
          const result = parse(bytes.subarray(0, length))
          if (result !== 'more') expect(result).toEqual(final)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('a hello with any one byte changed never throws', () => {
    const hello = records(browserHello())
    fc.assert(
      fc.property(fc.nat({ max: hello.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
        const bytes = Buffer.from(hello)
        bytes[at] = value
        expect(parse(bytes)).toBeDefined()
      }),
      { numRuns: 2000 },
    )
  })

  test('what surrounds the window makes no difference', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.uint8Array({ maxLength: 64 }),
        fc.nat({ max: whole.length }),
        (before, after, length) => {
          const bytes = Buffer.concat([before, whole.subarray(0, length), after])
          const result = parseClientHello(bytes, before.length, before.length + length)
          expect(result).toEqual(parse(whole.subarray(0, length)))
        },
      ),
    )
  })
})
