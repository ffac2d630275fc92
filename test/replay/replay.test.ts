// From a capture to all that was found in it: what connections speak, who is judged by what, incidents and refusals.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pcap, pcapng, type Frame } from '../help/captures.ts'
import { clientHello } from '../help/client-hello.ts'
import {
  bytes,
  connackPacket,
  connectPacket,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  uint16,
} from '../help/packets.ts'
import { capture, planOf, replayed } from '../help/replays.ts'
import { ethernet, ipv4, Wire, type WireShape } from '../help/segments.ts'

const publish = publishPacket({ version: 4, topic: 'ward/3/pump', payload: 'ok' })

/** A device that connects and is welcomed. */
function device(clientId = 'pump-7', shape: WireShape = {}): Wire {
  return new Wire(shape)
    .open()
    .send('up', connectPacket({ version: 4, clientId }))
    .send('down', connackPacket(4))
}

/** Incidents as `device finding count severity`. */
function found(replay: ReturnType<typeof replayed>): string[] {
  return replay.stage.incidents.list().map(({ address, finding, count, severity }) => {
    return `${address} ${String(finding.evidence['rule'] ?? finding.detector)} ${count} ${severity}`
  })
}

describe('what a connection speaks', () => {
  const kinds = (...wires: readonly Wire[]): Record<string, number> => {
    const { stage } = replayed([capture(...wires.map(({ frames }) => frames))])
    return Object.fromEntries(Array.from(stage.connections, ([kind, { count }]) => [kind, count]))
  }
  const elsewhere = { server: { address: '10.0.0.1', port: 4711 } }
  const says = (text: string | Buffer, shape: WireShape = {}): Wire =>
    new Wire(shape).open().send('up', Buffer.from(text))

  test('is MQTT on any port', () => {
    expect(kinds(device(), device('b', { ...elsewhere, client: { address: '10.0.0.9', port: 7 } }))).toEqual({
      mqtt: 2,
    })
    expect(kinds(device().close())).toEqual({ mqtt: 1 })
  })

  test('is known however it is cut', () => {
    const whole = connectPacket({ version: 3 })
    expect(kinds(new Wire(elsewhere).open().send('up', whole, 1))).toEqual({ mqtt: 1 })
  })

  test('is not MQTT for a first byte that might be, where nobody listens for MQTT', () => {
    const oddName = packet(0x10, bytes(0, 4, 'MQTX', 4, 2, 0, 60, 0, 1, 'a'))
    expect(kinds(says(oddName, elsewhere))).toEqual({ other: 1 })
    expect(kinds(says(oddName))).toEqual({ mqtt: 1 })
    expect(found(replayed([capture(says(oddName).frames)]))).toEqual(['10.0.0.7 protocol-name 1 warning'])
  })

  test('is something else where the server speaks first', () => {
    expect(kinds(new Wire(elsewhere).open().send('down', Buffer.from('220 ready\r\n')))).toEqual({ other: 1 })
  })

  test('is unknown where nobody speaks, too little is said, or the capture began too late', () => {
    expect(kinds(new Wire().open().close())).toEqual({ silent: 1 })
    expect(kinds(says('G', elsewhere))).toEqual({ undecided: 1 })
    expect(kinds(new Wire().send('up', publish))).toEqual({ joined: 1 })
    expect(kinds(new Wire().send('down', publish).send('up', publish))).toEqual({ joined: 1 })
  })

  test('is judged where the capture begins at CONNECT', () => {
    const late = new Wire()
      .send('up', connectPacket({ version: 4 }))
      .send('down', connackPacket(4))
      .send('up', publish)
    const { stage } = replayed([capture(late.frames)])
    expect([...stage.versions]).toEqual([[4, 1]])
    expect(stage.counts[3]).toBe(1)
  })

  test('is named where it is neither MQTT nor TLS on a port for MQTT: a finding, and refused', () => {
    const strangers = [
      says('GET / HTTP/1.1\r\n'),
      says('SSH-2.0-x\r\n', { client: { address: '10.0.0.8', port: 9 } }),
    ]
    const replay = replayed([capture(...strangers.map(({ frames }) => frames))])
    expect(found(replay)).toEqual(['10.0.0.7 first-bytes 1 warning', '10.0.0.8 first-bytes 1 warning'])
    expect(replay.stage.refusals.listed.map(({ reason, address }) => [address, reason])).toEqual([
      ['10.0.0.7', 'http'],
      ['10.0.0.8', 'ssh'],
    ])
    const own = replayed([capture(says('GET / HTTP/1.1\r\n', elsewhere).frames)], planOf({}, 4711))
    expect(found(own)).toEqual(['10.0.0.7 first-bytes 1 warning'])
    expect(found(replayed([capture(says('GET / HTTP/1.1\r\n', elsewhere).frames)]))).toEqual([])
    const usual = replayed([capture(says('GET / HTTP/1.1\r\n').frames)], planOf({}, 4711))
    expect(found(usual)).toEqual(['10.0.0.7 first-bytes 1 warning'])
  })
})

