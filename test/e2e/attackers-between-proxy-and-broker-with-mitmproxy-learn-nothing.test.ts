// mitmproxy takes the place between proxy and broker: with a CA of its own, and with one that is trusted for inspection.

import { expect, test } from 'vitest'
import { hospitalPki, Scene } from '../help/attackers-scene.ts'
import { Mitmproxy } from '../help/attackers-tools.ts'
import { Device } from '../help/device.ts'
import { Mosquitto, mosquittoTools } from '../help/mosquitto.ts'
import { describeWith } from '../help/tools.ts'
import { Wire } from '../help/wire.ts'

describeWith([...mosquittoTools, 'mitmdump'], 'mitmproxy in front of mosquitto', () => {
  test('can read what its own clients say: it is an attacker that works', async () => {
    await using mosquitto = await Mosquitto.start({ pki: await hospitalPki() })
    await using mitmproxy = await Mitmproxy.start(mosquitto.port)
    const tls = { ca: await mitmproxy.ca() }
    await using victim = await Device.connectTls(mitmproxy.port, tls)
    await victim.hello({ clientId: 'victim' })
    await victim[Symbol.asyncDispose]()
    expect(await mitmproxy.bytes()).toBeGreaterThan('victim'.length)
  })

  test('with its own CA learns nothing', async () => {
    await using scene = await Scene.set()
    await scene.isWell()
    await using mitmproxy = await Mitmproxy.start(scene.home)
    await scene.endures('mitmproxy', mitmproxy)
  })

  test('with a CA that is trusted learns nothing: the pins decide', async () => {
    const { ca } = await hospitalPki()
    // Its CA is needed before the proxy starts, and the broker it stands before may come later.
    await using wire = await Wire.lay({ to: 0 })
    await using mitmproxy = await Mitmproxy.start(wire.port)
    await using scene = await Scene.set({ ca: ca.cert + (await mitmproxy.ca()) })
    wire.lead(scene.home)
    await scene.endures('mitmproxyTrusted', mitmproxy)
  })
})
