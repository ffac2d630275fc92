// Certificates an attacker may really have: one for another name, one of another CA, and the broker's without its key.

import { afterAll, beforeAll, test } from 'vitest'
import { hospitalPki, Scene } from '../help/attackers-scene.ts'
import { attackers } from '../help/attackers.ts'
import { threatOf } from '../help/attackers-tools.ts'
import { TestBroker } from '../help/broker.ts'
import { impostorKey } from '../help/impostor.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { describeWith } from '../help/tools.ts'

describeWith(mosquittoTools, 'in front of mosquitto, whose upstream trusts two CAs', () => {
  let scene: Scene
  let other: Pki
  beforeAll(async () => {
    other = await makePki('Other CA')
    scene = await Scene.set({ ca: (await hospitalPki()).ca.cert + other.ca.cert })
  })
  afterAll(async () => await scene[Symbol.asyncDispose]())

  test(`an attacker that ${attackers.otherName.does} learns nothing`, async () => {
    const { cert, key } = await scene.pki.issue({ names: ['printer.hospital.example'] })
    await using attacker = await TestBroker.start({ cert, key })
    await scene.endures('otherName', threatOf(attacker, cert))
  })

  test(`an attacker that ${attackers.otherCa.does} learns nothing`, async () => {
    const { cert, key } = await other.issue()
    await using attacker = await TestBroker.start({ cert, key })
    await scene.endures('otherCa', threatOf(attacker, cert))
  })

  test(`an attacker that ${attackers.appended.does} learns nothing`, async () => {
    const { cert, key } = await scene.pki.issue()
    await using attacker = await TestBroker.start({ cert: cert + scene.genuine.chain, key })
    await scene.endures('appended', threatOf(attacker, cert))
  })

  test(`an attacker that ${attackers.noKey.does} learns nothing`, async () => {
    const { cert, chain } = scene.genuine
    await using attacker = await TestBroker.start({ cert: chain, key: impostorKey(cert) })
    await scene.endures('noKey', threatOf(attacker, cert))
  })

  test(`an attacker that ${attackers.noRsaKey.does} learns nothing`, async () => {
    const genuine = await (await hospitalPki()).issue({ key: 'rsa' })
    await using rsaScene = await Scene.set({ genuine })
    await using attacker = await TestBroker.start({ cert: genuine.chain, key: impostorKey(genuine.cert) })
    await rsaScene.endures('noRsaKey', threatOf(attacker, genuine.cert))
  })
})
