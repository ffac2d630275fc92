// What mosquitto does not do: a scripted broker that authenticates by challenge, twice, and that uses topic aliases.

import { describe, expect, test } from 'vitest'
import type { Visit } from '../help/broker.ts'
import { JsClient } from '../help/mqtt-js.ts'
import { block, bytes, connackPacket, field, packet, publishPacket, uint16 } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'
import { brokenRules } from '../help/ways.ts'

const method = 'SCRAM-TEST'
const [success, goOn, again] = [0x00, 0x18, 0x19]

describe.each(['standard', 'strict'])('preset %s', (preset) => {
  test('a client authenticates by challenge, and again while messages flow', async () => {
    const served = Promise.withResolvers<void>()
    await using stage = await setStage({
      more: { inspection: { preset } },
      broker: {
        serve: async (visit) => {
          // Canaries of the proxy shake hands and say nothing.
          await visit.holds(Buffer.from(method))
          await challenge(visit, 'first')
          await visit.send(connackPacket(5, 0, { properties: authProperties('welcome') }))
          await visit.holds(authPacket(again, 'once more'))
          await challenge(visit, 'second')
          await visit.send(authPacket(success, 'still welcome'))
          await visit.holds(field('ward/last'))
          served.resolve()
        },
      },
    })
    const { proxy } = stage
    await using one = new JsClient(proxy.port, 5, {
      clientId: 'scram',
      username: 'nurse',
      password: 'secret',
      properties: {
        authenticationMethod: method,
        authenticationData: Buffer.from('hello'),
        sessionExpiryInterval: 0,
      },
    })
    const challenges: string[] = []
    const settled = Promise.withResolvers<void>()
    one.client.handleAuth = ({ reasonCode, properties }, callback) => {
      const data = String(properties?.authenticationData)
      challenges.push(data)
      if (reasonCode === success) settled.resolve()
      callback(undefined, {
        cmd: 'auth',
        reasonCode: goOn,
        properties: { authenticationMethod: method, authenticationData: Buffer.from(`answer to ${data}`) },
      })
    }
    await one.connected()
    one.client.publish('ward/first', 'x')
    // The library has no call for it.
    one.client.stream.write(authPacket(again, 'once more'))
    one.client.publish('ward/meanwhile', 'x')
    await settled.promise
    one.client.publish('ward/last', 'x')
    await served.promise
    expect(challenges).toEqual(['first', 'second', 'still welcome'])
    const { received } = await stage.broker.visitOf('scram')
    for (const topic of ['ward/first', 'ward/meanwhile', 'ward/last']) {
      expect(received.includes(publishPacket({ version: 5, topic, payload: 'x' }))).toBe(true)
    }
    expect(await brokenRules(proxy)).toEqual([])
  })

  test('a client that fails its challenge hears so from the broker', async () => {
    await using stage = await setStage({
      more: { inspection: { preset } },
      broker: {
        serve: async (visit) => {
          await visit.holds(Buffer.from(method))
          await challenge(visit, 'first')
          await visit.send(connackPacket(5, 0x87))
          visit.end()
        },
      },
    })
    await using one = new JsClient(stage.proxy.port, 5, {
      clientId: 'scram',
      username: 'nurse',
      password: 'secret',
      properties: { authenticationMethod: method },
    })
    one.client.handleAuth = (_packet, callback) =>
      callback(undefined, {
        cmd: 'auth',
        reasonCode: goOn,
        properties: { authenticationMethod: method, authenticationData: Buffer.from('answer to first') },
      })
    const { promise, resolve } = Promise.withResolvers<unknown>()
    one.client.on('error', (error) => resolve('code' in error ? error.code : error.message))
    expect(await promise).toBe(0x87)
    expect(await brokenRules(stage.proxy)).toEqual([])
  })

  test('topic aliases of the broker, set, used and set anew', async () => {
    const deliver = (topic: string, alias: number, payload: string): Buffer =>
      publishPacket({ version: 5, topic, payload, properties: bytes(0x23, uint16(alias)) })
    await using stage = await setStage({
      more: { inspection: { preset } },
      broker: {
        serve: async (visit) => {
          await visit.holds(Buffer.from('aliased'))
          await visit.send(connackPacket(5))
          const subscribe = await visit.holds(field('ward/#'))
          const id = subscribe.subarray(subscribe.indexOf(field('ward/#')) - 3).readUInt16BE(0)
          await visit.send(
            packet(0x90, uint16(id), block(), 0),
            deliver('ward/1', 1, 'a'),
            deliver('', 1, 'b'),
            deliver('ward/2', 2, 'c'),
            deliver('', 1, 'd'),
            deliver('ward/3', 1, 'e'),
            deliver('', 1, 'f'),
            deliver('', 2, 'g'),
          )
        },
      },
    })
    await using one = await JsClient.join(stage.proxy.port, 5, {
      clientId: 'aliased',
      username: 'nurse',
      password: 'secret',
      properties: { topicAliasMaximum: 2 },
    })
    await one.client.subscribeAsync('ward/#', { qos: 0 })
    const heard = (await one.received(7)).map(({ payload, topic }) => `${payload} ${topic}`)
    expect(heard.join(', ')).toBe('a ward/1, b ward/1, c ward/2, d ward/1, e ward/3, f ward/3, g ward/2')
    expect(await brokenRules(stage.proxy)).toEqual([])
  })
})

/** AUTH with a challenge, and the wait for its answer. */
async function challenge(visit: Visit, data: string): Promise<void> {
  await visit.send(authPacket(goOn, data))
  await visit.holds(authPacket(goOn, `answer to ${data}`))
}

function authPacket(code: number, data: string): Buffer {
  return packet(0xf0, code, block(authProperties(data)))
}

function authProperties(data: string): Buffer {
  return bytes(0x15, field(method), 0x16, field(data))
}
