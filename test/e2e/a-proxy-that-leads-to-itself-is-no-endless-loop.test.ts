// An upstream that is one of our own listeners: each session would open the next, until nothing is left.

import { expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { freePort } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'

test('the proxy knows itself, refuses itself once, and tells the device', async () => {
  const pki = await makePki()
  const port = await freePort()
  const { chain, key } = await pki.issue()
  // What devices are shown here is just what the upstream trusts: nothing else would stop it.
  const tls = { certificate: { cert: 'leaf.pem', key: 'leaf.key' } }
  const listener = { bind: `127.0.0.1:${port}`, accept: ['mqtt', 'mqtts'], tls }
  const files = { 'ca.pem': pki.ca.cert, 'leaf.pem': chain, 'leaf.key': key }
  await using proxy = await Proxy.start({ config: ward({ brokers: [port], listener }), files })
  await using device = await Device.connect(port)
  await device.send(connectPacket({ version: 4 }))
  // Server unavailable, in the words of 3.1.1.
  expect(await device.bytes(4)).toEqual(Buffer.from([0x20, 2, 0, 3]))
  await proxy.line('connection refused', { listener: 'ward', reason: 'loop' })
  expect(await proxy.metric('pulseward_rejections_total', { listener: 'ward', reason: 'loop' })).toBe(1)
})
