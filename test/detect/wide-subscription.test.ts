import { describe, expect, test } from 'vitest'
import type { Subject } from '../../src/detect/detector.ts'
import type { Finding } from '../../src/detect/finding.ts'
import { createDetector } from '../../src/detect/registry.ts'
import { decode } from '../../src/mqtt/decode.ts'
import { subscribePacket, unsubscribePacket } from '../help/packets.ts'

const subject: Subject = {
  listener: 'ward',
  transport: 'tls',
  address: '192.0.2.7',
  clientId: 'pump-7',
  version: 5,
  hasUsername: false,
  hasPassword: false,
}
const options = { kind: 'wide-subscription', action: 'report' } as const

function look(filters: readonly string[], systemTopics = true): Finding | undefined {
  const frame = subscribePacket(
    5,
    1,
    filters.map((filter) => [filter, 0]),
  )
  return see(frame, systemTopics)
}

function see(frame: Buffer, systemTopics: boolean): Finding | undefined {
  const detector = createDetector({ ...options, systemTopics })
  const packet = decode(frame, 5)
  if (packet === undefined) throw new Error('mqtt-packet cannot read the frame of this test')
  return detector.see(packet, detector.begin(subject), subject)
}

describe('wide-subscription', () => {
  test.each([
    '#',
    '+/#',
    '+/+/+/#',
    '$share/probe/#',
    '$share/probe/+/#',
    '$SYS/#',
    '$SYS/broker/version',
    '$SYS',
  ])('notices %s', (filter) => {
    expect(look([filter])).toMatchObject({
      detector: 'wide-subscription',
      severity: 'notice',
      evidence: { filter, filters: 1 },
    })
  })

  test.each([
    'ward/7/#',
    '+/7/#',
    'ward/#',
    '+',
    '+/+',
    '/#',
    'ward/+',
    'SYS/#',
    'ward/$SYS/#',
    '$share/probe/ward/#',
    '$SYSTEM/x',
    '$share',
  ])('lets %s be', (filter) => {
    expect(look([filter])).toBeUndefined()
  })

  test('notices one among many, and says which', () => {
    expect(look(['ward/7', 'ward/8', '#', '$SYS/#'])?.evidence).toEqual({ filter: '#', filters: 4 })
  })

  test('lets the topics of the broker be where they are allowed', () => {
    expect(look(['$SYS/#'], false)).toBeUndefined()
    expect(look(['$SYS/#', '#'], false)?.evidence).toMatchObject({ filter: '#' })
  })

  test('watches SUBSCRIBE alone', () => {
    expect(createDetector({ ...options, systemTopics: true }).watches).toEqual(['subscribe'])
    expect(see(unsubscribePacket(5, 1, ['#']), true)).toBeUndefined()
  })
})
