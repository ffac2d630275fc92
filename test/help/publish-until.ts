// The steady load of a device: one message after the acknowledgement of the other.

import type { Device } from './device.ts'
import { publishPacket } from './packets.ts'

/** Publishes at QoS 1 until `stop` says so; returns what was acknowledged, each as topic and payload. */
export async function publishUntil(device: Device, index: number, stop: () => boolean): Promise<string[]> {
  const acknowledged: string[] = []
  let length = device.received.length
  for (let id = 1; !stop(); id++) {
    const topic = `load/${index}`
    await device.send(
      publishPacket({ version: 4, topic, qos: 1, id: ((id - 1) % 0xffff) + 1, payload: `${id}` }),
    )
    length += 4
    await device.bytes(length)
    acknowledged.push(`${topic} ${id}`)
  }
  return acknowledged
}