describe('TLS', () => {
  test('is told by who says hello, and what it carries is counted where it is likely to be MQTT', async () => {
    const hello = await clientHello()
    const wires = [
      new Wire({ server: { address: '10.0.0.1', port: 8883 } }),
      new Wire({ server: { address: '10.0.0.1', port: 8883 }, client: { address: '10.0.0.7', port: 2 } }),
      new Wire({ server: { address: '10.0.0.1', port: 443 }, client: { address: '10.0.0.8', port: 3 } }),
    ].map((wire) => wire.open().send('up', hello, 100).send('down', Buffer.alloc(500, 0x16)).close())
    const { stage } = replayed([capture(...wires.map(({ frames }) => frames))])
    expect(stage.tls.list()).toMatchObject([
      { address: '10.0.0.7', sni: 'broker.hospital.example', versions: [0x0304, 0x0303], connections: 2 },
      { address: '10.0.0.8', sni: 'broker.hospital.example', connections: 1 },
    ])
    expect(stage.tls.list()[0]?.ja4).toMatch(/^t13d\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}$/)
    expect(stage.mqttOverTlsBytes).toBe(2 * (hello.length + 500))
    expect(stage.connections.get('tls')?.count).toBe(3)
  })

  test('carries MQTT on any port where its ALPN says so', async () => {
    const hello = await clientHello('h2', 'mqtt')
    const wire = new Wire({ server: { address: '10.0.0.1', port: 443 } }).open().send('up', hello)
    expect(replayed([capture(wire.frames)]).stage.mqttOverTlsBytes).toBe(hello.length)
  })

  test('that is no ClientHello is TLS of nobody', () => {
    const wire = new Wire().open().send('up', Buffer.from('160301000502000000ff00', 'hex'))
    const { stage } = replayed([capture(wire.frames)])
    expect(stage.tls.list()).toEqual([])
    expect(stage.connections.get('tls')?.count).toBe(1)
  })
})

