// A short run of the fuzzer, as long on every machine: one seed that stays, and one that is new every day.

import { describe, expect, test } from 'vitest'
import { decode } from '../../src/mqtt/decode.ts'
import type { Preset } from '../../src/mqtt/rulebook.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import type { Step } from '../help/judge.ts'
import { rulebook } from '../help/rulebook.ts'
import { parseVectors } from '../help/vectors.ts'
import { Campaign } from './campaign.ts'
import { Corpus } from './corpus.ts'
import { compareReaders, exemptions } from './oracle.ts'
import { Random } from './random.ts'
import { describeFinding } from './report.ts'
import { interleave, type Script } from './script.ts'
import { drawSession } from './sessions.ts'
import { asVector, shrink } from './shrink.ts'
import { mostRemembered, soak } from './soak.ts'
import { run, type Trial } from './trial.ts'

const corpus = Corpus.ofVectors(new URL('../vectors/', import.meta.url))
const cases = 5000
const today = Number(new Date().toISOString().slice(0, 10).replaceAll('-', ''))

describe('broken sessions', () => {
  test.each([1, today])('keep every promise of the core, seed %i', (seed) => {
    console.log(`fuzzing ${cases} cases of seed ${seed}`)
    const campaign = new Campaign(corpus)
    for (let number = 0; number < cases; number++) campaign.take({ seed, number })
    expect(campaign.findings.map(describeFinding).join('\n')).toBe('')
    expect(campaign.compared).toBeGreaterThan(cases)
    expect(campaign.passed).toBeGreaterThan(0)
    // The fuzzer reaches deep enough to break nearly every rule there is.
    expect(campaign.unseen().length).toBeLessThan(allRules.length / 5)
  })

  test('are the same again for the same seed and number', () => {
    const draw = (number: number): unknown => corpus.draw(new Random(7, number))
    const numbers = Array.from({ length: 200 }, (_, number) => number)
    expect(numbers.map(draw)).toEqual(numbers.toReversed().map(draw).toReversed())
    expect(draw(1)).not.toEqual(draw(2))
  })

  test('of endless length hold no more than their tables', () => {
    expect(soak(3, 5000)).toBeLessThan(mostRemembered)
  })
})

describe('drawn sessions', () => {
  test('pass whole where rules are only reported', () => {
    for (let number = 0; number < 500; number++) {
      const packets = drawSession(new Random(11, number))
      const trial = judged(packets)
      expect(trial.verdict, `session ${number}`).toBe('pass')
      expect(trial.sights).toHaveLength(packets.length)
      expect(compareReaders(trial)).toBe(packets.length)
    }
  })
})

describe('another reader', () => {
  const trial = judged(drawn('33 0a 0001 61 0005', 'payload'))

  test('agrees about what passed', () => {
    expect(compareReaders(trial)).toBe(3)
  })

  test.each([
    ['topic', 'b'],
    ['qos', 0],
    ['packetId', 6],
    ['payload', 8],
    ['retain', false],
  ])('notices another %s', (field, value) => {
    const sights = trial.sights.map((sight) => ({ ...sight, fields: { ...sight.fields, [field]: value } }))
    expect(() => compareReaders({ ...trial, sights })).toThrow(`mqtt-packet reads another ${field}`)
  })

  test('notices a frame that was not seen, and one that was not counted', () => {
    const wrong = 'what passed is not the frames that were seen'
    expect(() => compareReaders({ ...trial, sights: trial.sights.slice(1) })).toThrow(wrong)
    expect(() => compareReaders({ ...trial, counts: new Float64Array(32) })).toThrow('frames are miscounted')
  })

  test('notices a frame that it cannot read itself', () => {
    // SUBSCRIBE with QoS 3, as if no rule had noticed.
    const sights = [...trial.sights.slice(0, 2), { ...trial.sights[2]!, type: 8, fields: {} }]
    const passed = {
      ...trial.passed,
      up: Buffer.concat([trial.passed.up.subarray(0, 20), hex('8206000100016103')]),
    }
    expect(() => compareReaders({ ...trial, passed, sights })).toThrow(
      'refuses a subscribe that broke no rule',
    )
  })
})

