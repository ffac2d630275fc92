// TCP connections put back together: order, repeats, overlaps, losses, ends, and ports that are used again.

import { describe, expect, test } from 'vitest'
import type { Listener, Side } from '../../src/replay/connection.ts'
import { Connections, mostConnections } from '../../src/replay/connections.ts'
import { Segment } from '../../src/replay/segment.ts'
import type { Frame } from '../help/captures.ts'
import { ethernet, tcpPacket, Wire, type TcpShape } from '../help/segments.ts'

/** What was heard of one connection, as `0 text` for bytes of side 0, `lost` and `end`. */
class Ear implements Listener {
  isDeaf = false
  readonly heard: string[] = []
  readonly packets: number[] = []
  readonly client: Side | undefined

  constructor(client: Side | undefined) {
    this.client = client
  }

  take(side: Side, bytes: Buffer, packet: number): void {
    this.heard.push(`${side} ${bytes.toString('latin1')}`)
    this.packets.push(packet)
  }

  lost(): void {
    this.heard.push('lost')
    this.isDeaf = true
  }

  end(bytes: number): void {
    this.heard.push(`end ${bytes}`)
  }
}

class Line {
  readonly ears: Ear[] = []
  readonly connections = new Connections((_key, client) => {
    const ear = new Ear(client)
    this.ears.push(ear)
    return ear
  })
  readonly #segment = new Segment()
  #packet = 0

