import { isIP, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLoopback, overlaps, parseAddress, parseHost, parseServer } from '../../src/config/endpoint.ts'
import { PulsewardError } from '../../src/errors.ts'
import { hostPort } from '../../src/net/address.ts'

const ip = fc.oneof(fc.ipV4(), fc.ipV6())
const port = fc.integer({ min: 0, max: 65_535 })

describe('addresses to listen on', () => {
  test.each([
    ['0.0.0.0:1883', { host: '0.0.0.0', port: 1883 }],
    ['[::]:1883', { host: '::', port: 1883 }],
    ['[0:0:0:0:0:0:0:1]:0', { host: '::1', port: 0 }],
    ['[::FFFF:10.0.0.1]:1', { host: '10.0.0.1', port: 1 }],
    ['[fe80::1%eth0]:1883', { host: 'fe80::1%eth0', port: 1883 }],
  ])('%s', (text, address) => expect(parseAddress(text)).toEqual(address))

  test('every IP address and port is read, and its spelling read again is the same', () => {
    fc.assert(
      fc.property(ip, port, (host, number) => {
        const address = parseAddress(hostPort(host, number))
        expect(address.port).toBe(number)
        expect(parseAddress(hostPort(address.host, number))).toEqual(address)
      }),
    )
  })

  test('any text is read as an IP address with a port, or refused', () => {
    const almost = fc.stringMatching(/^\[?[0-9a-f.:]{0,12}\]?:?[0-9]{0,6}$/)
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost), (text) => {
        const address = attempt(() => parseAddress(text))
        if (address === undefined) return
        expect(isIP(address.host)).not.toBe(0)
        expect(address.port).toBeLessThanOrEqual(65_535)
      }),
    )
  })
})

describe('overlapping addresses', () => {
  const at = (text: string) => parseAddress(text)

  test.each([
    ['0.0.0.0:1', '10.0.0.1:1', true],
    ['0.0.0.0:1', '[::1]:1', false],
    ['[::]:1', '10.0.0.1:1', true],
    ['[::]:1', '[::1]:1', true],
    ['[::1]:1', '127.0.0.1:1', false],
    ['10.0.0.1:1', '10.0.0.1:2', false],
    ['10.0.0.1:0', '10.0.0.1:0', false],
  ])('%s and %s: %s', (one, other, both) => {
    expect(overlaps(at(one), at(other))).toBe(both)
    expect(overlaps(at(other), at(one))).toBe(both)
  })
})

describe('servers', () => {
  test.each([
    ['mqtts://broker.example', { host: 'broker.example', port: 8883 }],
    ['MQTTS://Broker.Example.:1/', { host: 'broker.example', port: 1 }],
    ['mqtts://[2001:DB8::1]', { host: '2001:db8::1', port: 8883 }],
    ['mqtts://10.0.0.1:8884', { host: '10.0.0.1', port: 8884 }],
    ['mqtts://broker_1.local', { host: 'broker_1.local', port: 8883 }],
    ['mqtt://127.0.0.1', { host: '127.0.0.1', port: 1883, plaintext: true }],
    ['MQTT://[::1]:1884', { host: '::1', port: 1884, plaintext: true }],
  ])('%s', (text, server) => expect(parseServer(text)).toEqual(server))

  test('any text is read as a host with a port, or refused', () => {
    const almost = fc.string({ maxLength: 30 }).map((rest) => `mqtts://${rest}`)
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost), (text) => {
        const server = attempt(() => parseServer(text))
        if (server === undefined) return
        expect(text.toLowerCase()).toMatch(/^mqtts?:\/\//)
        expect(server.host).toMatch(isIPv6(server.host) ? /^[0-9a-f:.%]+/ : /^[a-z0-9._-]+$/)
        expect(server.port).toBeGreaterThan(0)
      }),
    )
  })
})

test.each([
  ['127.0.0.1', true],
  ['127.255.255.254', true],
  ['::1', true],
  ['localhost', true],
  ['128.0.0.1', false],
  ['10.0.0.1', false],
  ['127.example', false],
  ['127.0.0.1.example', false],
  ['localhost.example', false],
  ['::2', false],
])('whether nothing leaves this machine: %s', (host, expected) => expect(isLoopback(host)).toBe(expected))

test('every domain name is a host name, and no longer one than DNS carries', () => {
  fc.assert(
    fc.property(fc.domain(), (name) => {
      expect(parseHost(name)).toBe(name.toLowerCase())
    }),
  )
  expect(attempt(() => parseHost(`${'a'.repeat(63)}.example`))).toBeDefined()
  expect(attempt(() => parseHost(`${'a'.repeat(64)}.example`))).toBeUndefined()
  expect(attempt(() => parseHost('a.'.repeat(127)))).toBeDefined()
  expect(attempt(() => parseHost('a.'.repeat(128)))).toBeUndefined()
})

/** What the parser returns, or nothing when it refuses; anything but a PulsewardError is a bug. */
function attempt<Value>(parse: () => Value): Value | undefined {
  try {
    return parse()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PulsewardError)
    return undefined
  }
}
