// Reading capture files: every shape of pcap and pcapng, in any chunks, whole, cut off and broken.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CaptureReader, type CaptureProblem } from '../../src/replay/capture.ts'
import { maxRecord } from '../../src/replay/format.ts'
import { pcap, pcapHeader, pcapng, pcapngBlock, pcapRecord, type Frame } from '../help/captures.ts'
import { held } from '../help/heap.ts'
import { bytes } from '../help/packets.ts'

const frames: readonly Frame[] = [
  { time: 1_600_000_000_123, bytes: Buffer.from('first') },
  { time: 1_600_000_000_124, bytes: Buffer.alloc(0) },
  { time: 1_600_000_001_000, bytes: Buffer.alloc(3000, 7) },
]

interface Read {
  readonly frames: readonly Frame[]
  readonly links: readonly number[]
  readonly problem: CaptureProblem | undefined
}

/** What is read of a file that comes in chunks of these sizes, over and over. */
function read(file: Buffer, ...sizes: readonly number[]): Read {
  const seen: Frame[] = []
  const links = new Set<number>()
  const reader = new CaptureReader(({ time, link, bytes: packet }) => {
    links.add(link)
    seen.push({ time: Math.round(time), bytes: Buffer.from(packet) })
  })
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const size = sizes[turn % sizes.length] ?? file.length
    reader.push(file.subarray(at, at + size))
    at += size
  }
  reader.end()
  return { frames: seen, links: [...links], problem: reader.problem }
}

const shapes = [false, true].flatMap((little) => [
  ...[false, true].map((nanoseconds) => ({
    name: `pcap, ${nanoseconds ? 'nanoseconds' : 'microseconds'}, ${little ? 'little' : 'big'}-endian`,
    file: pcap(frames, { little, nanoseconds, link: 101 }),
  })),
  ...(['enhanced', 'old'] as const).flatMap((block) => [
    { name: `pcapng, ${block} blocks, ${little}`, file: pcapng(frames, { little, block, link: 101 }) },
    {
      name: `pcapng, ${block} blocks among unknown ones, nanoseconds, ${little}`,
      file: pcapng(frames, { little, block, link: 101, resolution: 9, withUnknown: true }),
    },
    {
      name: `pcapng, ${block} blocks, 1/1024 of a millisecond and a clock with an offset, ${little}`,
      file: pcapng(frames, { little, block, link: 101, resolution: 0x80 | 20, offset: 1_500_000_000 }),
    },
  ]),
])

describe('every shape holds the same packets', () => {
  test.each(shapes)('$name', ({ file }) => {
    expect(read(file)).toEqual({ frames, links: [101], problem: undefined })
    expect(read(file, 1)).toEqual(read(file))
  })

  test('pcapng simple blocks have no time, and what the snap length of their interface leaves', () => {
    const { frames: seen, problem } = read(pcapng(frames, { block: 'simple', snapLength: 4 }))
    expect(problem).toBeUndefined()
    expect(seen.map(({ time }) => time)).toEqual([NaN, NaN, NaN])
    expect(seen.map((one) => one.bytes.toString('latin1'))).toEqual(['firs', '', '\x07\x07\x07\x07'])
  })

  test('any chunks', () => {
    fc.assert(
      fc.property(fc.constantFrom(...shapes), fc.array(fc.nat(5000), { minLength: 1 }), ({ file }, sizes) => {
        expect(read(file, ...sizes.map((size) => size + 1)).frames).toEqual(frames)
      }),
      { numRuns: 100 },
    )
  })
})

test('a pcap that says how long frame check sequences are has the link type beside that', () => {
  expect(read(pcap(frames, { link: 0x5400_0001 }))).toEqual({ frames, links: [1], problem: undefined })
})

test('each section of pcapng has its own byte order and interfaces', () => {
  const file = Buffer.concat([
    pcapng(frames.slice(0, 1), { little: true, link: 1 }),
    pcapng(frames.slice(1), { little: false, link: 113, resolution: 9 }),
  ])
  expect(read(file)).toEqual({ frames, links: [1, 113], problem: undefined })
})

test('a packet of an interface that nobody described has neither time nor link type', () => {
  const file = Buffer.concat([
    pcapng([]).subarray(0, 28),
    pcapngBlock(6, [Buffer.alloc(12), bytes(5, 0, 0, 0, 5, 0, 0, 0), 'lost!']),
  ])
  const read1 = read(file)
  expect(read1.links).toEqual([-1])
  expect(read1.frames).toEqual([{ time: NaN, bytes: Buffer.from('lost!') }])
})