describe('a session', () => {
  test('is judged like a live one: a broken rule ends it, with place, time, client and references', () => {
    const topicEmpty = publishPacket({ version: 4, topic: '' })
    const wire = device()
      .send('up', publish)
      .send('up', topicEmpty)
      .send('up', publish)
      .send('down', pingrespPacket)
    const { stage } = replayed([capture(wire.frames)])
    expect(stage.incidents.list()).toMatchObject([
      {
        address: '10.0.0.7',
        severity: 'warning',
        action: 'refuse',
        count: 1,
        first: 1_700_000_000_006,
        finding: { detector: 'protocol', evidence: { rule: 'topic-empty', direction: 'up', offset: 2 } },
        places: [{ file: 0, packet: 7 }],
      },
    ])
    expect(stage.incidents.list()[0]?.clientIds).toEqual(new Set(['pump-7']))
    expect(stage.incidents.list()[0]?.finding.references).toContain('CVE-2021-34432')
    const after = publish.length + pingrespPacket.length
    expect(stage.refusals).toMatchObject({ count: 1, strangers: 0, bytesAfter: after })
    expect(stage.refusals.listed[0]).toMatchObject({
      reason: 'topic-empty',
      direction: 'up',
      bytesAfter: after,
    })
    expect(stage.counts[3]).toBe(1)
  })

  test('that policy only observes goes on after a broken rule', () => {
    const wire = device()
      .send('up', publishPacket({ version: 4, topic: '' }))
      .send('up', publish)
    const replay = replayed([capture(wire.frames)], planOf({ policy: { mode: 'observe' } }))
    expect(found(replay)).toEqual(['10.0.0.7 topic-empty 1 notice'])
    expect(replay.stage.refusals.count).toBe(0)
    expect(replay.stage.counts[3]).toBe(2)
  })

  test('goes by the listener with the port it goes to, or else by the first', () => {
    const wide = (port: number) => {
      const server = { address: '10.0.0.1', port }
      return device('a', { server }).send('up', subscribePacket(4, 1, [['#', 0]])).frames
    }
    const refusing = planOf({ detectors: [{ kind: 'wide-subscription', action: 'refuse' }] }, 1884)
    const blind = planOf({ detectors: [] }, 1885)
    expect(replayed([capture(wide(1884))], blind, refusing).stage.refusals.listed).toMatchObject([
      { reason: 'wide-subscription' },
    ])
    expect(found(replayed([capture(wide(1885))], refusing, blind))).toEqual([])
    expect(found(replayed([capture(wide(1999))], refusing, blind))).toEqual([
      '10.0.0.7 wide-subscription 1 notice',
    ])
  })

  test('is not judged from a gap on, in either direction, and neither is what it would have answered', () => {
    const subscribe = subscribePacket(4, 1, [['a', 0]])
    const wire = device()
      .send('up', subscribe)
      .send('down', packet(0x90, 0, 1, 0))
      .wait(3000)
      .send('up', pingreqPacket)
    const frames = wire
      .send('down', pingrespPacket)
      .send('up', publishPacket({ version: 4, topic: '' })).frames
    const { stage } = replayed([capture(frames.toSpliced(5, 1))])
    expect(stage.gaps).toBe(1)
    expect(stage.incidents.list()).toEqual([])
    expect(stage.counts[8]).toBe(0)
  })

  test('counts as one incident what it or its like does again and again, with a bounded list of who and where', () => {
    const frames = Array.from({ length: 40 }, (_, index) => {
      const client = { address: '10.0.0.7', port: 50_000 + index }
      const time = 1_700_000_000_000 + index * 100
      return device(`pump-${index}`, { client, time }).send('up', subscribePacket(4, 1, [['#', 0]])).frames
    })
    const incidents = replayed([capture(...frames)]).stage.incidents.list()
    expect(incidents).toMatchObject([{ count: 40, first: 1_700_000_000_005, last: 1_700_000_003_905 }])
    expect(incidents[0]).toMatchObject({ hasMoreClientIds: true })
    expect(incidents[0]?.clientIds.size).toBe(16)
    expect(incidents[0]?.places.slice(0, 2)).toEqual([
      { file: 0, packet: 6 },
      { file: 0, packet: 12 },
    ])
    expect(incidents[0]?.places).toHaveLength(16)
  })

  test('shares the clock of the capture with all others: connecting too often is told by it', () => {
    const connects = (pace: number): Frame[][] =>
      Array.from({ length: 40 }, (_, index) => {
        const client = { address: '10.0.0.7', port: 50_000 + index }
        return device('pump-7', { client, time: 1_700_000_000_000 + index * pace }).frames
      })
    const plan = planOf({
      inspection: { limits: { clientIdChurn: 30 }, rules: { 'client-id-churn': 'enforce' } },
    })
    expect(found(replayed([capture(...connects(100))], plan))).toEqual([
      '10.0.0.7 client-id-churn 10 warning',
    ])
    expect(found(replayed([capture(...connects(10_000))], plan))).toEqual([])
    // Another day's capture, read before: its clock is not theirs.
    const late = capture(device('pump-9', { time: 1_700_100_000_000 }).frames)
    expect(found(replayed([late, capture(...connects(10_000))], plan))).toEqual([])
  })
})

