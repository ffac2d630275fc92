// Sequences through the pure core: the verdict, its rule, and what went on.

import { expect, test } from 'vitest'
import { judgeSequence, rulebookOf } from './core.ts'
import { openingConnect } from './opening.ts'
import { brokerSequences, clientSequences, judged } from './samples.ts'
import { parseSequences } from './sequences.ts'

test('a rule refuses, the sender has its last word, or it passes', () => {
  const verdicts = [...judged(clientSequences), ...judged(brokerSequences)].map(({ verdict, by }) => [
    verdict,
    by,
  ])
  expect(verdicts).toEqual([
    ['passed', undefined],
    ['rule', 'reserved-flags'],
    ['last word', undefined],
    ['passed', undefined],
    ['passed', undefined],
    ['rule', 'wrong-direction'],
    ['last word', undefined],
  ])
})

test('what passed is the opening and the packets before the one that was refused', () => {
  const [ping, flagged] = judged(clientSequences)
  expect(ping?.passed.toString('hex')).toBe(`${openingConnect(5).toString('hex')}c000`)
  expect(flagged?.passed).toEqual(openingConnect(5))
})

test('the limits are those of a proxy.yaml without any', () => {
  const { frames, limits } = rulebookOf('standard')
  expect(frames).toEqual({ connect: 65_536, control: 262_144, publish: 2_097_152 })
  expect(limits.topicLevels).toBe(200)
})

test('the preset decides what is only reported', () => {
  const [sequence] = parseSequences(
    'lib',
    'SAMPLE.json',
    JSON.stringify([{ group: 'g', tests: [{ name: 't', msgs: [{ type: 'send', payload: 'D0 r0' }] }] }]),
  )
  expect(judgeSequence(sequence!, rulebookOf('standard'))).toMatchObject({
    verdict: 'passed',
    reported: ['pingresp-unasked'],
  })
  expect(judgeSequence(sequence!, rulebookOf('strict'))).toMatchObject({
    verdict: 'rule',
    by: 'pingresp-unasked',
  })
})

test('a device that hangs up itself has not been protected', () => {
  const [sequence] = parseSequences(
    'lib',
    'SAMPLE.json',
    JSON.stringify([
      {
        group: 'g',
        ver: 5,
        tests: [
          {
            name: 't',
            msgs: [
              { type: 'send', payload: 'D0 r0' },
              { type: 'recv', payload: 'E0 r1 82' },
            ],
          },
        ],
      },
    ]),
  )
  expect(judgeSequence(sequence!, rulebookOf('standard')).verdict).toBe('passed')
})
