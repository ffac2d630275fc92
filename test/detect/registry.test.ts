import { describe, expect, test } from 'vitest'
import type { DetectorConfig } from '../../src/detect/registry.ts'
import { createDetector, defaultDetectors, detectorKinds, detectorSchema } from '../../src/detect/registry.ts'
import { PacketType } from '../../src/mqtt/packet.ts'

describe('the registry', () => {
  test('makes every detector it names, with its defaults', () => {
    expect(defaultDetectors.map(({ kind }) => kind)).toEqual(detectorKinds)
    expect(new Set(detectorKinds).size).toBe(detectorKinds.length)
    for (const config of defaultDetectors) {
      const { kind, watches } = createDetector(config)
      expect(kind).toBe(config.kind)
      expect(watches.length).toBeGreaterThan(0)
      for (const name of watches) expect(Object.keys(PacketType)).toContain(name)
    }
  })

  test('only reports unless told otherwise', () => {
    for (const config of defaultDetectors) expect(config.action).toBe('report')
  })

  test.each(detectorKinds)('refuses what %s does not know, and names the key', (kind) => {
    const { error } = detectorSchema.safeParse({ kind, treshold: 3 })
    expect(error?.issues[0]).toMatchObject({ code: 'unrecognized_keys', keys: ['treshold'] })
    expect(detectorSchema.safeParse({ kind, action: 'ban' }).success).toBe(false)
  })

  test('refuses a kind nobody made', () => {
    expect(detectorSchema.safeParse({ kind: 'clairvoyance' }).success).toBe(false)
    expect(() =>
      createDetector({ kind: 'clairvoyance', action: 'report' } as unknown as DetectorConfig),
    ).toThrow(new RangeError('unknown detector "clairvoyance"'))
  })

  test('hands options on to the detector', () => {
    expect(detectorSchema.parse({ kind: 'wide-subscription' })).toEqual({
      kind: 'wide-subscription',
      action: 'report',
      systemTopics: true,
    })
    expect(
      detectorSchema.parse({ kind: 'wide-subscription', systemTopics: false, action: 'refuse' }),
    ).toEqual({
      kind: 'wide-subscription',
      action: 'refuse',
      systemTopics: false,
    })
    expect(detectorSchema.safeParse({ kind: 'wide-subscription', systemTopics: 'no' }).success).toBe(false)
  })

  test('describes every option, for the reference is made from it', () => {
    for (const { shape } of detectorSchema.options) {
      for (const [name, option] of Object.entries(shape)) {
        if (name !== 'kind')
          expect({ name, text: option.meta()?.description }).toEqual({ name, text: expect.any(String) })
      }
    }
  })
})
