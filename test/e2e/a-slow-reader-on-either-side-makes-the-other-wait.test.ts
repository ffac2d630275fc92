// Who does not read makes the sender wait, not Pulseward's memory grow; and nothing is lost over it.

import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { acceptAll, TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { publishPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually, soon } from '../help/wait.ts'

const MiB = 1 << 20
/** A packet of 4 KiB, as often as fits. */
const message = publishPacket({ version: 4, topic: 'flood', payload: Buffer.alloc(4086, 7) })
const chunk = Buffer.alloc(256 * 1024, message)
const chunks = (200 * MiB) / chunk.length
/** What may lie in the kernel's buffers of the sockets on the way; far below what is offered. */
const inFlight = 64 * MiB

test('what is sent is whole packets', () => {
  expect(chunk.length % message.length).toBe(0)
})

test.each(['up', 'down'] as const)(
  'a flood %s waits for a reader that stopped',
  async (direction) => {
    const pki = await makePki()
    const { chain: cert, key } = await pki.issue()
    await using broker = await TestBroker.start({ cert, key, serve: acceptAll })
    const config = ward({ brokers: [broker.port], limits: { maxPacket: '1MiB' } })
    await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert }, exposeGc: true })
    await using device = await Device.join(proxy.port, { clientId: 'flooder' })
    const visit = await broker.visitOf('flooder')
    const [sender, reader] =
      direction === 'up' ? [device.socket, visit.socket] : [visit.socket, device.socket]
    const [receivingLeg, sendingLeg] = direction === 'up' ? ['broker', 'device'] : ['device', 'broker']
    reader.removeAllListeners('data')
    reader.pause()
    await proxy.collectGarbage()
    const before = await proxy.metrics()

    const offered = offer(sender)
    offered.catch(() => {})
    let taken = 0
    let still = 0
    await eventually('the sender blocked', async () => {
      const now = await proxy.metric('pulseward_bytes_total', { leg: sendingLeg, direction: 'received' })
      still = now === taken && now > 0 && sender.writableNeedDrain ? still + 1 : 0
      taken = now
      return still >= 10
    })
    expect(taken).toBeLessThan(inFlight)
    const blocked = await proxy.metrics()
    for (const memory of ['process_resident_memory_bytes', 'nodejs_heap_size_used_bytes']) {
      expect(blocked.value(memory) - before.value(memory)).toBeLessThan(64 * MiB)
    }

    const { hash, length } = await readAll(reader, chunks * chunk.length)
    await offered
    expect(length).toBe(chunks * chunk.length)
    expect(hash).toBe(hashOfAll())
    const labels = { leg: receivingLeg, direction: 'sent' }
    expect(await proxy.metric('pulseward_bytes_total', labels)).toBeGreaterThanOrEqual(length)
    await proxy.collectGarbage()
    const after = await proxy.metrics()
    const held = (one: typeof after): number =>
      one.value('nodejs_heap_size_used_bytes') + one.value('nodejs_external_memory_bytes')
    expect(held(after) - held(before)).toBeLessThan(16 * MiB)
  },
  60_000,
)

/** Writes everything, waiting whenever the socket asks to. */
async function offer(socket: Socket): Promise<void> {
  for (let index = 0; index < chunks; index++) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
}

async function readAll(socket: Socket, length: number): Promise<{ hash: string; length: number }> {
  const hash = createHash('sha256')
  let read = 0
  const done = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      hash.update(bytes)
      read += bytes.length
      if (read >= length) resolve()
    })
  })
  socket.resume()
  await soon(() => `${length} bytes, ${read} came`, done)
  return { hash: hash.digest('hex'), length: read }
}

function hashOfAll(): string {
  const hash: Hash = createHash('sha256')
  for (let index = 0; index < chunks; index++) hash.update(chunk)
  return hash.digest('hex')
}
