import { describe, expect, test } from 'vitest'
import { confidences, guards, vectorOf, weakest } from '../../src/mqtt/patch.ts'
import { cvesOf, patches, referencesOf } from '../../src/mqtt/patches.ts'
import { modes } from '../../src/mqtt/rule.ts'
import { allRules, rules } from '../../src/mqtt/rules.ts'
import { chunksOf, coalesce, judge, type Judgement, type Step } from '../help/judge.ts'
import { rulebook } from '../help/rulebook.ts'
import { loadVectors, type Vector } from '../help/vectors.ts'

const files = loadVectors(new URL('../vectors/cve/', import.meta.url))
const withRules = patches.filter(({ guard }) => guard === undefined)

/** The vulnerabilities that can be told on the wire, by the side whose packet does it, and by product. */
const catalogue = `
  Mosquitto: 2017-7650 2017-7651 2017-7653 2017-7654 2018-12543 2019-11778 2019-11779 2021-28166 2021-34431 2021-34432
    2021-41039 2023-0809 2023-3592 2023-5632 2023-28366 2024-8376
  all brokers of MQTT 3.1.1: 2020-13849
  EMQX and VerneMQ: 2021-33175 2021-33176
  RabbitMQ: 2016-9877 2026-44838
  ActiveMQ and Artemis: 2019-0222 2025-66168 2026-40046 2020-13932
  HiveMQ: 2020-13821
  nats-server: 2026-33215 2026-33217
  Netty: 2026-44248
  NanoMQ: 2023-29994 2023-29995 2023-33660 2023-29996 2023-33659 2023-33658 2023-34488 2024-31040 2024-42655 2025-59947
    2025-68699 2026-21888 2026-25627 2026-32696 2026-22040 2026-32134
  Mongoose: 2017-2892 2017-2893 2017-2894 2017-2895 2018-18764 2018-18765 2019-12951 2019-19307 2023-2905
  Fluent Bit, mosca, sol: 2019-9749 2018-11615 2025-63235
  mqtt-packet: 2016-10523 2019-5432
  libmosquitto and Mosquitto bridges: 2024-10525 2024-3935
  clients: 2017-10910 2026-47275 2026-8686 2026-54412 2018-19417 2026-5857 2019-13120 2019-17210 2021-41036 2018-17614
    2020-10062 2020-10070 2020-10071
  wolfMQTT: 2021-45932 2021-45933 2021-45934 2021-45937 2021-45938 2021-45939 2021-45936
`.match(/\d{4}-\d{4,}/g)

describe('the virtual patches', () => {
  test('are all that can be told on the wire, once each and in order', () => {
    expect(catalogue).toHaveLength(81)
    expect(patches.map(({ id }) => id).toSorted()).toEqual(catalogue?.map((id) => `CVE-${id}`).toSorted())
    const numbers = patches.map(({ id }) => id.split('-').slice(1).map(Number))
    expect(numbers).toEqual(numbers.toSorted(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d))
  })

  test.each(patches.map((patch) => [patch.id, patch] as const))(
    '%s says what stops it, and how that is known',
    (_, patch) => {
      const { product, versions, packet, rules: stops, guard, confidence, gap, direction } = patch
      expect(stops.length > 0).toBe(guard === undefined)
      for (const rule of stops) {
        expect(allRules).toContain(rule)
        expect([direction, 'both']).toContain(rule.direction)
      }
      if (guard !== undefined) expect(guards[guard]).toMatch(/^[a-z].{30,}[^.]$/)
      expect(confidences).toContain(confidence)
      expect(product).not.toBe('')
      expect(versions).not.toBe('')
      for (const sentence of [packet, gap ?? 'as a sentence is'])
        expect(sentence).toMatch(/^[a-zQ].{12,}[^.]$/)
    },
  )

  test('give each rule the ids that it stops', () => {
    expect(cvesOf('topic-levels')).toEqual(['CVE-2019-11779', 'CVE-2021-33175', 'CVE-2021-33176'])
    expect(cvesOf('will-qos')).toEqual([])
    expect(cvesOf('no-such-rule')).toEqual([])
    for (const { id } of allRules) {
      expect(cvesOf(id)).toEqual(
        patches.filter((one) => one.rules.some((rule) => rule.id === id)).map((one) => one.id),
      )
    }
    expect(referencesOf(rules.shareName)).toEqual(['R13', 'CVE-2025-68699'])
  })

  test('do no more than the weakest of their rules', () => {
    for (const mode of modes) expect(weakest([mode])).toBe(mode)
    expect(weakest(['enforce', 'report'])).toBe('report')
    expect(weakest(['off', 'report', 'enforce'])).toBe('off')
  })
})

describe('the vectors of the virtual patches', () => {
  test('are there for each that a rule stops, and for nothing else', () => {
    expect([...files.keys()]).toEqual(withRules.map(({ id }) => id).toSorted())
    for (const patch of patches)
      expect(vectorOf(patch)).toBe(patch.guard === undefined ? `cve/${patch.id}.txt` : undefined)
  })

  describe.each(withRules.map((patch) => [patch.id, patch] as const))(
    '%s',
    (id, { rules: stops, direction }) => {
      const vectors = files.get(id) ?? []
      const names = stops.map((rule) => rule.id)

      test('show each rule that stops it, from the side it comes from, and a near miss', () => {
        const refused = vectors.filter(({ refuse }) => refuse !== undefined)
        expect(new Set(refused.map(({ refuse }) => refuse?.rule))).toEqual(new Set(names))
        expect(new Set(refused.map((vector) => vector.direction))).toEqual(
          new Set(direction === 'both' ? ['up', 'down'] : [direction]),
        )
        expect(vectors.length).toBeGreaterThan(refused.length)
      })

      test.each(vectors.map((vector) => [`${vector.name}: ${vector.comment}`, vector] as const))(
        '%s',
        (__, vector) => {
          const steps: Step[] = [...vector.before, { direction: vector.direction, bytes: vector.bytes }]
          const options = optionsFor(vector, names)
          const whole = judge(steps, options)
          expect({ verdict: whole.verdict, at: whole.at }).toEqual({
            verdict: vector.refuse?.rule ?? 'pass',
            at: vector.refuse?.at ?? -1,
          })
          expect(whole.passed).toEqual(expectedBytes(vector))
          const sizes = vector.bytes.length > 4096 ? [4096] : [1, 2, 3, 7, 64]
          for (const size of sizes) expect(judge(steps, { ...options, cut: chunksOf(size) })).toEqual(whole)
          expect(judge(coalesce(steps), options)).toEqual(whole)
        },
      )
    },
  )
})

/** The preset `standard`, with the rules of the patch enforced. */
function optionsFor({ limits, policy, classes, earlier }: Vector, names: readonly string[]) {
  const enforced = Object.fromEntries(names.map((name) => [name, 'enforce' as const]))
  return { limits, book: rulebook({ frames: limits, limits: policy, classes, rules: enforced }), earlier }
}

/** All that came before goes on; of a packet that is refused, nothing. */
function expectedBytes({ before, direction, bytes, refuse }: Vector): Judgement['passed'] {
  const passed = { up: '', down: '' }
  for (const step of before) passed[step.direction] += step.bytes.toString('hex')
  if (refuse === undefined) passed[direction] += bytes.toString('hex')
  return passed
}
