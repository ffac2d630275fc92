// Who has said everything may close its half: what it said arrives, and so does what the other side has still to say.

import { expect, test } from 'vitest'
import { connectVersion } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connackPacket, connectPacket, packet, publishPacket, type Level } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'

test.each([3, 4, 5] as const)(
  'a device of level %d says it all at once and closes',
  async (version: Level) => {
    const reply = publishPacket({ version, topic: 'late', payload: Buffer.alloc(100_000, 5) })
    await using stage = await setStage({
      broker: {
        halfOpen: true,
        serve: async (visit) => {
          const level = await connectVersion(visit)
          await visit.everything()
          // Only now, with the device's half closed, does the broker begin to answer.
          await visit.send(connackPacket(level), reply)
          visit.end()
        },
      },
    })
    const said = Buffer.concat([
      connectPacket({ version, clientId: 'brief' }),
      publishPacket({ version, topic: 'pulse', payload: Buffer.alloc(50_000, 72) }),
      packet(0xe0),
    ])
    await using device = await Device.connect(stage.proxy.port)
    device.end(said)
    const heard = await device.everything()
    expect(heard.equals(Buffer.concat([connackPacket(version), reply]))).toBe(true)
    const visit = await stage.broker.visitOf('brief')
    expect(visit.received.equals(said)).toBe(true)
    const line = await stage.proxy.line('session closed', { clientId: 'brief' })
    expect(line).toMatchObject({ reason: 'device-closed', bytes: { up: said.length, down: heard.length } })
  },
)

test('a broker closes its half and still gets what the device has to say', async () => {
  const goodbye = Buffer.from('e0028b00', 'hex')
  await using stage = await setStage({
    broker: {
      halfOpen: true,
      serve: async (visit) => {
        await connectVersion(visit)
        await visit.send(connackPacket(5))
        visit.end(goodbye)
      },
    },
  })
  await using device = await Device.connect(stage.proxy.port)
  const connect = connectPacket({ version: 5, clientId: 'talkative' })
  await device.send(connect)
  expect((await device.everything()).equals(Buffer.concat([connackPacket(5), goodbye]))).toBe(true)
  const late = publishPacket({ version: 5, topic: 'pulse', payload: Buffer.alloc(70_000, 72) })
  device.end(late, packet(0xe0))
  const visit = await stage.broker.visitOf('talkative')
  expect((await visit.everything()).equals(Buffer.concat([connect, late, packet(0xe0)]))).toBe(true)
})