test('an unknown block is skipped without being held, however long it claims to be', () => {
  const head = pcapng(frames)
  const huge = bytes(Buffer.from('adba0b00', 'hex'), Buffer.from('000000f0', 'hex'))
  const reader = new CaptureReader(() => {})
  reader.push(Buffer.concat([head, huge]))
  const before = held()
  for (let i = 0; i < 200; i++) reader.push(Buffer.alloc(1 << 20))
  expect(held() - before).toBeLessThan(20)
  reader.end()
  expect(reader.problem?.kind).toBe('truncated')
})

describe('what cannot be read is named, and what came before it is kept', () => {
  const whole = pcap(frames)

  test.each([
    ['nothing at all', Buffer.alloc(0), 'the file is too short to be a capture'],
    ['text', Buffer.from('this is no capture'), 'the file is neither pcap nor pcapng'],
    [
      'a pcapng block that is not its first',
      pcapngBlock(1, [Buffer.alloc(12)]),
      'the file is neither pcap nor pcapng',
    ],
    [
      'gzip',
      bytes(Buffer.from('1f8b08', 'hex'), Buffer.alloc(20)),
      'the file is compressed with gzip: decompress it first',
    ],
    [
      'zstd',
      bytes(Buffer.from('28b52ffd', 'hex'), Buffer.alloc(20)),
      'the file is compressed with zstd: decompress it first',
    ],
  ])('%s', (_, file, what) => {
    expect(read(file)).toEqual({ frames: [], links: [], problem: { kind: 'not-a-capture', what, at: 0 } })
  })

  test('a file that ends inside a packet, as one that is still written does', () => {
    expect(read(whole.subarray(0, -1))).toEqual({
      frames: frames.slice(0, 2),
      links: [1],
      problem: { kind: 'truncated', what: 'the file ends inside a record', at: whole.length - 3016 },
    })
  })

  test('a packet larger than any', () => {
    const lying = pcapRecord(frames[0]!)
    lying.writeUInt32LE(maxRecord + 1, 8)
    const file = Buffer.concat([pcapHeader(), pcapRecord(frames[0]!), lying, pcapRecord(frames[1]!)])
    const { frames: seen, problem } = read(file, 7)
    expect(seen).toEqual(frames.slice(0, 1))
    expect(problem).toEqual({ kind: 'damaged', what: 'a packet claims 1048577 bytes', at: 24 + 21 })
  })

  const oddLengths = pcapngBlock(6, [Buffer.alloc(20)])
  oddLengths.writeUInt32LE(36, oddLengths.length - 4)
  const notByFour = pcapngBlock(0x0bad, [Buffer.alloc(20)])
  notByFour.writeUInt32LE(31, 4)
  const tooLarge = pcapngBlock(6, [Buffer.alloc(20)])
  tooLarge.writeUInt32LE(maxRecord + 4, 4)
  const noOrder = pcapngBlock(0x0a0d0d0a, [Buffer.alloc(16)])
  test.each([
    ['two lengths that differ', oddLengths, 'the two lengths of a block differ'],
    ['a length that is no multiple of four', notByFour, 'a block claims 31 bytes'],
    ['a block shorter than its fields', pcapngBlock(6, [Buffer.alloc(4)]), 'a block claims 16 bytes'],
    ['a packet block larger than any', tooLarge, 'a block claims 1048580 bytes'],
    ['a section without a byte order', noOrder, 'a section has no byte order'],
  ])('pcapng with %s', (_, block, what) => {
    const head = pcapng(frames)
    const { frames: seen, problem } = read(Buffer.concat([head, block, head]))
    expect(seen).toEqual(frames)
    expect(problem).toEqual({ kind: 'damaged', what, at: head.length })
  })
})

test('a file with any bytes changed is read or refused, never more of it than is there', () => {
  const files = shapes.map(({ file }) => file)
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(fc.record({ at: fc.nat(3200), byte: fc.nat(255) }), { minLength: 1, maxLength: 12 }),
      fc.nat(3300),
      (file, changes, length) => {
        const changed = Buffer.from(file)
        for (const { at, byte } of changes) if (at < changed.length) changed[at] = byte
        const cut = changed.subarray(0, length)
        const { frames: seen } = read(cut)
        expect(seen.reduce((sum, one) => sum + one.bytes.length, 0)).toBeLessThanOrEqual(cut.length)
        expect(read(cut, 13)).toEqual(read(cut))
      },
    ),
    { numRuns: 2000 },
  )
})
