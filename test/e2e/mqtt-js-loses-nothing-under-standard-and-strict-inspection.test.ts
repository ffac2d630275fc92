// MQTT.js in 3.1, 3.1.1 and 5: every message arrives as without Pulseward, under the presets standard and strict.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IClientOptions } from 'mqtt'
import { mosquittoTools } from '../help/mosquitto.ts'
import { JsClient, byTopic } from '../help/mqtt-js.ts'
import type { Level } from '../help/packets.ts'
import { describeWith } from '../help/tools.ts'
import { Ways, type Way } from '../help/ways.ts'

describeWith(mosquittoTools, 'MQTT.js through Pulseward', () => {
  let ways: Ways

  beforeAll(async () => void (ways = await Ways.open()))
  afterAll(async () => {
    await ways[Symbol.asyncDispose]()
  })

  /** Clients of one run, whose identifiers begin with its name. */
  function clientsOf(
    { port, run }: Way,
    level: Level,
  ): (id: string, options?: IClientOptions) => Promise<JsClient> {
    return (id, options = {}) => JsClient.join(port, level, { clientId: `${run}-${id}`, ...options })
  }

  describe.each([3, 4, 5] as const)('level %d', (level) => {
    test.each([1, 2] as const)(
      'a burst of 200 messages at QoS %d, in both directions at once',
      async (qos) => {
        const seen = await ways.agreeOn(async (way) => {
          const join = clientsOf(way, level)
          await using one = await join('one')
          await using other = await join('other')
          await one.client.subscribeAsync(`${way.run}/down/+`, { qos })
          await other.client.subscribeAsync(`${way.run}/up/+`, { qos })
          const send = (client: JsClient, to: string): Promise<unknown>[] =>
            Array.from({ length: 200 }, (_, n) =>
              client.client.publishAsync(`${way.run}/${to}/${n % 7}`, `${n}`, { qos }),
            )
          await Promise.all([...send(one, 'up'), ...send(other, 'down')])
          return [byTopic(await one.received(200)), byTopic(await other.received(200))]
        })
        for (const topics of seen) {
          expect(
            Object.values(topics).map((messages) => messages.map(({ payload }) => Number(payload))),
          ).toEqual(
            Array.from({ length: 7 }, (_, k) =>
              Array.from({ length: 200 }, (__, n) => n).filter((n) => n % 7 === k),
            ),
          )
        }
      },
    )

    test('a will, and no will of who leaves in good order', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const join = clientsOf(way, level)
        const will = (id: string, qos: 0 | 1 | 2): IClientOptions => ({
          will: {
            topic: `${way.run}/will/${id}`,
            payload: Buffer.from(`${id} is gone`),
            qos,
            retain: qos === 1,
            ...(level === 5 && {
              properties: {
                willDelayInterval: qos === 0 ? 0 : 1,
                contentType: 'text/plain',
                responseTopic: `${way.run}/answers`,
                correlationData: Buffer.from([1, 2, 3]),
                messageExpiryInterval: 600,
                payloadFormatIndicator: true,
                userProperties: { ward: ['3', '4'], bed: '12' },
              },
            }),
          },
          ...(level === 5 && { properties: { sessionExpiryInterval: 30 } }),
        })
        await using heir = await join('heir')
        await heir.client.subscribeAsync(`${way.run}/will/#`, { qos: 2 })
        await using polite = await join('polite', will('polite', 2))
        await polite.client.endAsync()
        for (const qos of [0, 1, 2] as const) (await join(`dying-${qos}`, will(`dying-${qos}`, qos))).cut()
        return byTopic(await heir.received(3))
      })
      expect(Object.keys(seen).toSorted()).toEqual([0, 1, 2].map((qos) => `run/will/dying-${qos}`))
    })

    test('what is kept for a session is delivered when it comes back, and not to a clean one', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const join = clientsOf(way, level)
        const kept: IClientOptions = {
          clean: false,
          ...(level === 5 && { properties: { sessionExpiryInterval: 60 } }),
        }
        {
          await using first = await join('kept', kept)
          await first.client.subscribeAsync(`${way.run}/kept`, { qos: 2 })
          await first.client.endAsync()
        }
        await using publisher = await join('publisher')
        for (let n = 0; n < 30; n++) {
          await publisher.client.publishAsync(`${way.run}/kept`, `${n}`, { qos: n % 2 === 0 ? 1 : 2 })
        }
        const heard = []
        {
          await using second = await join('kept', kept)
          heard.push(...(await second.received(30)))
          await second.client.endAsync()
        }
        await using clean = await join('kept')
        await publisher.client.publishAsync(`${way.run}/kept`, 'for nobody', { qos: 2 })
        await clean.flushed()
        return [heard, clean.messages]
      })
      expect(seen.map((messages) => messages.length)).toEqual([30, 0])
    })

    test('retained messages, their removal, and 1 MiB both ways', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const join = clientsOf(way, level)
        await using publisher = await join('publisher')
        const large = Buffer.alloc(1 << 20, 'an ECG of an hour, ')
        await publisher.client.publishAsync(`${way.run}/large`, large, { qos: 2, retain: true })
        await publisher.client.publishAsync(`${way.run}/small`, 'small', { qos: 1, retain: true })
        await publisher.client.publishAsync(`${way.run}/gone`, 'gone', { qos: 1, retain: true })
        await publisher.client.publishAsync(`${way.run}/gone`, '', { qos: 1, retain: true })
        await using subscriber = await join('subscriber')
        await subscriber.client.subscribeAsync(`${way.run}/#`, { qos: 2 })
        const kept = byTopic(await subscriber.received(2))
        await publisher.client.publishAsync(`${way.run}/large`, large, { qos: 2, retain: true })
        return [kept, byTopic((await subscriber.received(3)).slice(2))]
      })
      expect(seen.map((topics) => Object.keys(topics).toSorted())).toEqual([
        ['run/large', 'run/small'],
        ['run/large'],
      ])
    })
  })

  test('no rule was broken, of those a sound client and broker can keep', async () => {
    expect(await ways.broken()).toEqual({ standard: [], strict: ['up credentials-missing forward'] })
  })
})
