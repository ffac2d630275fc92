// From a captured frame to a TCP segment: link types, VLAN tags, IPv4 and IPv6, and what is not followed further.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { endsOf } from '../../src/replay/ends.ts'
import { ipStart, notIp, unknownLink } from '../../src/replay/link.ts'
import { Segment } from '../../src/replay/segment.ts'
import { bytes, uint16 } from '../help/packets.ts'
import { ethernet, ipv4, ipv6, tcpPacket, type TcpShape } from '../help/segments.ts'

const four: TcpShape = {
  from: { address: '10.1.2.3', port: 49_152 },
  to: { address: '10.9.8.7', port: 1883 },
  sequence: 0xdeadbeef,
  acknowledged: 0xcafebabe,
  flags: 'PA',
  payload: 'hello',
}
const six: TcpShape = {
  ...four,
  from: { address: '2001:db8:0:0:1::3', port: 49_152 },
  to: { address: 'fe80::1', port: 1883 },
}
const packet4 = tcpPacket(four)
const packet6 = tcpPacket(six)

describe('the link layer', () => {
  const cooked = Buffer.alloc(14, 3)
  test.each([
    ['Ethernet', 1, ethernet(packet4, false), 14],
    ['Ethernet with IPv6', 1, ethernet(packet6, true), 14],
    ['Ethernet with a VLAN tag', 1, ethernet(packet4, false, [0x8100]), 18],
    ['Ethernet with two', 1, ethernet(packet6, true, [0x88a8, 0x8100]), 22],
    ['Linux cooked v1', 113, bytes(cooked, uint16(0x0800), packet4), 16],
    [
      'Linux cooked v1 with a VLAN tag',
      113,
      bytes(cooked, uint16(0x8100), uint16(7), uint16(0x86dd), packet6),
      20,
    ],
    ['Linux cooked v2', 276, bytes(uint16(0x0800), Buffer.alloc(18, 3), packet4), 20],
    ['raw IP', 101, packet6, 0],
    ['raw IP as BSD numbers it', 12, packet4, 0],
    ['IPv4', 228, packet4, 0],
    ['IPv6', 229, packet6, 0],
    ['loopback', 0, bytes(2, 0, 0, 0, packet4), 4],
    ['loopback of a big-endian machine, with its own number for IPv6', 0, bytes(0, 0, 0, 30, packet6), 4],
    ['loopback of OpenBSD', 108, bytes(0, 0, 0, 24, packet6), 4],
  ])('%s', (_, link, frame, start) => {
    expect(ipStart(link, frame)).toBe(start)
    expect(new Segment().read(frame, start)).toBe('tcp')
  })

  test.each([
    ['ARP', 1, bytes(Buffer.alloc(12), uint16(0x0806), Buffer.alloc(28))],
    ['more tags than anybody nests', 1, ethernet(packet4, false, [0x8100, 0x8100, 0x8100, 0x8100, 0x8100])],
    ['a frame that ends behind its type', 1, bytes(Buffer.alloc(12), uint16(0x0800))],
    ['a frame that ends inside a tag', 1, ethernet(packet4, false, [0x8100]).subarray(0, 16)],
    ['an empty frame', 1, Buffer.alloc(0)],
    ['an empty packet', 101, Buffer.alloc(0)],
    ['neither version', 101, Buffer.alloc(40, 0x77)],
  ])('%s is not IP', (_, link, frame) => {
    expect(ipStart(link, frame)).toBe(notIp)
  })

  test('of an unknown type nothing is guessed', () => {
    expect(ipStart(147, ethernet(packet4, false))).toBe(unknownLink)
  })
})

function read(packet: Buffer) {
  const segment = new Segment()
  const kind = segment.read(packet, 0)
  const [from, to] = kind === 'tcp' ? endsOf(segment.key) : []
  const payload = segment.bytes.toString('latin1', segment.start, segment.end)
  return { kind, from, to, payload, cut: segment.cut, segment }
}

