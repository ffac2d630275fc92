// A broker that says DISCONNECT and resets the connection at once has told the device why, through Pulseward too.

import { expect, test } from 'vitest'
import { connectVersion, type Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connackPacket, publishPacket } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'

const reason = 'session taken over, and a reason long enough to be seen in a dump'
const disconnect = Buffer.concat([
  Buffer.from([0xe0, reason.length + 5, 0x8e, reason.length + 3, 0x1f, 0, reason.length]),
  Buffer.from(reason),
])
const reading = publishPacket({ version: 5, topic: 'pulse', payload: Buffer.alloc(2000, 72) })

/** Stops reading, so that the kernel holds bytes nobody will read: closing then resets the connection. */
async function leave(visit: Visit): Promise<void> {
  await connectVersion(visit)
  await visit.send(connackPacket(5))
  await visit.bytes(20_000)
  visit.socket.pause()
  await visit.send(disconnect)
  visit.socket.destroy()
}

test('fifty times out of fifty, while the device goes on sending', async () => {
  await using stage = await setStage({ broker: { serve: leave } })
  for (let round = 0; round < 50; round++) {
    await using device = await Device.join(stage.proxy.port, { version: 5, clientId: `round-${round}` })
    const { socket } = device
    const pour = (): void => {
      while (!socket.destroyed && !socket.writableEnded && socket.write(reading));
    }
    socket.on('drain', pour)
    pour()
    const heard = await device.everything()
    expect(heard.subarray(5).toString('hex')).toBe(disconnect.toString('hex'))
  }
  await stage.proxy.waitForMetric('pulseward_device_sessions', {}, 0)
  await stage.proxy.line('session closed', { reason: 'broker-reset' })
  const labels = { direction: 'down', type: 'disconnect' }
  expect(await stage.proxy.metric('pulseward_mqtt_packets_total', labels)).toBe(50)
}, 90_000)
