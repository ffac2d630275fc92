// How rounds become medians, ratios, targets and tables.
import { describe, expect, test } from 'vitest'
import { planFor } from '../../bench/plan.ts'
import { readOptions } from '../../bench/options.ts'
import { type Results, toJson, toMarkdown } from '../../bench/report.ts'
import { median, quantile } from '../../bench/statistics.ts'
import { type Measurement, judgeTargets, medianOf, ratio, summarise } from '../../bench/summary.ts'

const measured = (
  subject: Measurement['subject'],
  scenario: Measurement['scenario'],
  round: number,
  figures: Measurement['figures'],
): Measurement => ({ subject, scenario, round, figures })

const MEASUREMENTS: Measurement[] = [
  measured('pulseward', 'a', 1, { cpuPerMessage: 30, loadCore: 0.5 }),
  measured('pulseward', 'a', 2, { cpuPerMessage: 50, foreign: 0.4 }),
  measured('pulseward', 'a', 3, { cpuPerMessage: 34 }),
  measured('stunnel', 'a', 1, { cpuPerMessage: 40 }),
  measured('direct', 'e', 1, { p50: 100, p99: 900 }),
  measured('pulseward', 'e', 1, { p50: 260, p99: 2100 }),
  measured('direct', 'e', 2, { p50: 200, p99: 800 }),
  measured('pulseward', 'e', 2, { p50: 300, p99: 1900 }),
  measured('pulseward', 'e', 3, { p50: 300, p99: 1900 }),
]

describe('statistics', () => {
  test('the middle of an odd and of an even number of values', () => {
    expect(median([10, 9, 100])).toBe(10)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  test('nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect(quantile(hundred, 0.5)).toBe(50)
    expect(quantile(hundred, 0.99)).toBe(99)
    expect(quantile([7], 0)).toBe(7)
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('summarise', () => {
  const summary = summarise(MEASUREMENTS)

  test('is the median with its spread', () => {
    expect(summary.get('pulseward')?.get('cpuPerMessage')).toEqual({
      median: 34,
      min: 30,
      max: 50,
      rounds: 3,
    })
  })

  test('takes the direct latency of the same round away, and says nothing of a round without one', () => {
    expect(summary.get('pulseward')?.get('addedP50')).toEqual({ median: 130, min: 100, max: 160, rounds: 2 })
    expect(medianOf(summary, 'pulseward', 'addedP99')).toBe(1150)
    expect(summary.get('direct')?.has('addedP50')).toBe(false)
  })

  test('compares medians, where there are two above zero', () => {
    expect(ratio(summary, 'cpuPerMessage', 'pulseward', 'stunnel')).toBe(0.85)
    expect(ratio(summary, 'cpuPerMessage', 'pulseward', 'nginx')).toBeUndefined()
  })

  test('judges targets against the peer measured in the same run', () => {
    const targets = judgeTargets(summary)
    expect(targets.find(({ key }) => key === 'cpuPerMessage')).toMatchObject({
      limit: 40,
      measured: 34,
      met: true,
    })
    expect(targets.find(({ key }) => key === 'addedP99')).toMatchObject({
      limit: 1000,
      measured: 1150,
      met: false,
    })
    expect(targets.find(({ key }) => key === 'cpuPerFullConnection')?.met).toBeUndefined()
  })
})

describe('the report', () => {
  const results: Results = {
    date: '2026-11-22T12:00:00.000Z',
    machine: { cpu: 'A CPU', cores: 2, memory: 8 * 2 ** 30, kernel: '6.1' },
    options: readOptions([], 'results'),
    plan: planFor(false),
    contestants: [
      {
        name: 'pulseward',
        title: 'Pulseward',
        version: '1.0',
        negotiated: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', group: 'X25519MLKEM768' },
      },
      {
        name: 'stunnel',
        title: 'stunnel',
        version: '5.68',
        negotiated: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', group: 'X25519' },
      },
    ],
    missing: ['nginx'],
    measurements: MEASUREMENTS,
    failures: [{ round: 2, scenario: 'b', subject: 'stunnel', error: 'a | b' }],
    cutShort: true,
  }

  test('shows machine, groups, medians, ratios, targets and everything that went wrong', () => {
    const lines = toMarkdown(results).split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'A CPU, 2 cores, 8 GiB, Linux 6.1; at most 3 round(s).',
        '| stunnel | 5.68 | TLSv1.3, **X25519**, TLS_AES_256_GCM_SHA384 |',
        '| (a) sparse publishes, CPU a message, µs | 34.0 (30.0 to 50.0) | 40.0 |',
        '| (a) sparse publishes, CPU a message | 0.85 |',
        '| (a) sparse publishes, CPU a message, µs | at most stunnel’s | 40.0 | 34.0 | met |',
        '| (e) QoS 1 round trip over direct, p99, µs | at most 1,000 µs | 1,000 | 1,150 | **missed** |',
        "- 1 window(s) had other work on the proxy's core for more than 10 % of the time.",
        '- The time was up before the last round ended.',
        '- Not installed, left out: nginx.',
        '- Failed: stunnel (b) round 2: a | b',
      ]),
    )
  })

  test('has no row for what nobody measured', () => {
    expect(toMarkdown(results)).not.toContain('| (d)')
  })

  test('is JSON too, with every single measurement', () => {
    const json = JSON.parse(toJson(results)) as { measurements: unknown[]; summary: Record<string, unknown> }
    expect(json.measurements).toHaveLength(MEASUREMENTS.length)
    expect(json.summary['stunnel']).toEqual({ cpuPerMessage: { median: 40, min: 40, max: 40, rounds: 1 } })
  })
})
