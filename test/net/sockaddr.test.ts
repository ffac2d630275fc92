import { BlockList, isIPv4 } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressBytes, addressText } from '../../src/net/address.ts'
import { readSockaddr, writeSockaddr } from '../../src/net/sockaddr.ts'

const port = fc.integer({ min: 0, max: 65_535 })
const ip = fc.oneof(fc.ipV4(), fc.ipV6())

test.each([
  ['192.0.2.1', 1883, '0200075bc00002010000000000000000'],
  ['2001:db8::1', 8883, '0a0022b30000000020010db800000000000000000000000100000000'],
])('%s port %i has the bytes that Linux gives it', (address, number, hex) => {
  const bytes = writeSockaddr({ address, port: number })
  expect(Buffer.from(bytes ?? []).toString('hex')).toBe(hex)
  expect(readSockaddr(Buffer.from(hex, 'hex'))).toEqual({ address, port: number })
})

test('an IPv4 address within IPv6 is read as IPv4', () => {
  const bytes = Buffer.from('0a00075b0000000000000000000000000000ffffc000020100000000', 'hex')
  expect(readSockaddr(bytes)).toEqual({ address: '192.0.2.1', port: 1883 })
})

test('what is written is read again, and names the same host as Node reads it', () => {
  fc.assert(
    fc.property(ip, port, (address, number) => {
      const bytes = writeSockaddr({ address, port: number })!
      const read = readSockaddr(bytes)!
      expect(read.port).toBe(number)
      expect(addressBytes(read.address)).toHaveLength(isIPv4(read.address) ? 4 : 16)
      const same = new BlockList()
      same.addAddress(address, isIPv4(address) ? 'ipv4' : 'ipv6')
      expect(same.check(read.address, isIPv4(read.address) ? 'ipv4' : 'ipv6')).toBe(true)
    }),
  )
})

test('whatever bytes come, there is an address in them or undefined', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const read = readSockaddr(bytes)
      if (read !== undefined) expect(writeSockaddr(read)).toBeDefined()
    }),
  )
})

test.each([
  ['fe80::1%eth0', 1],
  ['broker.example', 1],
  ['192.0.2.1', 65_536],
  ['192.0.2.1', -1],
])('%s port %i cannot be written', (address, number) => {
  expect(writeSockaddr({ address, port: number })).toBeUndefined()
})

test('neither can bytes of another length be an address', () => {
  expect(addressText(new Uint8Array(5))).toBeUndefined()
})
