// Clients of the embedded broker in 3.1 and 3.1.1: through Pulseward they have of aedes what they have of it without.

import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Aedes } from 'aedes'
import type { IClientOptions } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JsClient, byTopic } from '../help/mqtt-js.ts'
import type { Level } from '../help/packets.ts'
import { Proxy } from '../help/proxy.ts'
import { agreeOn, brokenRules, type Way } from '../help/ways.ts'

const stack = new AsyncDisposableStack()
const proxies = new Map<string, Proxy>()
let directPort = 0

beforeAll(async () => {
  for (const preset of ['standard', 'strict']) {
    const listener = { name: 'ward', bind: '127.0.0.1:0', accept: ['mqtt'], upstream: 'embedded' }
    const config = {
      listeners: [{ ...listener, limits: { perAddress: 1000 } }],
      inspection: { preset },
      metrics: { bind: '127.0.0.1:0' },
      reload: { watch: false },
      drain: { timeout: '3s' },
    }
    const proxy = stack.use(await Proxy.start({ config }))
    await proxy.waitForReady(200)
    proxies.set(preset, proxy)
  }
  const aedes = await Aedes.createBroker()
  const server = createServer({ noDelay: true }, (socket) => void aedes.handle(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  directPort = (server.address() as AddressInfo).port
  stack.defer(async () => {
    server.close()
    await new Promise<void>((resolve) => aedes.close(() => resolve()))
  })
})
afterAll(async () => await stack.disposeAsync())

async function agree<Seen>(scenario: (way: Way) => Promise<Seen>): Promise<Seen> {
  const others = Array.from(proxies, ([preset, { port }]) => [preset, port] as const)
  return await agreeOn(directPort, others, scenario)
}

describe.each([3, 4] as const)('level %d', (level) => {
  test.each([0, 1, 2] as const)('100 messages at QoS %d, in both directions at once', async (qos) => {
    const seen = await agree(async (way) => {
      await using one = await join(way, level, 'one')
      await using other = await join(way, level, 'other')
      await one.client.subscribeAsync(`${way.run}/down/+`, { qos })
      await other.client.subscribeAsync(`${way.run}/up/+`, { qos })
      const send = ({ client }: JsClient, to: string): Promise<unknown>[] =>
        Array.from({ length: 100 }, (_, n) =>
          client.publishAsync(`${way.run}/${to}/${n % 3}`, `${n}`, { qos }),
        )
      await Promise.all([...send(one, 'up'), ...send(other, 'down')])
      return [byTopic(await one.received(100)), byTopic(await other.received(100))]
    })
    expect(seen.map((topics) => Object.keys(topics).length)).toEqual([3, 3])
  })

  test('retained messages, a will, and 1 MiB', async () => {
    const seen = await agree(async (way) => {
      await using publisher = await join(way, level, 'publisher')
      const large = Buffer.alloc(1 << 20, 'an ECG of an hour, ')
      await publisher.client.publishAsync(`${way.run}/large`, large, { qos: 2, retain: true })
      await publisher.client.publishAsync(`${way.run}/small`, 'small', { qos: 1, retain: true })
      const will = {
        topic: `${way.run}/will`,
        payload: Buffer.from('asystole'),
        qos: 1,
        retain: false,
      } as const
      const dying = await join(way, level, 'dying', { will })
      await using heir = await join(way, level, 'heir')
      await heir.client.subscribeAsync(`${way.run}/#`, { qos: 2 })
      await heir.received(2)
      dying.cut()
      return byTopic(await heir.received(3))
    })
    expect(Object.keys(seen).toSorted()).toEqual(['run/large', 'run/small', 'run/will'])
  })

  // At QoS 1: aedes 1.2.0 answers several PUBREC that arrive together with the PUBREL of the last, and loses a message.
  test('what is kept for a session is delivered when it comes back', async () => {
    const seen = await agree(async (way) => {
      const topic = `${way.run}/kept`
      await using first = await join(way, level, 'kept', { clean: false })
      await first.client.subscribeAsync(topic, { qos: 1 })
      await first.client.endAsync()
      await using publisher = await join(way, level, 'publisher')
      for (let n = 0; n < 20; n++) {
        await publisher.client.publishAsync(topic, `${n}`, { qos: 1 })
      }
      await using second = await join(way, level, 'kept', { clean: false })
      return await second.received(20)
    })
    expect(seen).toHaveLength(20)
  })
})

test('no rule was broken', async () => {
  const broken = await Promise.all(Array.from(proxies.values(), brokenRules))
  expect(broken).toEqual([[], []])
})

async function join(
  { port, run }: Way,
  level: Level,
  id: string,
  options: IClientOptions = {},
): Promise<JsClient> {
  const user = { username: 'nurse', password: 'secret' }
  return await JsClient.join(port, level, { clientId: `${run}-${id}`, ...user, ...options })
}
