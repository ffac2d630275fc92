// Ticket keys are not the key of a certificate: who has those of a broker, or of its neighbour, is not the broker.

import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { hospitalPki, Scene, type SceneOptions } from '../help/attackers-scene.ts'
import { attackers } from '../help/attackers.ts'
import { frontOf, threatOf } from '../help/attackers-tools.ts'
import { TestBroker } from '../help/broker.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { describeWith } from '../help/tools.ts'

/** A ticket is of no use to a server with another context, and an attacker would see to that. */
const sessionIdContext = 'broker'

describeWith(mosquittoTools, 'with tickets, in front of mosquitto', () => {
  test(`an attacker that ${attackers.otherTicketKeys.does} learns nothing`, async () => {
    await using scene = await resuming(randomBytes(48))
    expect(await resumed(scene)).toBeGreaterThan(0)
    const { cert, key } = await scene.pki.issue({ names: ['printer.hospital.example'] })
    const ticketKeys = randomBytes(48)
    await using attacker = await TestBroker.start({ cert, key, ticketKeys, sessionIdContext })
    await scene.endures('otherTicketKeys', threatOf(attacker, cert))
  })

  test.each([
    ['sharedTicketKeys', true, { spare: true }],
    ['sameTicketKeys', false, { tls: { resumption: 'off' } }],
  ] as const)(
    'an attacker that has the right ticket keys learns nothing (%s)',
    async (name, resumes, options) => {
      const ticketKeys = randomBytes(48)
      await using scene = await resuming(ticketKeys, options)
      expect((await resumed(scene)) > 0).toBe(resumes)
      const { cert, chain, key } = await scene.pki.issue({ ca: await scene.pki.rogue() })
      await using attacker = await TestBroker.start({ cert: chain, key, ticketKeys, sessionIdContext })
      await scene.endures(name, threatOf(attacker, cert))
    },
  )
})

/** A scene whose broker seals its tickets with these keys, and where devices came more than once. */
async function resuming(ticketKeys: Buffer, options: SceneOptions = {}): Promise<Scene> {
  const genuine = await (await hospitalPki()).issue()
  const { chain: cert, key } = genuine
  const front = async (plainPort: number): Promise<TestBroker> =>
    await frontOf(plainPort, { cert, key, ticketKeys, sessionIdContext })
  const scene = await Scene.set({ genuine, front, ...options })
  await scene.isWell()
  return scene
}

async function resumed({ proxy }: Scene): Promise<number> {
  return await proxy.metric('pulseward_tls_handshakes_total', { leg: 'broker', result: 'resumed' })
}