describe('the same session in any dress is judged the same', () => {
  const six = {
    client: { address: 'fe80::7', port: 4711 },
    server: { address: 'fe80::1', port: 1883 },
  }
  const cooked = (ip: Buffer, isIpv6: boolean): Buffer =>
    bytes(Buffer.alloc(14), uint16(isIpv6 ? 0x86dd : 0x0800), ip)
  const dresses: [string, WireShape, number][] = [
    ['Ethernet', {}, 1],
    ['Ethernet, IPv6', six, 1],
    ['Ethernet with two VLAN tags', { frame: (ip, is6) => ethernet(ip, is6, [0x88a8, 0x8100]) }, 1],
    ['Linux cooked', { frame: cooked }, 113],
    ['Linux cooked, IPv6', { ...six, frame: cooked }, 113],
    ['raw IP', { frame: (ip) => ip }, 101],
    ['loopback, IPv6', { ...six, frame: (ip) => bytes(30, 0, 0, 0, ip) }, 0],
  ]

  test.each(dresses)('%s', (_, shape, link) => {
    const wire = device('pump-7', shape)
      .send('up', publish, 5)
      .send('up', subscribePacket(4, 1, [['#', 0]]))
      .close()
    const address = shape.client?.address ?? '10.0.0.7'
    for (const file of [pcap(wire.frames, { link }), pcapng(wire.frames, { link, little: false })]) {
      const replay = replayed([file])
      expect(found(replay)).toEqual([`${address} wide-subscription 1 notice`])
      expect(replay.stage.incidents.list()[0]?.places).toEqual([{ file: 0, packet: wire.frames.length - 3 }])
      expect(replay.stage.counts[3]).toBe(1)
    }
  })
})

describe('packets', () => {
  test('that are no TCP are counted by what they are', () => {
    const ip = device().frames[3]!.bytes.subarray(14)
    const some = [
      ethernet(ipv4('10.0.0.7', '10.0.0.1', ip.subarray(20), { fragment: 0x2000 }), false),
      ethernet(ipv4('10.0.0.7', '10.0.0.1', ip.subarray(20), { protocol: 17 }), false),
      ethernet(ip.subarray(0, 10), false),
      ethernet(ip.subarray(0, -1), false),
      Buffer.alloc(60),
    ]
    const file = pcap(some.map((one) => ({ time: 5, bytes: one })))
    const { packets, firstTime, lastTime } = replayed([file])
    expect(packets).toEqual({ packets: 5, tcp: 1, fragment: 1, short: 1, cut: 1, other: 2, unknownLink: 0 })
    expect([firstTime, lastTime]).toEqual([5, 5])
    expect(replayed([pcap(device().frames, { link: 147 })]).packets.unknownLink).toBe(5)
  })

  test('of several files are one conversation, and are found by file and number', () => {
    const { frames } = device()
      .send('up', subscribePacket(4, 1, [['#', 0]]))
      .send('up', subscribePacket(4, 2, [['#', 0]]))
    const files = [pcap(frames.slice(0, 4)), pcapng(frames.slice(4, 6)), pcap(frames.slice(6))]
    const [incident] = replayed(files).stage.incidents.list()
    expect(incident?.places).toEqual([
      { file: 1, packet: 2 },
      { file: 2, packet: 1 },
    ])
  })

  test('without a time take that of the ones before', () => {
    const { firstTime, stage } = replayed([pcapng(device().send('up', publish).frames, { block: 'simple' })])
    expect(firstTime).toBeNaN()
    expect(stage.counts[3]).toBe(1)
  })
})

test('a capture with any bytes changed is judged to its end and throws nothing', () => {
  const wire = device()
    .send('up', publish, 3)
    .send('up', subscribePacket(4, 1, [['#', 0]]))
    .close()
  const shapes = [pcap(wire.frames), pcapng(wire.frames), pcap(wire.frames, { snapLength: 70 })]
  fc.assert(
    fc.property(
      fc.constantFrom(...shapes),
      fc.array(fc.tuple(fc.nat(1500), fc.nat(255)), { minLength: 1, maxLength: 30 }),
      (file, changes) => {
        const changed = Buffer.from(file)
        for (const [at, byte] of changed.length > 0 ? changes : []) changed[at % changed.length] = byte
        const { packets, stage } = replayed([changed])
        expect(packets.packets).toBeLessThanOrEqual(wire.frames.length + 30)
        expect(stage.incidents.list().length).toBeLessThan(30)
      },
    ),
    { numRuns: 3000 },
  )
})
