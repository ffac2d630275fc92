import { BlockList, isIPv4 } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressBytes } from '../../src/net/address.ts'
import { Destinations } from '../../src/net/destinations.ts'
import { contains, networkOf, type Network } from '../../src/net/network.ts'

const address = fc.oneof(fc.ipV4(), fc.ipV6())

function network(text: string): Network {
  const [base = '', prefix] = text.split('/')
  const made = networkOf(base, Number(prefix))
  if (made === undefined) throw new Error(`no network: ${text}`)
  return made
}

test('an address lies in a network exactly where Node says so', () => {
  fc.assert(
    fc.property(address, address, fc.nat(128), (one, other, wanted) => {
      const family = isIPv4(one) ? 'ipv4' : 'ipv6'
      const prefix = wanted % (family === 'ipv4' ? 33 : 129)
      const bytes = addressBytes(one)!
      // The first address of the network that `one` lies in.
      const base = bytes.map(
        (byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - at * 8))) & 0xff,
      )
      const text = family === 'ipv4' ? base.join('.') : hex(base)
      const made = networkOf(text, prefix)!
      const list = new BlockList()
      list.addSubnet(text, prefix, family)
      expect(contains(made, bytes)).toBe(true)
      const mapped = family === 'ipv4' ? 'ipv4' : 'ipv6'
      if (isIPv4(other) === (family === 'ipv4'))
        expect(contains(made, addressBytes(other)!)).toBe(list.check(other, mapped))
      else expect(contains(made, addressBytes(other)!)).toBe(false)
    }),
  )
})

test.each([
  ['192.0.2.1', 24],
  ['192.0.2.0', 33],
  ['192.0.2.0', -1],
  ['192.0.2.0', 23.5],
  ['2001:db8::1', 64],
  ['ward', 8],
])('%s/%d is no network', (base, prefix) => {
  expect(networkOf(base, prefix)).toBeUndefined()
})

test('the first destination that fits counts, by address and port', () => {
  const ways = new Destinations(
    [
      { network: network('192.0.2.10/32'), port: 1883, way: 'one' },
      { network: network('192.0.2.0/24'), port: 1883, way: 'many' },
      { network: network('2001:db8::/32'), port: 8883, way: 'six' },
    ],
    undefined,
  )
  const find = (at: string, port: number) => ways.find({ address: at, port })
  expect(find('192.0.2.10', 1883)).toBe('one')
  expect(find('192.0.2.11', 1883)).toBe('many')
  expect(find('192.0.2.10', 8883)).toBeUndefined()
  expect(find('2001:db8::1', 8883)).toBe('six')
  expect(find('2001:db9::1', 8883)).toBeUndefined()
  expect(find('fe80::1%eth0', 8883)).toBeUndefined()
})

test('without destinations everything is for the others', () => {
  expect(new Destinations([], 'all').find({ address: '192.0.2.1', port: 1 })).toBe('all')
})

function hex(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[at * 2]! << 8) | bytes[at * 2 + 1]!).toString(16),
  )
  return groups.join(':')
}
