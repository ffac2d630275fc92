// From the options about packets to the rulebook of a listener, and to what policy says of each rule.

import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { loadConfig } from '../../src/config/load.ts'
import { inspectionOf, type Inspection } from '../../src/config/rulebooks.ts'
import type { Mode, Rule } from '../../src/mqtt/rule.ts'
import { classOf, modeNumber } from '../../src/mqtt/rulebook.ts'
import { allRules, rules } from '../../src/mqtt/rules.ts'
import { Folder } from '../help/folder.ts'

const ward = { name: 'ward', bind: '127.0.0.1:1883', upstream: 'embedded' }

/** What each listener of a file demands, in their order; one listener where none is given. */
async function inspections(file: object): Promise<Inspection[]> {
  await using folder = await Folder.make({ 'proxy.yaml': JSON.stringify({ listeners: [ward], ...file }) })
  const { config } = loadConfig('proxy.yaml', {}, folder.path)
  return config.listeners.map((listener) => inspectionOf(listener, config))
}

async function inspection(file: object): Promise<Inspection> {
  const [only] = await inspections(file)
  if (only === undefined) throw new Error('no listener')
  return only
}

function expectModes({ book, modes }: Inspection, expected: (rule: Rule) => Mode): void {
  const wanted = allRules.map((rule) => [rule.id, expected(rule)] as const)
  expect([...modes]).toEqual(wanted)
  // Streams and policy must never differ.
  expect([...book.modes.subarray(1)]).toEqual(wanted.map(([, mode]) => modeNumber[mode]))
}

describe('a preset', () => {
  test('is standard where none is named', async () => {
    const said = await inspection({})
    expectModes(said, ({ mode }) => mode.standard)
    expectModes(await inspection({ inspection: { preset: 'standard' } }), ({ mode }) => mode.standard)
    expect(said.modes.get('topic-wildcard')).toBe('enforce')
    expect(said.modes.get('pingresp-unasked')).toBe('report')
    expect(said.modes.get('topic-characters')).toBe('off')
  })

  test('strict has the strict mode of every rule', async () => {
    const said = await inspection({ inspection: { preset: 'strict' } })
    expectModes(said, ({ mode }) => mode.strict)
    expect(said.modes.get('pingresp-unasked')).toBe('enforce')
    expect(said.modes.get('credentials-missing')).toBe('report')
  })

  test('observe enforces what is fixed, and reports what standard would enforce', async () => {
    const said = await inspection({ inspection: { preset: 'observe' } })
    expectModes(said, ({ fixed, mode }) =>
      fixed ? 'enforce' : mode.standard === 'enforce' ? 'report' : mode.standard,
    )
    expect(said.modes.get('topic-wildcard')).toBe('report')
    expect(said.modes.get('topic-characters')).toBe('off')
    expect(said.modes.get('reserved-type')).toBe('enforce')
  })
})

describe('the mode of a single rule', () => {
  const own = {
    'topic-wildcard': 'off',
    'pingresp-unasked': 'enforce',
    'topic-characters': 'report',
  } as const

  test.each(['standard', 'strict'] as const)('goes before that of %s', async (preset) => {
    const said = await inspection({ inspection: { preset, rules: own } })
    expectModes(said, ({ id, mode }) => (own as Readonly<Record<string, Mode>>)[id] ?? mode[preset])
  })

  test('goes before that of observe, which enforces none all the same', async () => {
    const { modes } = await inspection({ inspection: { preset: 'observe', rules: own } })
    expect(Object.keys(own).map((id) => modes.get(id))).toEqual(['off', 'report', 'report'])
  })

  test('of a fixed rule can be named, as enforce only', async () => {
    const named = await inspection({ inspection: { rules: { 'reserved-type': 'enforce' } } })
    expect(named.modes.get('reserved-type')).toBe('enforce')
    for (const { id } of allRules.filter(({ fixed }) => fixed)) {
      for (const mode of ['report', 'off'] as const) {
        const problems = await refused({ inspection: { rules: { [id]: mode } } })
        expect(problems).toMatchObject([
          {
            path: `inspection.rules.${id}`,
            message: `expected enforce, got "${mode}"`,
            hint: expect.stringContaining('can only be enforced'),
          },
        ])
      }
    }
  })
})

