// stunnel takes the broker's place with a chain in which every name is right and every key is the attacker's own.

import { expect, test } from 'vitest'
import { Scene } from '../help/attackers-scene.ts'
import { Stunnel } from '../help/attackers-tools.ts'
import { Device } from '../help/device.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { describeWith } from '../help/tools.ts'

describeWith([...mosquittoTools, 'stunnel'], 'stunnel in front of mosquitto', () => {
  test('learns nothing from the proxy, and all from whoever believes the forged chain', async () => {
    await using scene = await Scene.set()
    await scene.isWell()
    const forger = await scene.pki.rogue()
    await using stunnel = await Stunnel.start(
      await scene.pki.issue({ ca: forger }),
      scene.mosquitto.plainPort,
    )
    await scene.endures('stunnel', stunnel)

    await using victim = await Device.connectTls(stunnel.port, { ca: forger.cert })
    await victim.hello({ clientId: 'victim' })
    await victim[Symbol.asyncDispose]()
    expect(await stunnel.bytes()).toBeGreaterThan('victim'.length)
  })
})
