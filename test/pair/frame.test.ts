import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bodyOf,
  FRAME_BYTES,
  FrameReader,
  parseFrame,
  seal,
  type Frame,
  type Statement,
} from '../../src/pair/frame.ts'

const bytes = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array))

const statements: fc.Arbitrary<Statement> = fc.record({
  role: fc.constantFrom('near', 'far'),
  method: fc.constantFrom('shared-key', 'ed25519'),
  keyId: bytes(8),
  nonce: bytes(32),
  binding: bytes(32),
})

const sealed = fc.tuple(statements, bytes(64))

test('a frame is what it was written from', () => {
  fc.assert(
    fc.property(sealed, ([statement, proof]) => {
      const body = bodyOf(statement)
      expect(parseFrame(seal(body, proof))).toEqual({ ...statement, body, proof })
    }),
  )
})

test('a frame of another length, magic, version, role or method is none', () => {
  const good = seal(
    bodyOf({
      role: 'near',
      method: 'ed25519',
      keyId: Buffer.alloc(8),
      nonce: Buffer.alloc(32),
      binding: Buffer.alloc(32),
    }),
    Buffer.alloc(64),
  )
  const changed = (at: number, to: number): Buffer => {
    const copy = Buffer.from(good)
    copy[at] = to
    return copy
  }
  expect(good).toHaveLength(142)
  expect(parseFrame(good)).toMatchObject({ role: 'near', method: 'ed25519' })
  expect(parseFrame(good.subarray(0, 141))).toEqual({ fault: 'half a proof' })
  expect(parseFrame(Buffer.concat([good, Buffer.alloc(1)]))).toEqual({ fault: 'more bytes than a proof has' })
  for (const [at, to] of [
    [0, 0x10],
    [3, 2],
  ] as const) {
    expect(parseFrame(changed(at, to))).toEqual({ fault: 'bytes that are no proof' })
  }
  for (const to of [0, 3, 255]) {
    expect(parseFrame(changed(4, to))).toEqual({ fault: 'a proof of an unknown kind' })
    expect(parseFrame(changed(5, to))).toEqual({ fault: 'a proof of an unknown kind' })
  }
})

test('no bytes make the parser throw, and what it takes is written back the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
      const given = Buffer.from(array)
      const parsed = parseFrame(given)
      if ('fault' in parsed) expect(parsed.fault).not.toBe('')
      else expect(seal(bodyOf(parsed), parsed.proof)).toEqual(given)
    }),
  )
})

describe('a frame in pieces', () => {
  test('is read the same however it is cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: FRAME_BYTES - 1 }), { maxLength: 8 })
    fc.assert(
      fc.property(sealed, cuts, ([statement, proof], places) => {
        const whole = seal(bodyOf(statement), proof)
        const ends = [...new Set([...places, FRAME_BYTES])].toSorted((a, b) => a - b)
        const reader = new FrameReader()
        let from = 0
        let last: Frame | { readonly fault: string } | 'more' = 'more'
        for (const to of ends) {
          expect(last).toBe('more')
          last = reader.push(whole.subarray(from, to))
          from = to
        }
        expect(last).toEqual(parseFrame(whole))
      }),
    )
  })

  test('is refused at its first wrong byte, and at the first byte too many', () => {
    expect(new FrameReader().push(Buffer.from([0x10]))).toEqual({ fault: 'bytes that are no proof' })
    const reader = new FrameReader()
    expect(reader.push(Buffer.from('PWP'))).toBe('more')
    expect(reader.push(Buffer.from([2]))).toEqual({ fault: 'bytes that are no proof' })
    const greedy = new FrameReader()
    expect(greedy.push(Buffer.from('PWP\u0001'))).toBe('more')
    expect(greedy.push(Buffer.alloc(FRAME_BYTES - 3))).toEqual({ fault: 'more bytes than a proof has' })
  })
})
