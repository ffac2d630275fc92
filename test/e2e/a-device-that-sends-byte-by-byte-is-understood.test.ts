// However the bytes of either side are cut into segments, the other side gets the same bytes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acceptAll, connectVersion, type Visit } from '../help/broker.ts'
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
import { setStage, type Stage } from '../help/stage.ts'

const versions: readonly Level[] = [3, 4, 5]

/** One write a byte, each in a segment of its own. */
async function trickle(peer: Peer, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) await peer.send(Buffer.from([byte]))
}

describe('the device', () => {
  let stage: Stage
  beforeAll(async () => (stage = await setStage({ broker: { serve: acceptAll } })))
  afterAll(async () => await stage[Symbol.asyncDispose]())

  test.each(versions)('sends MQTT level %d one byte at a time', async (version) => {
    await using device = await Device.connect(stage.proxy.port)
    const clientId = `slow-pump-${version}`
    const connect = connectPacket({ version, clientId, username: 'ward', password: Buffer.from('x') })
    const rest = Buffer.concat([
      subscribePacket(version, 1, [['cmd/+', 1]]),
      publishPacket({ version, topic: 'pulse', qos: 1, id: 2, payload: Buffer.alloc(300, 7) }),
      pingreqPacket,
      packet(0xe0),
    ])
    await trickle(device, connect)
    await device.bytes(4)
    await trickle(device, rest)
    const visit = await stage.broker.visitOf(clientId)
    const everything = Buffer.concat([connect, rest])
    expect((await visit.bytes(everything.length)).equals(everything)).toBe(true)
  })
})

describe('the broker', () => {
  let stage: Stage
  beforeAll(async () => {
    const serve = async (visit: Visit): Promise<void> => {
      const version = await connectVersion(visit)
      await visit.holds(pingreqPacket)
      await trickle(visit, answersOf(version))
    }
    stage = await setStage({ broker: { serve } })
  })
  afterAll(async () => await stage[Symbol.asyncDispose]())

  test.each(versions)('sends MQTT level %d one byte at a time', async (version) => {
    await using device = await Device.connect(stage.proxy.port)
    const subscribe = subscribePacket(version, 1, [['cmd/+', 1]])
    await device.send(connectPacket({ version }), subscribe, pingreqPacket)
    const answers = answersOf(version)
    expect((await device.bytes(answers.length)).equals(answers)).toBe(true)
  })
})

function answersOf(version: Level): Buffer {
  return Buffer.concat([
    connackPacket(version),
    packet(0x90, Buffer.from([0, 1]), version === 5 ? 0 : '', 1),
    publishPacket({ version, topic: 'cmd/1', qos: 2, id: 9, payload: Buffer.alloc(300, 8) }),
    pingrespPacket,
  ])
}
