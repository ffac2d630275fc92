// mosquitto_pub, mosquitto_sub and mosquitto_rr in 3.1, 3.1.1 and 5: they print through Pulseward what they print without.

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child } from '../help/child.ts'
import { mosquittoTools, publish, subscribe, type ClientOptions, type Version } from '../help/mosquitto.ts'
import { JsClient } from '../help/mqtt-js.ts'
import { describeWith, tool } from '../help/tools.ts'
import { Ways, overQuota, type Way } from '../help/ways.ts'

/** Everything mosquitto_sub can tell of a message, a line each. */
const format = [
  '-F',
  String.raw`%t q%q r%r type=%C answer=%R id=%D format=%F user=%P filter=%S alias=%A %l %p\n`,
]

describeWith([...mosquittoTools, 'mosquitto_rr'], 'mosquitto clients through Pulseward', () => {
  let ways: Ways

  beforeAll(async () => void (ways = await Ways.open()))
  afterAll(async () => {
    await ways[Symbol.asyncDispose]()
  })

  describe.each(['31', '311', '5'] as const)('MQTT %s', (version) => {
    test('every QoS to every QoS', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const { listen, send } = clientsOf(ways, way, version)
        await using stack = new AsyncDisposableStack()
        const listeners = await Promise.all(
          ([0, 1, 2] as const).map((qos) => listen(`sub-${qos}`, { topic: `${way.run}/#`, qos, count: 3 })),
        )
        for (const one of listeners) stack.use(one)
        for (const qos of [0, 1, 2] as const)
          await send({ topic: `${way.run}/${qos}`, qos, message: `${qos}` })
        return await Promise.all(listeners.map(linesOf))
      })
      expect(seen.map((lines) => lines.length)).toEqual([3, 3, 3])
    })

    test('500 messages of one publisher, in order, to who asked for a hundred topics', async () => {
      const scenario = async (way: Way): Promise<string[]> => {
        const { listen, send } = clientsOf(ways, way, version)
        const topics = Array.from({ length: 100 }, (_, n) => ['-t', `${way.run}/bed/${n}`]).flat()
        await using listener = await listen('sub', {
          topic: `${way.run}/many`,
          qos: 2,
          count: 502,
          more: topics,
        })
        const lines = Array.from({ length: 500 }, (_, n) => `${n}`).join('\n')
        await using publisher = new Child(
          tool('mosquitto_pub'),
          argumentsFor(way, version, ['-t', `${way.run}/many`, '-q', '1', '-l']),
          { input: `${lines}\n` },
        )
        await publisher.succeeds()
        await send({ topic: `${way.run}/bed/0`, qos: 2, message: 'first' })
        await send({ topic: `${way.run}/bed/99`, qos: 2, message: 'last' })
        return await linesOf(listener)
      }
      const seen = await ways.agreeOn(scenario, version === '5' ? ['standard'] : ['standard', 'strict'])
      expect(seen).toHaveLength(502)
    })

    test('retained messages, and the will of a client that dies', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const { listen, send } = clientsOf(ways, way, version)
        const [will, kept] = [`${way.run}/will`, `${way.run}/kept`]
        const more = ['--will-topic', will, '--will-payload', 'asystole', '--will-qos', '2', '--will-retain']
        const properties = [
          '-x',
          '60',
          ...have('will', 'will-delay-interval 1', 'content-type text', 'user-property bed 12'),
          ...have('will', 'message-expiry-interval 600'),
        ]
        await using heir = await listen('heir', { topic: will, qos: 2, count: 1 })
        await using dying = await listen('dying', {
          topic: `${way.run}/x`,
          count: 1,
          more: [...more, ...(version === '5' ? properties : [])],
        })
        await send({ topic: kept, qos: 1, message: 'kept', more: ['-r'] })
        await dying.kill('SIGKILL')
        const heard = await linesOf(heir)
        await using late = await listen('late', { topic: `${way.run}/#`, qos: 1, count: 2 })
        return [heard, (await linesOf(late)).toSorted()]
      })
      expect(seen.map((lines) => lines.length)).toEqual([1, 2])
    })

    test('a session that is kept, and what waits for it', async () => {
      const seen = await ways.agreeOn(async (way) => {
        const { listen, send } = clientsOf(ways, way, version)
        const topic = `${way.run}/kept`
        const more = ['-c', ...(version === '5' ? ['-x', '600'] : [])]
        await using first = await listen('kept', { topic, qos: 2, count: 1, more: [...more, '-E'] })
        await first.succeeds()
        for (const qos of [1, 2] as const) {
          await send({ topic, qos, message: `away ${qos}`, more: ['--repeat', '10'] })
        }
        await using second = await listen('kept', { topic, qos: 2, count: 20, more })
        return await linesOf(second)
      })
      expect(seen).toHaveLength(20)
    })

    test('1 MiB at QoS 2', async () => {
      const message = Buffer.alloc(1 << 20, 'an ECG of an hour, ')
      const seen = await ways.agreeOn(async (way) => {
        const id = `${way.run}-large`
        const topic = `${way.run}/large`
        await using listener = subscribe({
          port: way.port,
          version,
          topic,
          qos: 2,
          count: 1,
          more: ['-i', id],
        })
        await ways.subscribed(id)
        await publish({ port: way.port, version, topic, qos: 2, message }).succeeds()
        return createHash('sha256')
          .update(await listener.succeeds())
          .digest('hex')
      })
      expect(seen).toBe(createHash('sha256').update(message).digest('hex'))
    })
  })

  test('every property mosquitto_pub and mosquitto_sub know', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const { listen } = clientsOf(ways, way, '5')
      const topic = `${way.run}/properties`
      const subscribing = [
        ...have('subscribe', 'subscription-identifier 7', 'user-property a b'),
        ...have('connect', 'receive-maximum 1', 'topic-alias-maximum 5', 'maximum-packet-size 4096'),
        ...have('connect', 'request-problem-information 0', 'request-response-information 1'),
        ...have('connect', 'user-property c d', 'session-expiry-interval 60'),
        ...have('disconnect', 'session-expiry-interval 5'),
      ]
      await using listener = await listen('sub', { topic, qos: 2, count: 5, more: subscribing })
      const publishing = [
        ...have('publish', 'topic-alias 3', 'content-type text/plain', 'payload-format-indicator 1'),
        ...have('publish', `response-topic ${way.run}/answers`, 'correlation-data 12ab'),
        ...have('publish', 'user-property e f', 'user-property e g', 'message-expiry-interval 3600'),
        ...have('disconnect', 'user-property h i'),
        ...'--repeat 5 -m Ωμέγα -q 2'.split(' '),
      ]
      const args = argumentsFor(way, '5', ['-t', topic, ...publishing])
      await using publisher = new Child(tool('mosquitto_pub'), args)
      await publisher.succeeds()
      return await linesOf(listener)
    })
    const line =
      'run/properties q2 r0 type=text/plain answer=run/answers id=12ab format=1 user=e:f e:g filter=7 alias= 10 Ωμέγα'
    expect(seen.map((one) => one.replaceAll(/\s+/g, ' '))).toEqual(Array.from({ length: 5 }, () => line))
  })

  test('shared subscriptions share', async () => {
    const seen = await ways.agreeOn(async (way) => {
      const { listen, send } = clientsOf(ways, way, '5')
      const topic = `$share/nurses/${way.run}/alarms`
      await using one = await listen('one', { topic, qos: 1, count: 10 })
      await using other = await listen('other', { topic, qos: 1, count: 10 })
      await send({ topic: `${way.run}/alarms`, qos: 1, message: 'alarm', more: ['--repeat', '20'] })
      return [await linesOf(one), await linesOf(other)]
    })
    expect(seen.map((lines) => lines.length)).toEqual([10, 10])
  })

  test.each([
    ['311', 4],
    ['5', 5],
  ] as const)('mosquitto_rr asks and is answered, MQTT %s', async (version, level) => {
    const seen = await ways.agreeOn(async (way) => {
      const [ask, answers] = [`${way.run}/ask`, `${way.run}/answers`]
      await using responder = await JsClient.join(way.port, level, { clientId: `${way.run}-responder` })
      responder.client.on('message', (_topic, payload, { properties }) => {
        const { responseTopic = answers, correlationData } = properties ?? {}
        const echoed = correlationData === undefined ? {} : { properties: { correlationData } }
        responder.client.publish(responseTopic, `answer to ${String(payload)}`, { qos: 1, ...echoed })
      })
      await responder.client.subscribeAsync(ask, { qos: 1 })
      const data = version === '5' ? have('publish', 'correlation-data 42') : []
      const asking = ['-t', ask, '-e', answers, '-m', 'how fast?', '-q', '1', '-v', ...data]
      await using asker = new Child(tool('mosquitto_rr'), argumentsFor(way, version, asking))
      return (await asker.succeeds()).toString()
    })
    expect(seen).toBe('run/answers answer to how fast?\n')
  })

  test('no rule was broken, but one by the broker', async () => {
    const { standard, strict } = await ways.broken()
    expect(standard.filter((one) => one !== overQuota)).toEqual([])
    expect(strict).toEqual(['up credentials-missing forward'])
  })
})

