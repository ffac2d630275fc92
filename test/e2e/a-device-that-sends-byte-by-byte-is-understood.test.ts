// However the bytes of either side are cut into segments, the other side gets the same bytes.

import { expect, test } from 'vitest'
import { acceptAll } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import {
  connackPacket,
  connectPacket,
  packet,
  pingreqPacket,
  pingrespPacket,
  publishPacket,
  subscribePacket,
  type Level,
} from '../help/packets.ts'
import type { Peer } from '../help/peer.ts'
import { setStage } from '../help/stage.ts'

const versions: readonly Level[] = [3, 4, 5]

/** One write a byte, each in a segment of its own. */
async function trickle(peer: Peer, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) await peer.send(Buffer.from([byte]))
}

test.each(versions)('MQTT level %d from the device', async (version) => {
  await using stage = await setStage({ broker: { serve: acceptAll } })
  await using device = await Device.connect(stage.proxy.port)
  const connect = connectPacket({
    version,
    clientId: 'slow-pump',
    username: 'ward',
    password: Buffer.from('x'),
  })
  const rest = Buffer.concat([
    subscribePacket(version, 1, [['cmd/+', 1]]),
    publishPacket({ version, topic: 'pulse', qos: 1, id: 2, payload: Buffer.alloc(300, 7) }),
    pingreqPacket,
    packet(0xe0),
  ])
  await trickle(device, connect)
  await device.bytes(4)
  await trickle(device, rest)
  const visit = await stage.broker.visitOf('slow-pump')
  const everything = Buffer.concat([connect, rest])
  expect((await visit.bytes(everything.length)).equals(everything)).toBe(true)
})

test.each(versions)('MQTT level %d from the broker', async (version) => {
  const answers = Buffer.concat([
    connackPacket(version),
    packet(0x90, Buffer.from([0, 1]), version === 5 ? 0 : '', 1),
    publishPacket({ version, topic: 'cmd/1', qos: 2, id: 9, payload: Buffer.alloc(300, 8) }),
    pingrespPacket,
  ])
  await using stage = await setStage({
    broker: {
      serve: async (visit) => {
        await visit.holds(pingreqPacket)
        await trickle(visit, answers)
      },
    },
  })
  await using device = await Device.connect(stage.proxy.port)
  const subscribe = subscribePacket(version, 1, [['cmd/+', 1]])
  await device.send(connectPacket({ version }), subscribe, pingreqPacket)
  expect((await device.bytes(answers.length)).equals(answers)).toBe(true)
})
