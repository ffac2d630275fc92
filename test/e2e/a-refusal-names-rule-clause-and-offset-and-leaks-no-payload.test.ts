// A malformed packet in the middle of a session: who is told what, what the log says and does not, and who is unharmed.

import { describe, expect, test } from 'vitest'
import type { Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { block, field, packet, publishPacket, subscribePacket, uint16, type Level } from '../help/packets.ts'
import type { Line } from '../help/proxy.ts'
import { setStage, type Stage } from '../help/stage.ts'
import { eventually } from '../help/wait.ts'

/** What must never be written down: what a device says, where, and by which name and password it may. */
const secrets = {
  payload: 'asystole-4711',
  topic: 'ward/bed-4712',
  username: 'nurse-4713',
  password: 'pw-4714',
}
const payload = Buffer.from(secrets.payload)

interface Malformed {
  readonly rule: string
  readonly direction: 'up' | 'down'
  /** Of the byte at fault, in its packet. */
  readonly offset: Readonly<Record<4 | 5, number>>
  readonly clause: Readonly<Record<4 | 5, string>>
  /** What a device of MQTT 5.0 is told; what a broker did wrong is unspecified to it. */
  readonly told: number
  readonly bytes: (version: Level) => Buffer
}

const malformed: readonly Malformed[] = [
  {
    rule: 'topic-wildcard',
    direction: 'up',
    offset: { 4: 18, 5: 18 },
    clause: { 4: 'MQTT-3.3.2-2', 5: 'MQTT-3.3.2-2' },
    told: 0x90,
    bytes: (version) => publishPacket({ version, topic: `${secrets.topic}/#`, payload }),
  },
  {
    rule: 'utf8-invalid',
    direction: 'down',
    offset: { 4: 17, 5: 17 },
    clause: { 4: 'MQTT-1.5.3-1', 5: 'MQTT-1.5.4-1' },
    told: 0x80,
    bytes: (version) =>
      packet(
        0x30,
        field(Buffer.from([...Buffer.from(secrets.topic), 0xc0, 0x80])),
        version === 5 ? block() : '',
        payload,
      ),
  },
  {
    rule: 'field-past-end',
    direction: 'up',
    offset: { 4: 4, 5: 5 },
    clause: { 4: '1.5.3', 5: 'MQTT-4.13.1-1' },
    told: 0x81,
    bytes: (version) =>
      packet(
        0x82,
        uint16(9),
        version === 5 ? block() : '',
        field(secrets.topic, 200),
        ...(version === 5 ? [] : [1]),
      ),
  },
  {
    rule: 'suback-count',
    direction: 'down',
    offset: { 4: 4, 5: 5 },
    clause: { 4: 'MQTT-3.8.4-5', 5: 'MQTT-3.8.4-6' },
    told: 0x80,
    bytes: (version) =>
      packet(
        0x90,
        uint16(1),
        version === 5 ? block() : '',
        0,
        0,
        payload.map(() => 0),
      ),
  },
  {
    rule: 'reserved-flags',
    direction: 'up',
    offset: { 4: 0, 5: 0 },
    clause: { 4: 'MQTT-2.2.2-2', 5: 'MQTT-2.1.3-1' },
    told: 0x81,
    bytes: (version) => packet(0x80, uint16(9), version === 5 ? block() : '', field(secrets.topic), 0),
  },
  {
    rule: 'wrong-direction',
    direction: 'down',
    offset: { 4: 0, 5: 0 },
    clause: { 4: '2.2.1', 5: '2.1.2' },
    told: 0x80,
    bytes: (version) => subscribePacket(version, 3, [[secrets.topic, 0]]),
  },
]

describe.each([4, 5] as const)('level %d', (version) => {
  test('malformed packets of either side', async () => {
    await using stage = await setStage({ more: { log: { level: 'debug' } } })
    const { proxy } = stage
    const bystander = await join(stage, version, 'bystander')
    await using _ = bystander.device
    for (const one of malformed) await checkOne(stage, version, one)
    await bystander.device.send(publishPacket({ version, topic: 'fine', payload: 'up' }))
    await bystander.visit.holds(publishPacket({ version, topic: 'fine', payload: 'up' }))
    await bystander.visit.send(publishPacket({ version, topic: 'fine', payload: 'down' }))
    await bystander.device.holds(publishPacket({ version, topic: 'fine', payload: 'down' }))
    expect(bystander.device.ended).toBe(false)
    for (const secret of Object.values(secrets)) {
      for (const spelling of [secret, Buffer.from(secret).toString('hex'), btoa(secret)])
        expect(proxy.output).not.toContain(spelling)
    }
    expect(await proxy.metric('pulseward_rule_hits_total', { action: 'refuse' })).toBe(malformed.length)
  })

  test('a malformed CONNECT is answered by the rules of its version, and no broker hears of it', async () => {
    await using stage = await setStage()
    const { proxy, broker } = stage
    const visits = broker.visits.length
    await using device = await Device.connect(proxy.port)
    // A will at QoS 3.
    await device.send(
      packet(
        0x10,
        field('MQTT'),
        version,
        0xde,
        uint16(60),
        version === 5 ? block() : '',
        field('malformed-connect'),
        version === 5 ? block() : '',
        ...[secrets.topic, secrets.payload, secrets.username, secrets.password].map((text) => field(text)),
      ),
    )
    expect((await device.everything()).toString('hex')).toBe(version === 5 ? '2003008100' : '')
    const line = await proxy.line('session refused', { reason: 'will-qos' })
    expect(line).toMatchObject({ direction: 'up', blame: 'device' })
    expect(line['detail']).toContain(`(MQTT-3.1.2-${version === 5 ? 12 : 14}, byte 9 of the packet)`)
    expect(broker.visits).toHaveLength(visits)
    for (const secret of Object.values(secrets)) expect(proxy.output).not.toContain(secret)
  })
})

interface Pair {
  readonly device: Device
  readonly visit: Visit
}

/** A session in the middle of its life: it has subscribed, and has had a message in either direction. */
async function join({ proxy, broker }: Stage, version: Level, clientId: string): Promise<Pair> {
  const device = await Device.connect(proxy.port)
  const { username, password, topic } = secrets
  await device.hello({ version, clientId, username, password: Buffer.from(password) })
  const visit = await broker.visitOf(clientId)
  const subscribe = subscribePacket(version, 1, [[`${topic}/#`, 0]])
  await device.send(subscribe)
  await visit.holds(subscribe)
  const message = publishPacket({ version, topic: `${topic}/x`, payload })
  await device.send(message)
  await visit.holds(message)
  return { device, visit }
}

async function checkOne(stage: Stage, version: 4 | 5, one: Malformed): Promise<void> {
  const { proxy } = stage
  const clientId = `${one.rule}-${one.direction}`
  const { device, visit } = await join(stage, version, clientId)
  await using _ = device
  const before = { device: device.received.length, visit: visit.received.length }
  await (one.direction === 'up' ? device : visit).send(one.bytes(version))
  // Both legs are closed; the device is told in MQTT 5.0 alone, and no byte of the packet went on.
  const told = (await device.everything()).subarray(before.device).toString('hex')
  const disconnect = Buffer.from([0xe0, 2, one.told, 0]).toString('hex')
  expect([clientId, told]).toEqual([clientId, version === 5 ? disconnect : ''])
  expect((await visit.everything()).subarray(before.visit)).toHaveLength(0)
  const refused = await proxy.line('session refused', { clientId })
  expect([clientId, refused]).toMatchObject([
    clientId,
    {
      reason: one.rule,
      direction: one.direction,
      blame: one.direction === 'up' ? 'device' : 'broker',
      version: version === 5 ? '5.0' : '3.1.1',
      listener: 'ward',
    } satisfies Partial<Line>,
  ])
  expect(refused['detail']).toContain(`(${one.clause[version]}, byte ${one.offset[version]} of the packet)`)
  // It has read why; without its end the proxy would give it time to.
  device.end()
  const closed = await proxy.line('session closed', { clientId })
  expect(closed['reason']).toBe(one.rule)
  await eventually('the metric of the rule', async () => {
    const labels = { rule: one.rule, direction: one.direction, action: 'refuse' }
    return (await proxy.metric('pulseward_rule_hits_total', labels)) === 1
  })
}
