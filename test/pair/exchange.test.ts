import { createPrivateKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answer, bindingOf, introduce, judgeAnswer, type Finding } from '../../src/pair/exchange.ts'
import { bodyOf, parseFrame, seal, type Frame } from '../../src/pair/frame.ts'
import {
  identityKeys,
  makeIdentity,
  nameOf,
  publicLine,
  sharedKeys,
  type PairKeys,
} from '../../src/pair/keys.ts'

const identity = (): ReturnType<typeof createPrivateKey> => createPrivateKey(makeIdentity())
const frameOf = (bytes: Buffer | undefined): Frame => {
  const parsed = parseFrame(bytes ?? Buffer.alloc(0))
  if ('fault' in parsed) throw new Error(parsed.fault)
  return parsed
}
const nameOfOwn = ({ own }: PairKeys): string => nameOf(own[0]?.id ?? Buffer.alloc(0))

const [one, other] = [bindingOf(randomBytes(32)), bindingOf(randomBytes(32))]
const [nearId, farId, strangerId] = [identity(), identity(), identity()]
const key = randomBytes(32)

/** Both ends of a pair, and an end that belongs to nobody, for each way to prove. */
const pairs = {
  'shared keys': {
    near: sharedKeys([key]),
    far: sharedKeys([key]),
    stranger: sharedKeys([randomBytes(32)]),
  },
  identities: {
    near: identityKeys(nearId, [publicLine(farId)]),
    far: identityKeys(farId, [publicLine(nearId)]),
    stranger: identityKeys(strangerId, [publicLine(nearId), publicLine(farId)]),
  },
}

/** The exchange of a near end that sees the connection `near` and a far end that sees `far`. */
function exchange(
  ends: { readonly near: PairKeys; readonly far: PairKeys },
  seen: { readonly near: Buffer; readonly far: Buffer },
): { readonly far: Finding; readonly near: Finding | undefined } {
  const sent = introduce(ends.near, seen.near)
  const { finding, reply } = answer(ends.far, frameOf(sent), seen.far)
  return {
    far: finding,
    near: reply === undefined ? undefined : judgeAnswer(ends.near, sent, frameOf(reply), seen.near),
  }
}

describe.each(Object.entries(pairs))('by %s', (_, { near, far, stranger }) => {
  test('both ends of one connection prove themselves to each other', () => {
    expect(exchange({ near, far }, { near: one, far: one })).toEqual({
      far: { proven: true, by: nameOfOwn(near) },
      near: { proven: true, by: nameOfOwn(far) },
    })
  })

  test('both ends learn that they see different connections', () => {
    const mismatch = { proven: false, fault: 'pair-mismatch' }
    expect(exchange({ near, far }, { near: one, far: other })).toMatchObject({
      far: { ...mismatch, reason: expect.stringContaining(nameOfOwn(near)) },
      near: { ...mismatch, reason: expect.stringContaining(nameOfOwn(far)) },
    })
  })

  test('a stranger proves nothing to the far end, and gets no answer', () => {
    const { far: finding, near: answered } = exchange({ near: stranger, far }, { near: one, far: one })
    expect(finding).toMatchObject({ proven: false, fault: 'pair-unproven' })
    expect(answered).toBeUndefined()
  })

  test('a stranger proves nothing to the near end', () => {
    const sent = introduce(near, one)
    const listing = { ...stranger, accepted: far.accepted }
    const { reply } = answer(listing, frameOf(sent), one)
    expect(judgeAnswer(near, sent, frameOf(reply), one)).toMatchObject({ fault: 'pair-unproven' })
  })

  test("an end's own frame sent back to it proves nothing", () => {
    const sent = introduce(near, one)
    expect(judgeAnswer(near, sent, frameOf(sent), one)).toMatchObject({ fault: 'pair-unproven' })
    const { reply } = answer(far, frameOf(sent), one)
    const back = answer(far, frameOf(reply), one)
    expect(back).toMatchObject({ finding: { fault: 'pair-unproven' } })
    expect(back.reply).toBeUndefined()
  })

  test('an answer to another frame proves nothing, were the connection the same', () => {
    const [sent, before] = [introduce(near, one), introduce(near, one)]
    const { reply } = answer(far, frameOf(before), one)
    expect(judgeAnswer(near, before, frameOf(reply), one).proven).toBe(true)
    expect(judgeAnswer(near, sent, frameOf(reply), one)).toMatchObject({ fault: 'pair-unproven' })
  })

  test('a frame of an earlier connection proves nothing about this one', () => {
    const before = introduce(near, other)
    const { finding } = answer(far, frameOf(before), one)
    expect(finding).toMatchObject({ proven: false, fault: 'pair-mismatch' })
  })

  test('no bit of either frame can be changed', () => {
    const sent = introduce(near, one)
    const { reply } = answer(far, frameOf(sent), one)
    const flipped = (bytes: Buffer, bit: number): Buffer => {
      const copy = Buffer.from(bytes)
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      return copy
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: sent.length * 8 - 1 }), (bit) => {
        const up = parseFrame(flipped(sent, bit))
        const down = parseFrame(flipped(reply ?? Buffer.alloc(0), bit))
        if (!('fault' in up)) expect(answer(far, up, one).finding.proven).toBe(false)
        if (!('fault' in down)) expect(judgeAnswer(near, sent, down, one).proven).toBe(false)
      }),
    )
  })
})

