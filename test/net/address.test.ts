// One peer has one name, whatever kind of socket it came in by.

import { expect, test } from 'vitest'
import { hostPort, peerAddress } from '../../src/net/address.ts'

test.each([
  ['10.0.0.7', '10.0.0.7'],
  ['::ffff:10.0.0.7', '10.0.0.7'],
  ['2001:db8::7', '2001:db8::7'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  // Not an IPv4 address in IPv6 clothes.
  ['::ffff:a00:7', '::ffff:a00:7'],
  ['::1', '::1'],
  [undefined, 'unknown'],
])('the peer %s is shown as %s', (remote, shown) => {
  expect(peerAddress(remote)).toBe(shown)
})

test.each([
  ['10.0.0.7', 1883, '10.0.0.7:1883'],
  ['::', 1883, '[::]:1883'],
  ['2001:db8::7', 8883, '[2001:db8::7]:8883'],
  ['broker.example', 8883, 'broker.example:8883'],
])('%s and %i are written as %s', (host, port, text) => {
  expect(hostPort(host, port)).toBe(text)
})
