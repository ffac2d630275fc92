// A client library with its own idea of MQTT, in 3.1.1 and 5, works through Pulseward with everything it has.

import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Mosquitto, mosquittoTools } from '../help/mosquitto.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'

describeWith(mosquittoTools, 'MQTT.js through Pulseward', () => {
  const stack = new AsyncDisposableStack()
  let proxy: Proxy
  let clients = 0

  beforeAll(async () => {
    const pki = await makePki()
    const broker = stack.use(await Mosquitto.start({ pki }))
    const config = ward({ brokers: [broker.port] })
    proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } }))
  })
  afterAll(async () => await stack.disposeAsync())

  async function connect(protocolVersion: 4 | 5, options: IClientOptions = {}): Promise<MqttClient> {
    const clientId = `mqtt-js-${++clients}`
    return await mqtt.connectAsync({
      port: proxy.port,
      host: '127.0.0.1',
      protocolVersion,
      clientId,
      reconnectPeriod: 0,
      ...options,
    })
  }

  /** Resolves with the first `count` messages. */
  function messages(client: MqttClient, count: number): Promise<IPublishPacket[]> {
    const { promise, resolve } = Promise.withResolvers<IPublishPacket[]>()
    const got: IPublishPacket[] = []
    client.on('message', (_topic, _payload, packet) => {
      if (got.push(packet) === count) resolve(got)
    })
    return promise
  }

  describe.each([4, 5] as const)('level %d', (version) => {
    test('QoS 2 both ways, many in flight', async () => {
      const subscriber = await connect(version)
      const publisher = await connect(version)
      await subscriber.subscribeAsync(`js/${version}/pulse/+`, { qos: 2 })
      const arrived = messages(subscriber, 100)
      const sent = Array.from({ length: 100 }, (_, n) =>
        publisher.publishAsync(`js/${version}/pulse/${n % 7}`, `${n}`, { qos: 2 }),
      )
      await Promise.all(sent)
      const numbers = (await arrived).map(({ payload }) => Number(payload.toString()))
      expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n))
      await Promise.all([subscriber.endAsync(), publisher.endAsync()])
    })

    test('a session outlives its connection, and keeps what came meanwhile', async () => {
      const keeping = {
        clientId: `mqtt-js-kept-${version}`,
        clean: false,
        properties: { sessionExpiryInterval: 60 },
      }
      const topic = `js/${version}/kept`
      const first = await connect(version, keeping)
      await first.subscribeAsync(topic, { qos: 1 })
      await first.endAsync()
      const publisher = await connect(version)
      await publisher.publishAsync(topic, 'while away', { qos: 1 })
      // Created before it connects, so that a message sent right behind CONNACK finds somebody.
      const second = mqtt.connect({
        port: proxy.port,
        host: '127.0.0.1',
        protocolVersion: version,
        ...keeping,
      })
      const [packet] = await messages(second, 1)
      expect(packet?.payload.toString()).toBe('while away')
      await Promise.all([second.endAsync(), publisher.endAsync()])
    })
  })

  test('MQTT 5 properties arrive as they were sent', async () => {
    const subscriber = await connect(5, { properties: { receiveMaximum: 10, topicAliasMaximum: 5 } })
    const publisher = await connect(5, { autoAssignTopicAlias: true })
    await subscriber.subscribeAsync('js/5/properties', {
      qos: 1,
      properties: { subscriptionIdentifier: 321 },
    })
    const arrived = messages(subscriber, 2)
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'js/5/answers',
      correlationData: Buffer.from([1, 2, 3]),
      userProperties: { ward: '3', bed: ['12', '12b'] },
    }
    await publisher.publishAsync('js/5/properties', 'one', { qos: 1, properties })
    await publisher.publishAsync('js/5/properties', 'two', { qos: 1 })
    const [one, two] = await arrived
    expect(one?.properties).toMatchObject({ ...properties, subscriptionIdentifier: 321 })
    expect(two?.payload.toString()).toBe('two')
    await Promise.all([subscriber.endAsync(), publisher.endAsync()])
  })

  test('shared subscriptions share, and refused filters are refused by the broker only', async () => {
    const sharers = await Promise.all([connect(5), connect(5)])
    await Promise.all(sharers.map((sharer) => sharer.subscribeAsync('$share/nurses/js/5/alarms', { qos: 1 })))
    let got = 0
    const all = Promise.withResolvers<void>()
    for (const sharer of sharers) sharer.on('message', () => ++got === 20 && all.resolve())
    const publisher = await connect(5)
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => publisher.publishAsync('js/5/alarms', `${n}`, { qos: 1 })),
    )
    await all.promise
    expect(got).toBe(20)
    await Promise.all([...sharers, publisher].map((client) => client.endAsync()))
    expect(await proxy.metric('pulseward_rule_hits_total', {})).toBe(0)
  })
})