describe('a segment', () => {
  test.each([
    ['IPv4', packet4, four],
    ['IPv6', packet6, { ...six, from: { address: '2001:db8::1:0:0:3', port: 49_152 } }],
    ['TCP options', tcpPacket({ ...four, options: 12 }), four],
    ['IPv4 options', ipv4('10.1.2.3', '10.9.8.7', packet4.subarray(20), { options: 8 }), four],
    ['padding behind the packet', bytes(packet4, Buffer.alloc(9)), four],
    [
      'a length that the network card fills in',
      ipv4('10.1.2.3', '10.9.8.7', packet4.subarray(20), { length: 0 }),
      four,
    ],
    [
      'IPv6 extension headers',
      ipv6('fe80::2', 'fe80::1', packet6.subarray(40), [
        { type: 0, bytes: Buffer.from([0, 0, 1, 4, 0, 0, 0, 0]) },
        { type: 60, bytes: Buffer.alloc(16, 1) },
        { type: 44, bytes: Buffer.alloc(8) },
        { type: 51, bytes: Buffer.concat([Buffer.from([0, 4]), Buffer.alloc(22)]) },
      ]),
      { from: { address: 'fe80::2', port: 49_152 }, to: six.to },
    ],
    [
      'IPv4 in IPv6, which is shown as IPv4',
      tcpPacket({ ...six, from: { address: '::ffff:a01:203', port: 49_152 } }),
      { from: { address: '10.1.2.3', port: 49_152 }, to: six.to },
    ],
  ])('with %s', (_, packet, { from, to }) => {
    expect(read(packet)).toMatchObject({ kind: 'tcp', from, to, payload: 'hello', cut: 0 })
    const { segment } = read(packet)
    expect(segment).toMatchObject({
      sequence: 0xdeadbeef,
      acknowledged: 0xcafebabe,
      isAck: true,
      isSyn: false,
    })
    expect(endsOf(segment.answerKey)).toEqual([to, from])
  })

  test('cut off by the snap length says how many bytes are missing', () => {
    expect(read(packet4.subarray(0, -2))).toMatchObject({ kind: 'tcp', payload: 'hel', cut: 2 })
    expect(read(packet4.subarray(0, 40))).toMatchObject({ kind: 'tcp', payload: '', cut: 5 })
  })

  test.each([
    [
      'a first fragment',
      ipv4('10.1.2.3', '10.9.8.7', packet4.subarray(20), { fragment: 0x2000 }),
      'fragment',
    ],
    [
      'a later fragment',
      ipv4('10.1.2.3', '10.9.8.7', packet4.subarray(20), { fragment: 0x0010 }),
      'fragment',
    ],
    [
      'a fragment of IPv6',
      ipv6('fe80::2', 'fe80::1', packet6.subarray(40), [
        { type: 44, bytes: Buffer.from([0, 0, 0, 1, 0, 0, 0, 9]) },
      ]),
      'fragment',
    ],
    ['UDP', ipv4('10.1.2.3', '10.9.8.7', packet4.subarray(20), { protocol: 17 }), 'other'],
    [
      'nine extension headers',
      ipv6(
        ...(['fe80::2', 'fe80::1', packet6.subarray(40)] as const),
        Array.from({ length: 9 }, () => ({ type: 60, bytes: Buffer.alloc(8) })),
      ),
      'other',
    ],
    ['a cut IPv4 header', packet4.subarray(0, 19), 'short'],
    ['a cut IPv6 header', packet6.subarray(0, 39), 'short'],
    ['a cut TCP header', packet4.subarray(0, 39), 'short'],
    ['an IPv4 header shorter than any', bytes(0x44, packet4.subarray(1)), 'short'],
    [
      'a TCP header longer than its packet',
      bytes(packet4.subarray(0, 32), 0xf0, packet4.subarray(33)),
      'short',
    ],
  ])('is not made of %s', (_, packet, kind) => {
    expect(read(packet).kind).toBe(kind)
  })

  test('of any bytes stays inside them', () => {
    const any = fc.uint8Array({ maxLength: 120 }).map((one) => Buffer.from(one))
    const like = fc
      .tuple(
        fc.constantFrom(packet4, packet6),
        fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 6 }),
        fc.nat(90),
      )
      .map(([packet, changes, length]) => {
        const changed = Buffer.from(packet)
        for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte
        return changed.subarray(0, length)
      })
    fc.assert(
      fc.property(fc.oneof(any, like), fc.constantFrom(0, 1, 101, 113, 276), (frame, link) => {
        const start = ipStart(link, frame)
        if (start < 0) return
        expect(start).toBeLessThan(frame.length)
        const segment = new Segment()
        if (segment.read(frame, start) !== 'tcp') return
        expect(segment.start).toBeLessThanOrEqual(segment.end)
        expect(segment.end).toBeLessThanOrEqual(frame.length)
        expect(segment.cut).toBeGreaterThanOrEqual(0)
        expect(endsOf(segment.key)).toHaveLength(2)
      }),
      { numRuns: 3000 },
    )
  })
})
