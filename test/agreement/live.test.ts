// Sequences through a running Pulseward, and what tells a refusal from a broker that hangs up.

import { expect, test } from 'vitest'
import { describeWith } from '../help/tools.ts'
import { packetTypes } from './listen.ts'
import { onLanes, runLive } from './live.ts'
import { brokerSequences, clientSequences, judged } from './samples.ts'

test('work is shared between lanes, each with one piece at a time, and results keep its order', async () => {
  const busy = new Set<string>()
  const results = await onLanes(['a', 'b'], [1, 2, 3, 4, 5], async (lane, work) => {
    expect(busy).not.toContain(lane)
    busy.add(lane)
    for (let i = 0; i < 10 - work; i++) await Promise.resolve()
    busy.delete(lane)
    return work * 10
  })
  expect(results).toEqual([10, 20, 30, 40, 50])
})

test.each([
  ['', []],
  ['c000d000', [12, 13]],
  ['20020000 3003', [2]],
  ['300500017061', []],
  ['308500 0000000000 c000', [3, 12]],
  ['c0ffffffffff', []],
])('the whole packets of "%s" are %j', (hex, types) => {
  expect(packetTypes(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toEqual(types)
})

describeWith(['mosquitto'], 'through Pulseward', () => {
  test('the live run comes to the verdicts of the core, and no refused packet gets through', async () => {
    const core = [...judged(clientSequences), ...judged(brokerSequences)]
    const { outcomes, brokerVersion } = await runLive(core, 'standard')
    const verdicts = ({ sequence, verdict, by }: (typeof core)[number] | (typeof outcomes)[number]) => [
      sequence.name,
      verdict,
      by,
    ]
    expect(outcomes.map(verdicts)).toEqual(core.map(verdicts))
    expect(outcomes.map(({ leaked }) => leaked)).not.toContain(true)
    // Of the flag in a ping not every mosquitto takes notice.
    const alone = new Map(outcomes.map(({ sequence, brokerAlone }) => [sequence, brokerAlone]))
    expect(clientSequences.map((sequence) => alone.get(sequence))).toEqual([
      false,
      expect.any(Boolean),
      true,
      false,
    ])
    expect(brokerSequences.map((sequence) => alone.get(sequence))).toEqual([undefined, undefined, undefined])
    expect(brokerVersion).toMatch(/^\d+\.\d+/)
  })

  test('bytes beyond what may pass are noticed on either side', async () => {
    const passing = [judged(clientSequences)[0]!, judged(brokerSequences)[0]!]
    const nothing = passing.map((outcome) => ({
      ...outcome,
      verdict: 'rule' as const,
      passed: outcome.passed.subarray(0, 1),
    }))
    const { outcomes } = await runLive(nothing, 'standard')
    expect(outcomes.map(({ verdict, leaked }) => [verdict, leaked])).toEqual([
      ['passed', true],
      ['passed', true],
    ])
  })
})