interface Clients {
  /** `mosquitto_sub` with a subscription the broker has acknowledged. */
  readonly listen: (id: string, options: Own & { readonly count: number }) => Promise<Child>
  /** `mosquitto_pub`, until it has ended well. */
  readonly send: (options: Own & { readonly message: string }) => Promise<void>
}

type Own = Omit<ClientOptions, 'port' | 'version'>

function clientsOf(ways: Ways, { port, run }: Way, version: Version): Clients {
  return {
    listen: async (id, { more = [], ...options }) => {
      const child = subscribe({
        port,
        version,
        ...options,
        more: [...more, ...format, '-i', `${run}-${id}`],
      })
      await ways.subscribed(`${run}-${id}`)
      return child
    },
    send: async (options) => void (await publish({ port, version, ...options }).succeeds()),
  }
}

function argumentsFor({ port }: Way, version: Version, args: readonly string[]): string[] {
  return ['-h', '127.0.0.1', '-p', String(port), '-V', `mqttv${version}`, ...args]
}

/** Properties of a packet, each as its name and values. */
function have(command: string, ...properties: readonly string[]): string[] {
  return properties.flatMap((property) => ['-D', command, ...property.split(' ')])
}

async function linesOf(listener: Child): Promise<string[]> {
  return (await listener.succeeds()).toString().trimEnd().split('\n')
}
