import { SocketAddress } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { certificateName } from '../../src/tls/names.ts'

test.each([
  ['Gateway.Ward.Example.', 'dns', 'gateway.ward.example'],
  ['*.ward.example', 'dns', '*.ward.example'],
  ['hôpital.example', 'dns', 'xn--hpital-ixa.example'],
  ['pump_7', 'dns', 'pump_7'],
  ['192.0.2.7', 'ip', '192.0.2.7'],
  ['2001:DB8::7', 'ip', '2001:db8::7'],
])('%s is a %s name', (given, kind, text) => {
  expect(certificateName(given)).toMatchObject({ kind, text })
})

test.each([
  '',
  '.',
  '*',
  '*.',
  'a..b',
  '-a.example',
  'a b',
  'a\0b',
  'http://a',
  '1.2.3',
  '300.1.1.1',
  'fe80::1%eth0',
  '*.*.a',
  'a'.repeat(64),
  `${'a.'.repeat(130)}a`,
])('%j is refused', (given) => {
  expect(() => certificateName(given)).toThrow(
    expect.objectContaining({ code: 'name-invalid', blame: 'config' }),
  )
})

test('addresses become their bytes in network order', () => {
  expect(certificateName('192.0.2.7').bytes).toEqual(Buffer.from([192, 0, 2, 7]))
  fc.assert(
    fc.property(fc.ipV6(), (ip) => {
      const { bytes } = certificateName(ip)
      const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16)).join(':')
      expect(bytes).toHaveLength(16)
      const canonical = (address: string): string => new SocketAddress({ address, family: 'ipv6' }).address
      expect(canonical(groups)).toBe(canonical(ip))
    }),
  )
})
