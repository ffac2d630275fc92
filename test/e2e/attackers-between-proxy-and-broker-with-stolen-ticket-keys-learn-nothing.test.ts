// Ticket keys are not the key of a certificate: who has those of a broker, or of its neighbour, is not the broker.

import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { Scene, type SceneOptions } from '../help/attackers-scene.ts'
import { attackers, type AttackerName } from '../help/attackers.ts'
import { threatOf } from '../help/attackers-tools.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { makePki } from '../help/pki.ts'
import { describeWith } from '../help/tools.ts'

const context = { sessionIdContext: 'broker' }

describeWith(mosquittoTools, 'with tickets, in front of mosquitto', () => {
  test(`an attacker who ${attackers.otherTicketKeys.does} learns nothing`, async () => {
    const { scene, pki } = await resuming({ ticketKeys: randomBytes(48) })
    await using _ = scene
    expect(await resumed(scene)).toBeGreaterThan(0)
    const printer = await pki.issue({ names: ['printer.hospital.example'] })
    await isRefused(
      'otherTicketKeys',
      scene,
      { cert: printer.chain, key: printer.key, ticketKeys: randomBytes(48) },
      printer.cert,
    )
  })

  test.each([
    ['sharedTicketKeys', { spare: true }],
    ['sameTicketKeys', { tls: { resumption: 'off' } }],
  ] as const)('an attacker who has the right ticket keys learns nothing (%s)', async (name, options) => {
    const ticketKeys = randomBytes(48)
    const { scene, pki } = await resuming({ ticketKeys, ...options })
    await using _ = scene
    expect((await resumed(scene)) > 0).toBe(name === 'sharedTicketKeys')
    const forged = await pki.issue({ ca: await pki.rogue() })
    await isRefused(name, scene, { cert: forged.chain, key: forged.key, ticketKeys }, forged.cert)
  })
})

/** Proxy and broker, TLS in front of which seals its tickets with these keys; some sessions were resumed, if they may be. */
async function resuming({ ticketKeys, ...options }: SceneOptions & { readonly ticketKeys: Buffer }) {
  const pki = await makePki('Hospital CA')
  const genuine = await pki.issue()
  const { chain: cert, key } = genuine
  const front = async (plainPort: number): Promise<TestBroker> =>
    await TestBroker.start({
      cert,
      key,
      ticketKeys,
      ...context,
      serve: ({ socket }) => void socket.pipe(connect(plainPort, '127.0.0.1')).pipe(socket),
    })
  const scene = await Scene.set({ pki, genuine, front, ...options })
  await scene.isWell()
  return { scene, pki }
}

async function resumed({ proxy }: Scene): Promise<number> {
  return await proxy.metric('pulseward_tls_handshakes_total', { leg: 'broker', result: 'resumed' })
}

async function isRefused(name: AttackerName, scene: Scene, tls: BrokerOptions, shows: string): Promise<void> {
  await using attacker = await TestBroker.start({ ...tls, ...context })
  await scene.endures(name, threatOf(attacker, shows))
}