describe('a listener', () => {
  test('has its own inspection in place of that of the file, limits and all', async () => {
    const [first, second] = await inspections({
      listeners: [
        { ...ward, inspection: { preset: 'strict', limits: { topicLevels: 7 } } },
        { ...ward, name: 'theatre', bind: '127.0.0.1:1884' },
      ],
      inspection: { rules: { 'topic-wildcard': 'report' }, limits: { filters: 9 } },
    })
    expect(first?.modes.get('topic-wildcard')).toBe('enforce')
    expect(first?.modes.get('pingresp-unasked')).toBe('enforce')
    expect(first?.book.limits).toMatchObject({ topicLevels: 7, filters: 512 })
    expect(second?.modes.get('topic-wildcard')).toBe('report')
    expect(second?.modes.get('pingresp-unasked')).toBe('report')
    expect(second?.book.limits).toMatchObject({ topicLevels: 200, filters: 9 })
  })

  test('has the frame limits of its own', async () => {
    const limits = { maxConnectPacket: '1KiB', maxControlPacket: '2KiB', maxPacket: '3KiB' }
    const { book } = await inspection({ listeners: [{ ...ward, limits }] })
    expect(book.frames).toEqual({ connect: 1024, control: 2048, publish: 3072 })
  })
})

test('policy that only observes makes every listener observe, whatever its preset', async () => {
  const said = await inspections({
    listeners: [
      { ...ward, inspection: { preset: 'strict', rules: { 'topic-characters': 'enforce' } } },
      { ...ward, name: 'theatre', bind: '127.0.0.1:1884' },
    ],
    policy: { mode: 'observe' },
  })
  for (const { modes } of said) {
    const enforced = allRules.filter(({ id }) => modes.get(id) === 'enforce')
    expect(enforced.every(({ fixed }) => fixed)).toBe(true)
    expect(modes.get('topic-wildcard')).toBe('report')
  }
  expect(said[0]?.modes.get('topic-characters')).toBe('report')
})

test('limits are in the units in which packets are judged', async () => {
  const { book } = await inspection({
    inspection: {
      limits: { propertyBytes: '4KiB', keepAlive: '2m', clientIdCharacters: 'ab-', dollarTopics: ['$own'] },
    },
  })
  const { propertyBytes, keepAlive, clientIdCharacters, dollarTopics } = book.limits
  expect({ propertyBytes, keepAlive, dollarTopics }).toEqual({
    propertyBytes: 4096,
    keepAlive: 120,
    dollarTopics: ['$own'],
  })
  const allowed = [...clientIdCharacters.keys()].filter((code) => clientIdCharacters[code] === 1)
  expect(String.fromCharCode(...allowed)).toBe('-ab')
})

test('classes are on every listener, in the order of the file', async () => {
  const [first, second] = await inspections({
    listeners: [ward, { ...ward, name: 'theatre', bind: '127.0.0.1:1884' }],
    classes: [
      { name: 'pumps', clientIds: ['pump-*', '*-infusion-*'], maxTopic: '128B', maxReceived: '1KiB' },
      { name: 'others', clientIds: ['*'], maxPayload: '4KiB' },
    ],
  })
  expect(first?.book.classes).toEqual([
    {
      name: 'pumps',
      clientIds: ['pump-*', '*-infusion-*'],
      maxTopic: 128,
      maxPayload: 256 * 2 ** 20,
      maxReceived: 1024,
    },
    { name: 'others', clientIds: ['*'], maxTopic: 65_536, maxPayload: 4096, maxReceived: 256 * 2 ** 20 },
  ])
  expect(second?.book.classes).toEqual(first?.book.classes)
  const nameOf = (clientId: string): string => classOf(clientId, first?.book.classes ?? []).name
  expect(['pump-7', 'b-infusion-9', 'pen'].map(nameOf)).toEqual(['pumps', 'pumps', 'others'])
})

test('a rule nobody knows is a mistake, and the one that was meant is named', async () => {
  const problems = await refused({ inspection: { rules: { 'topic-wildcards': 'off' } } })
  expect(problems).toMatchObject([
    {
      path: 'inspection.rules.topic-wildcards',
      message: 'unknown option',
      hint: `did you mean '${rules.topicWildcard.id}'?`,
    },
  ])
})

async function refused(file: object) {
  try {
    await inspections(file)
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.diagnostics
    throw thrown
  }
  throw new Error('it was accepted')
}
