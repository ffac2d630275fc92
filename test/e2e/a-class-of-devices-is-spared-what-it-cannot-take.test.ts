// Limits for devices of one kind: their topics, their payloads and what they are sent; others are not held to them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import type { Labels } from '../help/exposition.ts'
import { publishPacket, type Level } from '../help/packets.ts'
import { setStage, type Stage } from '../help/stage.ts'

const classes = [
  { name: 'infusion', clientIds: ['pump-*', 'syringe-*'], maxTopic: '20B', maxPayload: '100B' },
  { name: 'sensor', clientIds: ['*-spo2'], maxReceived: '64B' },
]

/** A message of so many bytes of topic and of payload. */
function message(version: Level, [topic, payload]: readonly [number, number]): Buffer {
  return publishPacket({ version, topic: 'ward/'.padEnd(topic, 'x'), payload: Buffer.alloc(payload, 'p') })
}

/** Bytes of a packet of QoS 0 beside topic and payload: fixed header, length of the topic, in 5.0 of no properties. */
const overhead = { 4: 4, 5: 5 } as const

let stage: Stage

beforeAll(async () => void (stage = await setStage({ more: { classes } })))
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
})

describe.each([4, 5] as const)('level %d', (version) => {
  test.each([
    ['a topic', 'pump-?', [20, 100], [21, 0], 'topic-bytes', ['up', 'down'], '90'],
    ['a payload', 'pump-?', [20, 100], [20, 101], 'payload-bytes', ['up', 'down'], '95'],
    [
      'a packet towards it',
      '?-spo2',
      [10, 64 - 10 - overhead[version]],
      [10, 65 - 10 - overhead[version]],
      'received-bytes',
      ['down'],
      '95',
    ],
  ] as const)('%s that is too long', async (_, pattern, fits, tooLong, rule, directions, told) => {
    const { proxy } = stage
    const hits = async (more: Labels): Promise<number> =>
      await proxy.metric('pulseward_rule_hits_total', { action: 'refuse', ...more })
    const before = [await hits({ rule }), await hits({})]
    for (const direction of directions) {
      const clientId = pattern.replace('?', `${version}-${rule}-${direction}`)
      await using stranger = await Device.join(proxy.port, {
        version,
        clientId: `other-${version}-${rule}-${direction}`,
      })
      await pass(await visitOf(`other-${version}-${rule}-${direction}`), stranger, direction, [
        message(version, fits),
        message(version, tooLong),
        message(version, [500, 100_000]),
      ])
      await using device = await Device.join(proxy.port, { version, clientId })
      await pass(await visitOf(clientId), device, direction, [message(version, fits)])
      const visit = await visitOf(clientId)
      const had = { device: device.received.length, visit: visit.received.length }
      await (direction === 'up' ? device : visit).send(message(version, tooLong))
      const answer = (await device.everything()).subarray(had.device).toString('hex')
      const code = direction === 'up' ? told : '80'
      expect([direction, answer]).toEqual([direction, version === 5 ? `e002${code}00` : ''])
      expect((await visit.everything()).length).toBe(had.visit)
      await proxy.line('session refused', { clientId, reason: rule, direction })
    }
    const count = directions.length
    expect([await hits({ rule }), await hits({})]).toEqual(before.map((value) => value + count))
  })

  test('a device that may receive little may still send much', async () => {
    await using device = await Device.join(stage.proxy.port, { version, clientId: `${version}-spo2` })
    await pass(await visitOf(`${version}-spo2`), device, 'up', [message(version, [200, 100_000])])
  })
})

async function visitOf(clientId: string): Promise<Visit> {
  return await stage.broker.visitOf(clientId)
}

/** Sends messages one way, and waits until the other side has them as they are. */
async function pass(
  visit: Visit,
  device: Device,
  direction: 'up' | 'down',
  messages: readonly Buffer[],
): Promise<void> {
  const [from, to] = direction === 'up' ? [device, visit] : [visit, device]
  for (const one of messages) {
    const { length } = to.received
    await from.send(one)
    expect((await to.bytes(length + one.length)).subarray(length)).toEqual(one)
  }
}
