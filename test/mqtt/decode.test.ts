import { describe, expect, test } from 'vitest'
import { decode } from '../../src/mqtt/decode.ts'
import {
  connackPacket,
  connectPacket,
  packet,
  pingreqPacket,
  publishPacket,
  subscribePacket,
} from '../help/packets.ts'

describe('decode', () => {
  test('reads one whole frame of each version', () => {
    for (const version of [3, 4, 5] as const) {
      expect(decode(connectPacket({ version, clientId: 'pump' }), 0)).toMatchObject({
        cmd: 'connect',
        clientId: 'pump',
        protocolVersion: version,
      })
      expect(decode(subscribePacket(version, 9, [['a/#', 1]]), version)).toMatchObject({
        cmd: 'subscribe',
        messageId: 9,
        subscriptions: [{ topic: 'a/#', qos: 1 }],
      })
    }
    expect(decode(connackPacket(5, 0x87), 5)).toMatchObject({ cmd: 'connack', reasonCode: 0x87 })
    expect(decode(connackPacket(4, 5), 4)).toMatchObject({ cmd: 'connack', returnCode: 5 })
  })

  test('reads each frame in the version asked for, whatever CONNECT came before', () => {
    decode(connectPacket({ version: 5 }), 4)
    const filters = subscribePacket(4, 1, [['a', 0]])
    expect(decode(filters, 4)).toMatchObject({ subscriptions: [{ topic: 'a', qos: 0 }] })
    decode(connectPacket({ version: 3 }), 5)
    expect(decode(publishPacket({ version: 5, topic: 'a', payload: 'xy' }), 5)).toMatchObject({
      payload: Buffer.from('xy'),
    })
  })

  test('keeps no CONNECT, and so no credentials', async () => {
    const watched: WeakRef<object>[] = []
    const readConnect = (): void => {
      const password = Buffer.from('secret')
      const found = decode(connectPacket({ version: 4, username: 'ward', password }), 0)
      watched.push(new WeakRef(found!))
    }
    readConnect()
    await collectGarbage()
    expect(watched[0]?.deref()).toBeUndefined()
  })

  test('returns undefined for a frame mqtt-packet cannot read, and reads the next one', () => {
    expect(decode(packet(0xf0), 5)).toBeUndefined() // AUTH in two bytes, legal as 3.15.2.1 has it
    expect(decode(pingreqPacket, 5)).toMatchObject({ cmd: 'pingreq' })
  })

  test('is not led astray by half a frame or by two', () => {
    const whole = publishPacket({ version: 4, topic: 'a', payload: 'xyz' })
    expect(decode(whole.subarray(0, 4), 4)).toBeUndefined()
    expect(decode(whole, 4)).toMatchObject({ topic: 'a' })
    expect(decode(Buffer.concat([whole, whole.subarray(0, 3)]), 4)).toMatchObject({ topic: 'a' })
    expect(decode(pingreqPacket, 4)).toMatchObject({ cmd: 'pingreq' })
  })
})

/** `gc` only exists when asked for; a context made with the flag lends it out. */
async function collectGarbage(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  // A WeakRef holds its target until the job that made it ends.
  await new Promise((resolve) => setImmediate(resolve))
  gc()
}
