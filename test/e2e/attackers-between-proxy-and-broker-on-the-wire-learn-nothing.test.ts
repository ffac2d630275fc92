// Whoever only holds the wire: strips TLS, weakens it on its way to the genuine broker, or resets connections.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { hospitalPki, Scene } from '../help/attackers-scene.ts'
import { attackers } from '../help/attackers.ts'
import { frontOf, threatOf, threatOn } from '../help/attackers-tools.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { withoutMlKem, withoutTls13 } from '../help/hello-edit.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { bytes, connackPacket, uint16 } from '../help/packets.ts'
import { describeWith } from '../help/tools.ts'
import { Wire } from '../help/wire.ts'

describeWith(mosquittoTools, 'on the wire to mosquitto', () => {
  let scene: Scene
  beforeAll(async () => void (scene = await Scene.set()))
  afterAll(async () => await scene[Symbol.asyncDispose]())

  test(`an attacker that ${attackers.plainAnswer.does} learns nothing`, async () => {
    // A topic alias maximum, as mosquitto has one. Without it TLS would take a bare CONNACK for the head of a record.
    const properties = bytes(0x22, uint16(10))
    await using stripper = await TestBroker.startPlain(connackPacket(5, 0, { properties }))
    await using wire = await Wire.lay({ to: stripper.port })
    await scene.endures('plainAnswer', threatOn(wire))
  })

  test(`an attacker that ${attackers.plainPort.does} learns nothing`, async () => {
    await using wire = await Wire.lay({ to: scene.mosquitto.plainPort })
    await scene.endures('plainPort', threatOn(wire))
  })

  test(`an attacker that ${attackers.oldVersion.does} learns nothing`, async () => {
    await using wire = await Wire.lay({ to: scene.home, rewrite: withoutTls13 })
    await scene.endures('oldVersion', threatOn(wire))
  })

  test(`an attacker that ${attackers.oldServer.does} learns nothing`, async () => {
    const { chain: cert, key } = await scene.pki.issue()
    await using old = await TestBroker.start({ cert, key, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    await scene.endures('oldServer', threatOf(old))
  })

  test('an attacker that resets open connections ends sessions, and every device comes back to lose nothing', async () => {
    const { refusals } = scene.publisher
    const failed = await scene.proxy.metric('pulseward_upstream_verify_failures_total')
    for (const version of [4, 5] as const) {
      const clientId = `open-${version}`
      await using device = await Device.join(scene.proxy.port, { version, clientId })
      scene.wire.reset()
      // An end is all that MQTT 3.1.1 has for it.
      await device.everything()
      device.end()
      await scene.proxy.line('session closed', { clientId, reason: 'broker-reset' })
    }
    await scene.publisher.progress()
    await scene.isWell()
    expect(scene.publisher.refusals).toBe(refusals)
    expect(await scene.proxy.metric('pulseward_upstream_verify_failures_total')).toBe(failed)
  })
})

describeWith(mosquittoTools, 'on the wire, where more or less is asked of the broker', () => {
  test(`an attacker that ${attackers.oldVersionAllowed.does} learns nothing`, async () => {
    await using scene = await Scene.set({ tls: { minVersion: 'TLSv1.2' } })
    await using wire = await Wire.lay({ to: scene.home, rewrite: withoutTls13 })
    await scene.endures('oldVersionAllowed', threatOn(wire))
  })

  test.each([
    ['oldGroup', 'require'],
    ['oldGroupAllowed', 'prefer'],
  ] as const)('an attacker that takes out groups learns nothing (%s)', async (name, postQuantum) => {
    const genuine = await (await hospitalPki()).issue()
    const { chain: cert, key } = genuine
    // Debian's OpenSSL knows no ML-KEM.
    const front = async (plainPort: number) => await frontOf(plainPort, { cert, key })
    await using scene = await Scene.set({ genuine, tls: { postQuantum }, front })
    const group = { leg: 'broker', group: 'X25519MLKEM768' }
    expect(await scene.proxy.metric('pulseward_tls_handshakes_total', group)).toBeGreaterThan(0)
    await using wire = await Wire.lay({ to: scene.home, rewrite: withoutMlKem })
    await scene.endures(name, threatOn(wire))
  })
})