  carry(frames: readonly Frame[]): this {
    for (const { time, bytes } of frames) {
      this.#packet += 1
      expect(this.#segment.read(bytes, 14)).toBe('tcp')
      this.connections.take(this.#segment, this.#packet, time)
    }
    return this
  }

  get heard(): readonly string[] {
    return this.ears.flatMap(({ heard }) => heard)
  }
}

/** The frames of a wire: three that open it, then what `talk` says. */
function wire(talk: (wire: Wire) => void, open = true): Frame[] {
  const one = new Wire()
  if (open) one.open()
  talk(one)
  return one.frames
}

function swapped(frames: readonly Frame[], a: number, b: number): Frame[] {
  const copy = [...frames]
  copy[a] = { ...frames[b]!, time: frames[a]!.time }
  copy[b] = { ...frames[a]!, time: frames[b]!.time }
  return copy
}

const hello = Buffer.from('hello')
const world = Buffer.from('world')

describe('a conversation', () => {
  const whole = wire((one) => one.send('up', hello).send('down', world).send('up', world, 2).close())

  test('is heard in its order, from SYN to the FIN of both', () => {
    const line = new Line().carry(whole)
    expect(line.ears[0]?.client).toBe(0)
    expect(line.heard).toEqual(['0 hello', '1 world', '0 wo', '0 rl', '0 d', 'end 15'])
    expect(line.ears[0]?.packets).toEqual([4, 5, 6, 7, 8])
  })

  test('is heard in its order when segments of one side were overtaken', () => {
    const line = new Line().carry(swapped(whole, 5, 7))
    expect(line.heard).toEqual(['0 hello', '1 world', '0 wo', '0 rl', '0 d', 'end 15'])
    expect(line.ears[0]?.packets).toEqual([4, 5, 8, 7, 6])
    expect(line.connections.outOfOrder).toBe(2)
  })

  test('is heard in its order when an answer overtook what it answers, for its acknowledgement tells', () => {
    expect(new Line().carry(swapped(whole, 3, 4)).heard).toEqual(new Line().carry(whole).heard)
  })

  test('is heard once when everything was captured twice', () => {
    const line = new Line().carry(whole.flatMap((frame) => [frame, frame]))
    expect(line.heard).toEqual(['0 hello', '1 world', '0 wo', '0 rl', '0 d', 'end 30'])
    expect(line.ears).toHaveLength(1)
  })

  test('begins with the answer to SYN where that was captured first, or SYN was not', () => {
    const [syn, ...rest] = whole
    const reordered = new Line().carry([rest[0]!, syn!, ...rest.slice(1)])
    const missing = new Line().carry(rest)
    for (const line of [reordered, missing]) {
      expect(line.ears.map(({ client }) => client)).toEqual([1])
      expect(line.heard).toEqual(['1 hello', '0 world', '1 wo', '1 rl', '1 d', 'end 15'])
    }
  })

  test('that began before the capture is heard from where the capture begins', () => {
    const line = new Line().carry(wire((one) => one.send('up', hello).send('down', world), false))
    expect(line.ears[0]?.client).toBeUndefined()
    line.connections.finish()
    expect(line.heard).toEqual(['0 hello', '1 world', 'end 10'])
  })

  test('goes on in the other direction once one side has said everything', () => {
    const line = new Line().carry(
      wire((one) => one.send('up', hello).finish('up').send('down', world).finish('down')),
    )
    expect(line.heard).toEqual(['0 hello', '1 world', 'end 10'])
  })

  test('with sequence numbers that wrap around', () => {
    const one = new Wire({ sequences: { up: 0xffff_fffd, down: 0x7fff_fffe } }).open()
    one.send('up', hello, 2).send('down', world, 1)
    const line = new Line().carry(swapped(one.frames, 3, 4))
    expect(line.heard).toEqual(['0 he', '0 ll', '0 o', '1 w', '1 o', '1 r', '1 l', '1 d'])
  })
})

/** A segment of the client from sequence number 1001, where its first byte is. */
function piece(offset: number, payload: string, shape: Partial<TcpShape> = {}): Frame {
  const packet = tcpPacket({
    from: { address: '10.0.0.7', port: 49_152 },
    to: { address: '10.0.0.1', port: 1883 },
    sequence: 1001 + offset,
    acknowledged: 5001,
    flags: 'PA',
    payload,
    ...shape,
  })
  return { time: 1_700_000_000_010, bytes: ethernet(packet, false) }
}

describe('of bytes that come more than once the first copy counts', () => {
  const opening = wire(() => {})

  test('when they went on already', () => {
    const line = new Line().carry([...opening, piece(0, 'abcd'), piece(2, 'XXef'), piece(0, 'YYYYYY')])
    expect(line.heard).toEqual(['0 abcd', '0 ef'])
    expect(line.connections.retransmitted).toBe(2)
  })

  test('when they wait', () => {
    const pieces = [piece(4, 'ef'), piece(8, 'ij'), piece(3, 'dXXghXXkl'), piece(0, 'abcYYYYYYYYYYmn')]
    const line = new Line().carry([...opening, ...pieces])
    expect(line.heard.map((text) => text.slice(2)).join('')).toBe('abcdefghijklYmn')
  })

  test('and a keep alive that sends the last byte again says nothing', () => {
    const line = new Line().carry([...opening, piece(0, 'abc'), piece(2, '\0'), piece(3, 'd')])
    expect(line.heard).toEqual(['0 abc', '0 d'])
  })

  test('and a sequence number from nowhere is not waited for', () => {
    const line = new Line().carry([...opening, piece(0x4000_0000, 'far'), piece(0, 'near')])
    line.connections.finish()
    expect(line.heard).toEqual(['0 near', 'end 7'])
  })
})

describe('what is not in the capture', () => {
  /** `hel` is lost, `lo` waits. */
  const lost = wire((one) => one.send('up', hello, 3, 2).acknowledge('down')).toSpliced(3, 1)

  test('is given up once it was acknowledged and does not come for two seconds', () => {
    const line = new Line().carry(lost)
    expect(line.heard).toEqual([])
    const later = wire((one) => one.send('up', hello).acknowledge('down').wait(2100).acknowledge('up')).slice(
      -1,
    )
    line.carry(later)
    expect(line.heard).toEqual(['lost'])
  })

  test('is given up once it does not come for many packets', () => {
    const line = new Line().carry(lost)
    const silent = { ...lost.at(-1)!, time: lost[0]!.time }
    line.carry(Array.from({ length: 255 }, () => silent))
    expect(line.heard).toEqual([])
    line.carry([silent])
    expect(line.heard).toEqual(['lost'])
  })

  test('is waited for as long as nobody has acknowledged it: the network may have lost it, too', () => {
    const late = piece(0, 'hel')
    const line = new Line().carry([...lost.slice(0, -1), { ...late, time: late.time + 60_000 }])
    expect(line.heard).toEqual(['0 hel', '0 lo'])
  })

  test('is given up when more waits behind it than a connection may hold', () => {
    const line = new Line().carry(wire(() => {}))
    const chunk = 'x'.repeat(60_000)
    const pieces = Array.from({ length: 18 }, (_, index) => piece(1 + index * chunk.length, chunk))
    line.carry(pieces)
    expect(line.heard).toEqual(['lost'])
  })

  test('is told at the end of the capture', () => {
    const line = new Line().carry(lost)
    line.connections.finish()
    expect(line.heard).toEqual(['lost', 'end 2'])
  })

  test('an acknowledgement of what nobody can have sent is not believed', () => {
    const wild = piece(0, 'hello', { acknowledged: 5001 + 0x4000_0000 })
    expect(new Line().carry([...wire(() => {}), wild]).heard).toEqual(['0 hello'])
  })
})

describe('the end', () => {
  test('comes with RST, from either side', () => {
    for (const direction of ['up', 'down'] as const) {
      const line = new Line().carry(wire((one) => one.send('up', hello).reset(direction)))
      expect(line.heard).toEqual(['0 hello', 'end 5'])
    }
  })

  test('does not come with a RST that is not of this connection', () => {
    for (const offset of [0x2000_0000, -0x2000_0000, -1]) {
      const forged = piece(offset, '', { flags: 'R' })
      expect(new Line().carry([...wire(() => {}), forged, piece(0, 'hello')]).heard).toEqual(['0 hello'])
    }
  })

  test('comes with another SYN between the same ports, and that begins another connection', () => {
    const first = wire((one) => one.send('up', hello))
    const second = new Wire({ sequences: { up: 70_000, down: 90_000 } }).open().send('up', world).frames
    const line = new Line().carry([...first, ...second])
    expect(line.ears.map(({ heard }) => heard)).toEqual([['0 hello', 'end 5'], ['0 world']])
  })

  test('leaves the ports free for another connection, even where its SYN was not captured', () => {
    const [, ...first] = wire((one) => one.send('up', hello).close())
    const second = new Wire({ sequences: { up: 70_000, down: 90_000 } }).open().send('up', world).frames
    const line = new Line().carry([...first, ...second])
    expect(line.ears.map(({ heard }) => heard)).toEqual([['1 hello', 'end 5'], ['0 world']])
  })

  test('is noticed where nobody listens any more', () => {
    const line = new Line().carry(wire((one) => one.send('up', hello)))
    line.ears[0]!.isDeaf = true
    line.carry(wire((one) => one.send('up', hello).send('up', world).close()).slice(4))
    expect(line.heard).toEqual(['0 hello', '0 world', 'end 10'])
  })

  test('packets that carry nothing begin no connection', () => {
    const line = new Line().carry(wire((one) => one.acknowledge('up').reset('down'), false))
    expect(line.ears).toEqual([])
  })
})

test('the idlest connections make room, those that are over first', () => {
  const line = new Line()
  const syn = (index: number, time: number): Frame => ({
    time,
    bytes: new Wire({
      client: { address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, port: 7 },
    }).open().frames[0]!.bytes,
  })
  const over = new Wire({ client: { address: '10.9.9.9', port: 7 } }).open().reset('up').frames
  line.carry(over)
  line.carry(Array.from({ length: mostConnections - 1 }, (_, index) => syn(index, 1_700_000_000_000 + index)))
  expect(line.connections.evicted).toBe(0)
  line.carry([syn(mostConnections, 1_800_000_000_000)])
  const evicted = mostConnections / 4
  expect(Math.abs(line.connections.evicted - evicted)).toBeLessThan(3)
  expect(line.ears.filter(({ heard }) => heard.length > 0)).toHaveLength(line.connections.evicted + 1)
  // The first ones are gone, the last ones are there.
  expect(line.ears[1]?.heard).toEqual(['end 0'])
  expect(line.ears.at(-1)?.heard).toEqual([])
  expect(line.ears.at(-2)?.heard).toEqual([])
})
