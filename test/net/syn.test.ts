import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSyn, synProfile } from '../../src/net/syn.ts'

/** IPv4, TTL 63, DF, 192.0.2.7 → 192.0.2.1; then TCP with what Linux asks for. */
const linux4 = Buffer.from(
  '4500003c1c4640003f06b1e6c0000207c0000201' +
    'd431075b00000001' +
    '00000000a002faf0000000000204' +
    '05b40402080a0000000100000000' +
    '01030307',
  'hex',
)
/** IPv6, hop limit 60, ECN asked for; a small stack with nothing but MSS. */
const small6 = Buffer.from(
  '600000000018063c20010db8000000000000000000000007' +
    '20010db8000000000000000000000001' +
    'd431075b0000000100000000' +
    '60c2100000000000020405a0',
  'hex',
)
const ethernet = Buffer.from('0200000000010200000000020800', 'hex')

test('the SYN of a Linux device one router away', () => {
  expect(parseSyn(linux4)).toEqual({
    mac: undefined,
    ip: 4,
    ttl: 63,
    initialTtl: 64,
    hops: 1,
    df: true,
    ecn: false,
    window: 64_240,
    mss: 1460,
    scale: 7,
    options: 'MSTNW',
  })
})

test('the same behind an Ethernet header tells the last station too', () => {
  const syn = parseSyn(Buffer.concat([ethernet, linux4]))
  expect(syn).toEqual({ ...parseSyn(linux4), mac: '02:00:00:00:00:02' })
})

test('the SYN of a small stack over IPv6', () => {
  const syn = parseSyn(small6)!
  expect(syn).toMatchObject({ ip: 6, ttl: 60, hops: 4, ecn: true, window: 4096, mss: 1440, scale: undefined })
  expect(synProfile(syn)).toBe('ip6 ttl64 win4096 scale- mss1440 M de')
})

test('the profile is the same however many routers are on the way', () => {
  const further = Buffer.from(linux4)
  further[8] = 50
  expect(synProfile(parseSyn(further)!)).toBe(synProfile(parseSyn(linux4)!))
  expect(synProfile(parseSyn(linux4)!)).toBe('ip4 ttl64 win64240 scale7 mss1460 MSTNW d')
})

test.each([
  ['an option of length 0', '02000000', 'M!'],
  ['an option that reaches beyond the header', '02080000', 'M!'],
  ['an option nobody knows', 'fd040102', '(253)'],
  ['the end before the padding', '00020405', 'E'],
])('%s', (_, hex, options) => {
  const bytes = Buffer.concat([linux4.subarray(0, 40), Buffer.from(hex, 'hex')])
  bytes[32] = 0x60
  expect(parseSyn(bytes)).toMatchObject({ options, mss: undefined })
})

test('a packet that is cut off anywhere is none', () => {
  for (let length = 0; length < linux4.length; length++)
    expect(parseSyn(linux4.subarray(0, length)), `${length}`).toBeUndefined()
})

test('whatever bytes come, every field is in its range', () => {
  const anything = fc.uint8Array({ maxLength: 200 })
  const nearly = fc
    .tuple(fc.constantFrom(linux4, small6, Buffer.concat([ethernet, linux4])), fc.nat(), fc.nat(255))
    .map(([bytes, at, value]) => {
      const changed = Uint8Array.from(bytes)
      changed[at % changed.length] = value
      return changed
    })
  fc.assert(
    fc.property(fc.oneof(anything, nearly), (bytes) => {
      const syn = parseSyn(bytes)
      if (syn === undefined) return
      expect(syn.hops).toBeGreaterThanOrEqual(0)
      expect(syn.initialTtl).toBeGreaterThanOrEqual(syn.ttl)
      expect(syn.options).toMatch(/^(?:[ENMWSTF]|\(\d+\)|!)*$/)
      expect(synProfile(syn).length).toBeLessThan(300)
    }),
  )
})
