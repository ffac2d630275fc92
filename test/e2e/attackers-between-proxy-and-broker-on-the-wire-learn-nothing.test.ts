// Whoever only holds the wire: strips TLS, weakens it on its way to the genuine broker, or resets connections.

import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { Scene } from '../help/attackers-scene.ts'
import { attackers } from '../help/attackers.ts'
import { threatOf, threatOn } from '../help/attackers-tools.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { withoutMlKem, withoutTls13 } from '../help/hello-edit.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { bytes, connackPacket, uint16 } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { describeWith } from '../help/tools.ts'
import { Wire } from '../help/wire.ts'

describeWith(mosquittoTools, 'on the wire to mosquitto', () => {
  test(`an attacker who ${attackers.plainAnswer.does} learns nothing`, async () => {
    await using scene = await Scene.set()
    // A topic alias maximum, as mosquitto has one. Without it TLS would take a bare CONNACK for the head of a record.
    const properties = bytes(0x22, uint16(10))
    await using stripper = await TestBroker.startPlain(connackPacket(5, 0, { properties }))
    await using wire = await Wire.lay({ to: stripper.port })
    await scene.endures('plainAnswer', threatOn(wire))
  })

  test(`an attacker who ${attackers.plainPort.does} learns nothing`, async () => {
    await using scene = await Scene.set()
    await using wire = await Wire.lay({ to: scene.mosquitto.plainPort })
    await scene.endures('plainPort', threatOn(wire))
  })

  test.each(['oldVersion', 'oldVersionAllowed'] as const)(
    'an attacker who downgrades TLS learns nothing (%s)',
    async (name) => {
      const tls = name === 'oldVersionAllowed' ? { minVersion: 'TLSv1.2' } : {}
      await using scene = await Scene.set({ tls })
      await using wire = await Wire.lay({ to: scene.home, rewrite: withoutTls13 })
      await scene.endures(name, threatOn(wire))
    },
  )

  test(`an attacker who ${attackers.oldServer.does} learns nothing`, async () => {
    await using scene = await Scene.set()
    const { chain: cert, key } = await scene.pki.issue()
    await using old = await TestBroker.start({ cert, key, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    await scene.endures('oldServer', threatOf(old))
  })

  test.each(['oldGroup', 'oldGroupAllowed'] as const)(
    'an attacker who takes out groups learns nothing (%s)',
    async (name) => {
      const pki = await makePki('Hospital CA')
      const genuine = await pki.issue()
      const tls = { postQuantum: name === 'oldGroup' ? 'require' : 'prefer' }
      // Debian's OpenSSL knows no ML-KEM: TLS in front of mosquitto does.
      const front = async (plainPort: number) =>
        await TestBroker.start({
          cert: genuine.chain,
          key: genuine.key,
          serve: ({ socket }) => void socket.pipe(connect(plainPort, '127.0.0.1')).pipe(socket),
        })
      await using scene = await Scene.set({ pki, genuine, tls, front })
      expect(
        await scene.proxy.metric('pulseward_tls_handshakes_total', {
          leg: 'broker',
          group: 'X25519MLKEM768',
        }),
      ).toBeGreaterThan(0)
      await using wire = await Wire.lay({ to: scene.home, rewrite: withoutMlKem })
      await scene.endures(name, threatOn(wire))
    },
  )

  test('an attacker who resets open connections ends sessions, and every device comes back to lose nothing', async () => {
    await using scene = await Scene.set()
    const before = scene.wire.crossings
    const { refusals } = scene.publisher
    for (const version of [4, 5] as const) {
      const clientId = `open-${version}`
      await using device = await Device.join(scene.proxy.port, { version, clientId })
      scene.wire.reset()
      // An end is all that MQTT 3.1.1 has for it.
      await device.everything()
      device.end()
      await scene.proxy.line('session closed', { clientId, reason: 'broker-reset' })
    }
    expect(scene.publisher.refusals).toBe(refusals)
    await scene.publisher.progress()
    await scene.isWell()
    expect(scene.wire.crossings).toBeGreaterThan(before)
    expect(await scene.proxy.metric('pulseward_upstream_verify_failures_total')).toBe(0)
  })
})
