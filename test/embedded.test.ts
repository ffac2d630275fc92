// The broker inside: behind real TLS, trusted like any other, and gone when it should be.

import { expect, test } from 'vitest'
import { EmbeddedBroker } from '../src/embedded.ts'
import { createMetrics } from '../src/observe/metrics.ts'
import { Upstream } from '../src/proxy/upstream.ts'
import { openAuthority } from '../src/tls/authority.ts'
import { trustSettings } from '../src/tls/trust.ts'
import { Folder } from './help/folder.ts'
import { bytes, connackPacket, connectPacket, publishPacket, subscribePacket } from './help/packets.ts'
import { Peer } from './help/peer.ts'
import { listens } from './help/premises.ts'
import { soon } from './help/wait.ts'

const never = new AbortController().signal

test('speaks MQTT 3.1.1 over TLS 1.3 to who trusts the local authority, by name and pin', async () => {
  await using folder = await Folder.make()
  const authority = await openAuthority(folder.path, Date.now)
  using metrics = createMetrics({ version: 'test' })
  const said: unknown[] = []
  const limited = (...line: unknown[]): unknown => said.push(line)
  let port: number
  {
    await using broker = await EmbeddedBroker.start('embedded', authority)
    const { plan } = broker
    ;({ port } = plan.servers[0]!)
    expect(plan).toMatchObject({ name: 'embedded', servers: [{ host: '127.0.0.1' }] })
    expect(plan.trust.pins).toHaveLength(2)
    const upstream = new Upstream(plan, { metrics, limited })
    const { socket, facts } = await upstream.connect(never)
    expect(facts).toMatchObject({ protocol: 'TLSv1.3', group: 'X25519MLKEM768' })
    await using peer = new Peer(socket)
    const reading = publishPacket({ version: 4, topic: 'ward/1/pulse', payload: '72' })
    await peer.send(connectPacket({ version: 4 }), subscribePacket(4, 1, [['ward/#', 0]]))
    await peer.bytes(9)
    await peer.send(reading)
    expect(await peer.holds(reading)).toEqual(
      bytes(connackPacket(4), Buffer.from('9003000100', 'hex'), reading),
    )
    // One who does not hold the pins is not taken in by the CA alone.
    const trust = trustSettings({ ...plan.trust, pins: [`sha256/${'A'.repeat(43)}=`] })
    const wary = new Upstream({ ...plan, trust }, { metrics, limited })
    await expect(wary.connect(never)).rejects.toMatchObject({ code: 'upstream-untrusted' })
    await soon('the end of the broker', broker[Symbol.asyncDispose]())
    await peer.everything()
  }
  expect(await listens(port)).toBe(false)
})
