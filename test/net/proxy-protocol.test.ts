// The PROXY protocol: headers as its specification has them, byte by byte, and whatever else may come.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressBytes, addressText } from '../../src/net/address.ts'
import { parseProxyHeader, writeProxyV1, writeProxyV2, type Route } from '../../src/net/proxy-protocol.ts'

const signature = '0d0a0d0a000d0a515549540a'
const route4: Route = {
  source: { address: '192.0.2.7', port: 49_152 },
  destination: { address: '198.51.100.1', port: 1883 },
}
const route6: Route = {
  source: { address: '2001:db8::7', port: 49_152 },
  destination: { address: '2001:db8::1', port: 8883 },
}

const port = fc.nat(65_535)
const spelled = (text: string): string => addressText(addressBytes(text)!)!
const endpoint = (ip: fc.Arbitrary<string>) =>
  fc.record({ address: ip.map(spelled), port }).filter(({ address }) => addressBytes(address) !== undefined)
const anyRoute = fc.oneof(
  fc.record({ source: endpoint(fc.ipV4()), destination: endpoint(fc.ipV4()) }),
  fc.record({ source: endpoint(fc.ipV6()), destination: endpoint(fc.ipV6()) }),
)

describe('version 1', () => {
  test.each([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883\r\n', route4],
    ['PROXY TCP6 2001:db8::7 2001:db8::1 49152 8883\r\n', route6],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN whatever stands here\r\n', undefined],
  ])('%j', (text, route) => {
    const bytes = Buffer.from(`${text}\x10\x0c`)
    expect(parseProxyHeader(bytes)).toEqual({ route, size: text.length })
  })

  test.each([
    'PROXY TCP4 192.0.2.7 198.51.100.1 49152\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883 1\r\n',
    'PROXY TCP4 192.0.2.7  198.51.100.1 49152 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 049152 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 -1 1883\r\n',
    'PROXY TCP4 192.0.2.256 198.51.100.1 1 1883\r\n',
    'PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n',
    'PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n',
    'PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX',
    `PROXY TCP4 ${' '.repeat(120)}`,
  ])('%j is malformed', (text) => {
    expect(parseProxyHeader(Buffer.from(text))).toEqual({ error: 'proxy-header-malformed' })
  })

  test('is written as it is read', () => {
    expect(Buffer.from(writeProxyV1(route4)).toString()).toBe(
      'PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883\r\n',
    )
    expect(Buffer.from(writeProxyV1(undefined)).toString()).toBe('PROXY UNKNOWN\r\n')
    const mixed = { source: route4.source, destination: route6.destination }
    expect(Buffer.from(writeProxyV1(mixed)).toString()).toBe('PROXY UNKNOWN\r\n')
  })
})

describe('version 2', () => {
  test.each([
    ['TCP over IPv4', `${signature}2111000cc0000207c6336401c000075b`, route4],
    [
      'TCP over IPv6, with a field behind',
      `${signature}2121002a20010db800000000000000000000000720010db8000000000000000000000001c00022b3050003616263`,
      route6,
    ],
    ['LOCAL, whose addresses are to be ignored', `${signature}2011000cc0000207c6336401c000075b`, undefined],
    ['an unspecified protocol', `${signature}21000000`, undefined],
    ['datagrams', `${signature}2112000cc0000207c6336401c000075b`, undefined],
  ])('%s', (_, hex, route) => {
    const bytes = Buffer.from(hex, 'hex')
    expect(parseProxyHeader(Buffer.concat([bytes, Buffer.from([0x10])]))).toEqual({
      route,
      size: bytes.length,
    })
  })

  test.each([
    ['another version', `${signature}1111000cc0000207c6336401c000075b`, 'proxy-header-malformed'],
    ['another command', `${signature}2211000cc0000207c6336401c000075b`, 'proxy-header-malformed'],
    ['addresses that are cut off', `${signature}2111000bc0000207c6336401c00007`, 'proxy-header-malformed'],
    ['more fields than anybody sends', `${signature}2111ffff`, 'proxy-header-too-large'],
  ])('%s', (_, hex, error) => {
    expect(parseProxyHeader(Buffer.from(hex, 'hex'))).toEqual({ error })
  })

  test('tells the id and the TLS of a device in its fields', () => {
    const tls = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', serverName: 'gw.example' }
    const bytes = Buffer.from(writeProxyV2(route4, { id: 'abc', tls }))
    const fields = bytes.subarray(16 + 12).toString('latin1')
    const version = '\x21\x00\x07TLSv1.3'
    const cipher = '\x23\x00\x16TLS_AES_128_GCM_SHA256'
    const ssl = `\x01\x00\x00\x00\x01${version}${cipher}`
    expect(fields).toBe(
      `\x05\x00\x03abc\x02\x00\x0agw.example\x20\x00${String.fromCharCode(ssl.length)}${ssl}`,
    )
    expect(parseProxyHeader(bytes)).toEqual({ route: route4, size: bytes.length })
  })
})

test('what is written is read again, whatever follows it', () => {
  fc.assert(
    fc.property(anyRoute, fc.string(), fc.uint8Array(), fc.boolean(), (route, id, rest, old) => {
      const header = old ? writeProxyV1(route) : writeProxyV2(route, { id })
      expect(parseProxyHeader(Buffer.concat([header, rest]))).toEqual({ route, size: header.length })
    }),
  )
})

test('a header that has not all come yet is waited for, at every byte', () => {
  for (const header of [writeProxyV1(route6), writeProxyV2(route6, { id: 'abc' })]) {
    for (let length = 0; length < header.length; length++)
      expect(parseProxyHeader(header.subarray(0, length)), `${length}`).toBe('more')
  }
})

test('any bytes at all are read, waited for within bounds, or refused; once decided, more bytes change nothing', () => {
  const start = fc.constantFrom(
    '',
    'PROXY TCP4 ',
    `PROXY UNKNOWN`,
    Buffer.from(signature, 'hex').toString('latin1'),
  )
  fc.assert(
    fc.property(
      start,
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ maxLength: 40 }),
      (first, tail, more) => {
        const bytes = Buffer.concat([Buffer.from(first, 'latin1'), tail])
        const read = parseProxyHeader(bytes)
        if (read === 'more') {
          expect(bytes.length).toBeLessThan(2048)
          return
        }
        if ('size' in read) expect(read.size).toBeLessThanOrEqual(bytes.length)
        expect(parseProxyHeader(Buffer.concat([bytes, more]))).toEqual(read)
      },
    ),
  )
})

test('the longest header that is waited for is bounded', () => {
  const endless = Buffer.concat([Buffer.from(`${signature}211107f0`, 'hex'), Buffer.alloc(2031)])
  expect(parseProxyHeader(endless)).toBe('more')
  expect(parseProxyHeader(Buffer.concat([endless, Buffer.alloc(1)]))).toMatchObject({ size: 2048 })
})
