// What MQTT 5.0 added, used by MQTT.js with mosquitto: through Pulseward it comes out as it does without.

import type { IClientOptions } from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mosquittoTools } from '../help/mosquitto.ts'
import { JsClient, byTopic, type Message } from '../help/mqtt-js.ts'
import { describeWith } from '../help/tools.ts'
import { Ways, overQuota, type Way } from '../help/ways.ts'

/** Receive maximum of the broker, which clients have to heed. */
const inFlight = 5

describeWith(mosquittoTools, 'MQTT 5.0 through Pulseward', () => {
  let ways: Ways

  beforeAll(async () => void (ways = await Ways.open([`max_inflight_messages ${inFlight}`])))
  afterAll(async () => {
    await ways[Symbol.asyncDispose]()
  })

  test.each([1, 2, 3, 4, 5])(
    'a receive maximum of %d, and 200 messages both ways',
    async (receiveMaximum) => {
      const scenario = async (way: Way): Promise<readonly (readonly Message[])[]> => {
        await using one = await join(way, 'one', { properties: { receiveMaximum } })
        await using other = await join(way, 'other', { properties: { receiveMaximum: 1 } })
        await one.client.subscribeAsync(`${way.run}/down`, { qos: 1 })
        await other.client.subscribeAsync(`${way.run}/up`, { qos: 2 })
        await Promise.all([
          publishAll(one, 200, (n) => [`${way.run}/up`, `${n}`, 2]),
          publishAll(other, 200, (n) => [`${way.run}/down`, `${n}`, 1]),
        ])
        return [await one.received(200), await other.received(200)]
      }
      const presets = receiveMaximum === 1 ? (['standard', 'strict'] as const) : (['standard'] as const)
      const seen = await ways.agreeOn(scenario, presets)
      const numbers = Array.from({ length: 200 }, (_, n) => `${n}`)
      expect(seen.map((messages) => messages.map(({ payload }) => payload))).toEqual([numbers, numbers])
    },
  )

  test.each(['autoAssignTopicAlias', 'autoUseTopicAlias'] as const)(
    '%s: more topics than aliases, each of them in turn',
    async (option) => {
      const seen = await ways.agreeOn(async (way) => {
        await using subscriber = await join(way, 'subscriber', { properties: { topicAliasMaximum: 20 } })
        await subscriber.client.subscribeAsync(`${way.run}/#`, { qos: 1 })
        await using publisher = await join(way, 'publisher', { [option]: true })
        for (let n = 0; n < 100; n++) {
          const k = Math.floor(n / 2) % 17
          const properties = option === 'autoUseTopicAlias' && k < 10 ? { topicAlias: k + 1 } : {}
          await publisher.client.publishAsync(`${way.run}/bed/${k}`, `${n}`, { qos: 1, properties })
        }
        return byTopic(await subscriber.received(100))
      })
      expect(Object.keys(seen)).toHaveLength(17)
    },
  )

  test('every property of a message, and of a subscription', async () => {
    const seen = await ways.agreeOn(async (way) => {
      await using subscriber = await join(way, 'subscriber', {
        properties: { requestResponseInformation: true, requestProblemInformation: false },
      })
      const granted = await subscriber.client.subscribeAsync(`${way.run}/+`, {
        qos: 2,
        properties: { subscriptionIdentifier: 268_435_455, userProperties: { why: ['a', 'b'] } },
      })
      await subscriber.client.subscribeAsync(`${way.run}/one`, {
        qos: 1,
        properties: { subscriptionIdentifier: 7 },
      })
      await using publisher = await join(way, 'publisher')
      await publisher.client.publishAsync(`${way.run}/one`, 'Ωμέγα', {
        qos: 2,
        properties: {
          payloadFormatIndicator: true,
          messageExpiryInterval: 3600,
          contentType: 'application/json; charset=utf-8',
          responseTopic: `${way.run}/answers`,
          correlationData: Buffer.from([0, 1, 0xff]),
          userProperties: { ward: ['3', '3', '4'], '': '', ключ: 'значение' },
        },
      })
      await publisher.client.publishAsync(`${way.run}/two`, '', { qos: 0 })
      await publisher.client.publishAsync(`${way.run}/three`, bytesOf(300), { qos: 1 })
      // One message that two filters of one client match may come once or twice (3.3.4); mosquitto decides.
      await subscriber.received(3)
      await subscriber.flushed()
      return [granted, byTopic(subscriber.messages)]
    })
    expect(JSON.stringify(seen)).toContain('268435455')
  })

  test('no local, retain as published, and the three ways to handle retained messages', async () => {
    const seen = await ways.agreeOn(async (way) => {
      await using other = await join(way, 'other')
      await other.client.publishAsync(`${way.run}/kept`, 'kept', { qos: 1, retain: true })
      const heard = []
      for (const rh of [0, 1, 2] as const) {
        await using one = await join(way, `one-${rh}`)
        const options = { qos: 1, rh, nl: rh === 1, rap: rh === 2 } as const
        await one.client.subscribeAsync(`${way.run}/#`, options)
        await one.client.subscribeAsync(`${way.run}/#`, options)
        await one.client.publishAsync(`${way.run}/own-${rh}`, 'mine', { qos: 1 })
        await other.client.publishAsync(`${way.run}/other-${rh}`, 'theirs', { qos: 1, retain: true })
        await one.flushed()
        heard.push(one.messages)
      }
      return heard
    })
    expect(seen.map((messages) => messages.map(({ topic }) => topic.slice(4)).toSorted())).toEqual([
      ['kept', 'kept', 'other-0', 'own-0'],
      ['kept', 'other-0', 'other-1'],
      ['other-2', 'own-2'],
    ])
  })

  test('shared subscriptions: each message goes to one of each group', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const sharers = await Promise.all(['a', 'b', 'c'].map((id) => join(way, id)))
      await using stack = new AsyncDisposableStack()
      for (const sharer of sharers) stack.use(sharer)
      for (const sharer of sharers) {
        await sharer.client.subscribeAsync(`$share/nurses/${way.run}/alarms/#`, {
          qos: 2,
          properties: { subscriptionIdentifier: 5 },
        })
      }
      await sharers[0]!.client.subscribeAsync(`$share/doctors/${way.run}/alarms/#`, { qos: 1 })
      await using publisher = await join(way, 'publisher')
      await publishAll(publisher, 60, (n) => [`${way.run}/alarms/${n}`, `${n}`, n % 3])
      await Promise.all(sharers.map((sharer) => sharer.flushed()))
      return sharers.flatMap(({ messages }) => messages.map(({ topic }) => topic)).toSorted()
    })
    expect(seen).toHaveLength(120)
  })

  test('how long a session lasts, and whether it was there', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const presence: unknown[] = []
      const visit = async (options: IClientOptions, leave: number | undefined): Promise<void> => {
        const one = new JsClient(way.port, 5, { clientId: `${way.run}-guest`, ...options })
        one.client.once('connect', ({ sessionPresent, properties }) =>
          presence.push([sessionPresent, properties]),
        )
        await one.connected()
        await one.client.subscribeAsync(`${way.run}/x`, { qos: 1 })
        const properties = leave === undefined ? {} : { sessionExpiryInterval: leave }
        await one.client.endAsync({ reasonCode: 0, properties })
      }
      const lasting = { clean: false, properties: { sessionExpiryInterval: 600 } }
      await visit(lasting, undefined)
      await visit(lasting, 300)
      await visit({ ...lasting, clean: true }, undefined)
      await visit(lasting, 0)
      await visit(lasting, undefined)
      await visit({ clean: false, properties: { sessionExpiryInterval: 0xffffffff } }, 0)
      await visit({ clean: true }, undefined)
      return presence
    })
    expect(seen.map((one) => (one as unknown[])[0])).toEqual([false, true, false, true, false, true, false])
  })

  test('an empty client identifier is replaced by one the broker assigns', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const one = new JsClient(way.port, 5, { clientId: '', clean: true })
      await using _ = one
      const { promise, resolve } = Promise.withResolvers<unknown>()
      one.client.once('connect', ({ properties }) => resolve(properties?.assignedClientIdentifier))
      await using old = await JsClient.join(way.port, 4, { clientId: '', clean: true })
      return [typeof (await promise), old.client.connected]
    })
    expect(seen).toEqual(['string', true])
  })

  test('a client that takes small packets only gets small packets only', async () => {
    const seen = await ways.agreeOn(async (way) => {
      await using small = await join(way, 'small', { properties: { maximumPacketSize: 200 } })
      await small.client.subscribeAsync(`${way.run}/#`, { qos: 1 })
      await using publisher = await join(way, 'publisher')
      for (const size of [1, 100, 201, 5000, 150]) {
        await publisher.client.publishAsync(`${way.run}/${size}`, bytesOf(size), { qos: 0 })
      }
      await publisher.flushed()
      await small.flushed()
      return small.messages
    })
    expect(seen.map(({ topic }) => topic)).toEqual(['run/1', 'run/100', 'run/150'])
  })

  test('requests and responses, and many topics at once', async () => {
    const seen = await ways.agreeOn(async (way) => {
      await using responder = await join(way, 'responder')
      responder.client.on('message', (_topic, payload, { properties }) => {
        const { responseTopic = '', correlationData = Buffer.alloc(0) } = properties ?? {}
        responder.client.publish(responseTopic, `answer to ${String(payload)}`, {
          qos: 0,
          properties: { correlationData },
        })
      })
      await responder.client.subscribeAsync(`${way.run}/ask/#`, { qos: 0 })
      await using asker = await join(way, 'asker')
      const filters = Array.from({ length: 300 }, (_, n) => `${way.run}/answers/${n}`)
      const granted = await asker.client.subscribeAsync(filters, { qos: 0 })
      for (let n = 0; n < 300; n++) {
        const properties = { responseTopic: filters[n]!, correlationData: Buffer.from([n >> 8, n & 0xff]) }
        asker.client.publish(`${way.run}/ask/${n}`, `${n}`, { qos: 0, properties })
      }
      const answers = byTopic(await asker.received(300))
      await asker.client.unsubscribeAsync([...filters.slice(0, 150), `${way.run}/never`])
      return [granted, answers]
    })
    expect(Object.keys(seen[1] ?? {})).toHaveLength(300)
  })

  test('a short keep alive, kept by PINGREQ', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const answers = Promise.withResolvers<string>()
      const one = new JsClient(way.port, 5, { clientId: `${way.run}-lively`, keepalive: 1 })
      await using _ = one
      let pings = 0
      one.client.on('packetreceive', ({ cmd }) => {
        if (cmd === 'pingresp' && ++pings === 2) answers.resolve(cmd)
      })
      return await answers.promise
    })
    expect(seen).toBe('pingresp')
  })

  test('no rule was broken, but one by the broker', async () => {
    const { standard, strict } = await ways.broken()
    expect(standard.filter((one) => one !== overQuota)).toEqual([])
    expect(strict).toEqual(['up credentials-missing forward'])
  })
})

async function join({ port, run }: Way, id: string, options: IClientOptions = {}): Promise<JsClient> {
  return await JsClient.join(port, 5, { clientId: `${run}-${id}`, ...options })
}

/** Publishes `count` messages in order, never more than the broker takes at once. */
async function publishAll(
  { client }: JsClient,
  count: number,
  message: (n: number) => readonly [topic: string, payload: string, qos: number],
): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) {
      const [topic, payload, qos] = message(next++)
      await client.publishAsync(topic, payload, { qos: qos as 0 | 1 | 2 })
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
}

/** So many bytes, the same in every run. */
function bytesOf(size: number): Buffer {
  return Buffer.alloc(size, 'an ECG of an hour, ')
}