test('who holds a key and takes the part of the other end proves nothing', () => {
  const { near, far } = pairs.identities
  const [prover] = near.own
  if (prover === undefined) throw new Error('no key')
  const { method, id: keyId } = prover
  const body = bodyOf({ role: 'far', method, keyId, nonce: randomBytes(32), binding: one })
  const proof = prover.prove(Buffer.concat([Buffer.from('pulseward-pair/1 proof\0'), body]))
  expect(answer(far, frameOf(seal(body, proof)), one)).toMatchObject({ finding: { fault: 'pair-unproven' } })
  const asNear = Buffer.from(body).fill(1, 4, 5)
  const right = prover.prove(Buffer.concat([Buffer.from('pulseward-pair/1 proof\0'), asNear]))
  expect(answer(far, frameOf(seal(asNear, right)), one).finding.proven).toBe(true)
})

test('an end that proves in the other way is not known', () => {
  const ends = { near: pairs['shared keys'].near, far: pairs.identities.far }
  expect(exchange(ends, { near: one, far: one })).toMatchObject({ far: { fault: 'pair-unproven' } })
})

describe('a key is changed without a moment in which nobody is known', () => {
  const [old, next] = [randomBytes(32), randomBytes(32)]
  // Both list both; then one end after the other puts the new one first; then the old one goes.
  const steps: readonly (readonly [string, readonly Buffer[], readonly Buffer[]])[] = [
    ['before', [old], [old]],
    ['the far end lists the next', [old], [old, next]],
    ['the near end lists it first', [next, old], [old, next]],
    ['the far end drops the old', [next, old], [next]],
    ['after', [next], [next]],
  ]
  test.each(steps)('shared: %s', (_, near, far) => {
    const ends = { near: sharedKeys(near), far: sharedKeys(far) }
    expect(exchange(ends, { near: one, far: one })).toMatchObject({
      far: { proven: true },
      near: { proven: true },
    })
  })

  test('identities: the other end lists current and next', () => {
    const [now, then] = [identity(), identity()]
    const near = identityKeys(nearId, [publicLine(now), publicLine(then)])
    for (const own of [now, then]) {
      const far = identityKeys(own, [publicLine(nearId)])
      expect(exchange({ near, far }, { near: one, far: one })).toMatchObject({
        near: { proven: true, by: nameOfOwn(far) },
      })
    }
  })
})
