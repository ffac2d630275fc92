// Certificates an attacker may really have: one for another name, one of another CA, and the broker's without its key.

import { test } from 'vitest'
import { Scene, type Identity } from '../help/attackers-scene.ts'
import { attackers, type AttackerName } from '../help/attackers.ts'
import { threatOf } from '../help/attackers-tools.ts'
import { TestBroker } from '../help/broker.ts'
import { impostorKey } from '../help/impostor.ts'
import { mosquittoTools } from '../help/mosquitto.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { describeWith } from '../help/tools.ts'

interface Forgery {
  readonly name: AttackerName
  /** Given what the broker has, what the attacker shows. */
  readonly shown: (
    pki: Pki,
    genuine: Identity,
    other: Pki,
  ) => Promise<{ chain: string; key: string; cert: string }>
  /** Of the broker. */
  readonly kind?: 'ec' | 'rsa'
}

const withoutKey = async (_: Pki, { chain, cert }: Identity) => ({ chain, cert, key: impostorKey(cert) })

const forgeries: readonly Forgery[] = [
  { name: 'otherName', shown: async (pki) => await pki.issue({ names: ['printer.hospital.example'] }) },
  { name: 'otherCa', shown: async (_pki, _genuine, other) => await other.issue() },
  { name: 'noKey', shown: withoutKey },
  { name: 'noRsaKey', shown: withoutKey, kind: 'rsa' },
  {
    name: 'appended',
    shown: async (pki, genuine) => {
      const own = await pki.issue()
      return { ...own, chain: own.chain + genuine.chain }
    },
  },
]

describeWith(mosquittoTools, 'in front of mosquitto', () => {
  test.each(forgeries.map((forgery) => [attackers[forgery.name].does, forgery] as const))(
    'an attacker who %s learns nothing',
    async (_, { name, shown, kind = 'ec' }) => {
      const [pki, other] = await Promise.all([makePki('Hospital CA'), makePki('Other CA')])
      const genuine = await pki.issue({ key: kind })
      await using scene = await Scene.set({ pki, genuine, ca: pki.ca.cert + other.ca.cert })
      const { chain, cert, key } = await shown(pki, genuine, other)
      await using attacker = await TestBroker.start({ cert: chain, key })
      const isSeen = !('unseen' in attackers[name])
      await scene.endures(name, threatOf(attacker, isSeen ? cert : undefined))
    },
  )
})