describe('what mqtt-packet cannot read', () => {
  const five = '1013 0004 4d515454 05 02 003c 00 0006 70756d702d37'
  const old = '1014 0006 4d5149736470 03 02 003c 0006 70756d702d37'
  const authenticated = '1017 0004 4d515454 05 02 003c 04 15 0001 58 0006 70756d702d37'
  const again = 'f006 19 04 15 0001 58'
  const examples: Readonly<Record<string, readonly [up: string, down: string, after: string, last: string]>> =
    {
      auth: [authenticated, '2007 00 00 04 15 0001 58', again, 'f000'],
      connect: ['1114 0006 4d5149736470 03 03 003c 0006 70756d702d37', '20020000', '', ''],
      request: [old, '20020000', '', '8a060001000161 00'],
      connack: [old, '20028000', '', ''],
      disconnect: [five, '2003000000', '', 'e0018c'],
    }

  test.each(exemptions)('$reason', (exemption) => {
    const used = Object.values(examples).flatMap(([up, down, after, last]) => {
      const packets: Step[] = [up, down, after, last].map((one, index) => ({
        direction: index === 1 ? 'down' : 'up',
        bytes: hex(one),
      }))
      if (last === 'f000') packets[3] = { direction: 'down', bytes: hex(last) }
      const given = packets.filter(({ bytes }) => bytes.length > 0)
      const trial = judged(given, 'strict')
      expect({ verdict: trial.verdict, up }).toEqual({ verdict: 'pass', up })
      compareReaders(trial)
      return trial.sights.filter((sight, index) => {
        const frame = given[index]!.bytes
        return exemption.applies(frame, sight) && decode(frame, sight.version) === undefined
      })
    })
    expect(used).toHaveLength(1)
  })
})

describe('shrinking', () => {
  const script: Script = {
    origin: 'session',
    setting: {
      frames: { connect: 512, control: 1024, publish: 4096 },
      policy: { resends: 2, dollarTopics: ['$SYS'] },
      classes: [{ name: 'pump', clientIds: ['*'], maxTopic: 9, maxPayload: 8, maxReceived: 70 }],
      earlier: 5,
    },
    packets: drawn('30 0c 0001 61', 'pay\u0099load'),
  }

  test('leaves what makes a case fail, and nothing else', () => {
    const failure = ({ packets }: Script): string | undefined =>
      packets.some(({ bytes }) => bytes.includes(0x99)) ? 'has 99' : undefined
    expect(shrink(script, failure).packets).toEqual([{ direction: 'up', bytes: hex('99') }])
  })

  test('leaves a case alone that does not fail', () => {
    expect(shrink(script, () => undefined)).toBe(script)
  })

  test('ends in a vector that says the same', () => {
    const [vector] = parseVectors(asVector(script, 'an example'), 'any')
    expect(vector).toMatchObject({
      version: 4,
      direction: 'up',
      limits: script.setting.frames,
      policy: { resends: 2 },
      classes: [{ maxTopic: 9, maxPayload: 8, maxReceived: 70 }],
      earlier: 5,
    })
    const { direction, bytes, before } = vector!
    expect([...before, { direction, bytes }]).toEqual(script.packets)
  })
})

/** A handshake of 3.1.1, and a packet of the device in hex with a text behind it. */
function drawn(head: string, text: string): Script['packets'] {
  return [
    { direction: 'up', bytes: hex('1012 0004 4d515454 04 02 003c 0006 70756d702d37') },
    { direction: 'down', bytes: hex('20020000') },
    { direction: 'up', bytes: Buffer.concat([hex(head), Buffer.from(text)]) },
  ]
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function judged(packets: Script['packets'], preset: Preset = 'observe'): Trial {
  const frames = { connect: 65_536, control: 65_536, publish: 1 << 20 }
  const book = rulebook({ preset, frames, limits: { topicAliases: 100, topicAliasBytes: 10_000 } })
  return run(interleave(packets), { book, tick: 1000, earlier: 0 }, (bytes) => [bytes])
}
