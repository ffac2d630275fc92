// Connections come and go all day: descriptors, counts and memory are afterwards what they were before.

import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { connackPacket, connectPacket, packet } from '../help/packets.ts'
import type { Proxy } from '../help/proxy.ts'
import { setStage } from '../help/stage.ts'

const MiB = 1 << 20
const atOnce = 50
const hello = connectPacket({ version: 4, clientId: 'visitor' })
const welcome = connackPacket(4)
const goodbye = packet(0xe0)

test('20,000 visits', async () => {
  await using stage = await setStage({
    broker: {
      serve: ({ socket }) => {
        socket.once('data', () => socket.write(welcome))
        socket.once('close', () => stage.broker.visits.splice(0))
      },
    },
    exposeGc: true,
    more: { log: { level: 'warn' } },
  })
  const { proxy } = stage
  await visitTimes(proxy, 2000)
  const before = await rest(proxy)
  await visitTimes(proxy, 20_000)
  const after = await rest(proxy)
  expect(after.files).toBeLessThanOrEqual(before.files)
  expect(after.heap - before.heap).toBeLessThan(3 * MiB)
  expect(after.external - before.external).toBeLessThan(3 * MiB)
  const metrics = await proxy.metrics()
  expect(metrics.value('pulseward_mqtt_connack_total', { code: '0' })).toBe(22_000)
  expect(metrics.value('pulseward_connections')).toBe(0)
  expect(metrics.value('pulseward_device_sessions')).toBe(0)
  const resumed = { leg: 'broker', result: 'resumed' }
  expect(metrics.value('pulseward_tls_handshakes_total', resumed)).toBeGreaterThan(21_000)
}, 240_000)

/** CONNECT, CONNACK, DISCONNECT and close, so many times, `atOnce` of them at any time. */
async function visitTimes(proxy: Proxy, times: number): Promise<void> {
  let left = times
  const worker = async (): Promise<void> => {
    while (left-- > 0) await visit(proxy.port)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await proxy.waitForMetric('pulseward_connections', {}, 0)
}

function visit(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.write(hello)
    socket.once('data', (answer: Buffer) => {
      if (!answer.equals(welcome)) reject(new Error(`answered "${answer.toString('hex')}"`))
      socket.end(goodbye)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
}

/** What the proxy holds once all garbage is gone. */
async function rest(proxy: Proxy): Promise<{ files: number; heap: number; external: number }> {
  await proxy.collectGarbage()
  const metrics = await proxy.metrics()
  return {
    files: metrics.value('process_open_fds'),
    heap: metrics.value('nodejs_heap_size_used_bytes'),
    external: metrics.value('nodejs_external_memory_bytes'),
  }
}
