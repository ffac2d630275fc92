// The connection of a client is cut in the middle of QoS 1 and 2 exchanges: what it resends and is resent passes.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { parser as createParser, type Packet } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mosquittoTools } from '../help/mosquitto.ts'
import { JsClient } from '../help/mqtt-js.ts'
import type { Level } from '../help/packets.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'
import { Ways, type Way } from '../help/ways.ts'

const count = 30

/** Where a wire breaks: the packet of this type, when it comes for the `nth` time, is lost with its connection. */
interface Break {
  readonly from: 'client' | 'broker'
  readonly type: Packet['cmd']
  readonly nth: number
}

/** Every packet of both exchanges, each way of publishing; the client publishes `up` or subscribes `down`. */
const breaks: readonly (readonly [name: string, publishes: 'up' | 'down', qos: 1 | 2, at: Break])[] = [
  ['PUBLISH', 'up', 1, { from: 'client', type: 'publish', nth: 7 }],
  ['PUBACK', 'up', 1, { from: 'broker', type: 'puback', nth: 7 }],
  ['PUBLISH', 'up', 2, { from: 'client', type: 'publish', nth: 7 }],
  ['PUBREC', 'up', 2, { from: 'broker', type: 'pubrec', nth: 7 }],
  ['PUBREL', 'up', 2, { from: 'client', type: 'pubrel', nth: 7 }],
  ['PUBCOMP', 'up', 2, { from: 'broker', type: 'pubcomp', nth: 7 }],
  ['PUBLISH', 'down', 1, { from: 'broker', type: 'publish', nth: 7 }],
  ['PUBACK', 'down', 1, { from: 'client', type: 'puback', nth: 7 }],
  ['PUBLISH', 'down', 2, { from: 'broker', type: 'publish', nth: 7 }],
  ['PUBREC', 'down', 2, { from: 'client', type: 'pubrec', nth: 7 }],
  ['PUBREL', 'down', 2, { from: 'broker', type: 'pubrel', nth: 7 }],
  ['PUBCOMP', 'down', 2, { from: 'client', type: 'pubcomp', nth: 7 }],
]

describeWith(mosquittoTools, 'a cut wire', () => {
  let ways: Ways

  beforeAll(async () => void (ways = await Ways.open()))
  afterAll(async () => {
    await ways[Symbol.asyncDispose]()
  })

  describe.each([3, 4, 5] as const)('level %d', (level) => {
    test.each(breaks)('loses %s, publishing %s at QoS %d', async (_name, publishes, qos, at) => {
      const seen = await ways.agreeOn((way) => exchange(way, { level, publishes, qos, at, clean: false }))
      expect({ ...seen, payloads: seen.payloads.toSorted() }).toEqual({
        payloads: numbers.toSorted(),
        connections: 2,
        cameAgain: true,
      })
    })
  })

  test('no rule was broken, of those a sound client and broker can keep', async () => {
    expect(await ways.broken()).toEqual({ standard: [], strict: ['up credentials-missing forward'] })
  })

  describe.each([3, 4, 5] as const)('a clean session at level %d', (level) => {
    const ofClient = breaks.filter(([, publishes, qos]) => publishes === 'up' && qos === 1)
    test.each(ofClient)('loses %s, publishing %s at QoS %d', async (_name, publishes, qos, at) => {
      const seen = await ways.agreeOn((way) => exchange(way, { level, publishes, qos, at, clean: true }))
      expect(seen.payloads.toSorted()).toEqual(numbers.toSorted())
    })

    test('loses PUBCOMP: MQTT.js sends PUBREL to a session that knows of nothing', async () => {
      const at = { from: 'broker', type: 'pubcomp', nth: 7 } as const
      const connections = await ways.agreeOn(
        async (way) => {
          await using wire = await Wire.to(way.port, level, at)
          await using broken = await returningClient(wire.port, way, level, true)
          const sent = numbers.map((n) => broken.client.publishAsync(`${way.run}/x`, n, { qos: 2 }))
          await Promise.all(sent)
          return wire.connections
        },
        ['standard'],
      )
      expect(connections).toBe(2)
    })
  })

  test('that PUBREL is reported, and strict inspection would end the session', async () => {
    const { standard, strict } = await ways.broken()
    expect(standard).toEqual(['up ack-unknown forward'])
    expect(strict).toEqual(['up credentials-missing forward'])
  })
})

const numbers = Array.from({ length: count }, (_, n) => `${n}`)

interface Exchange {
  readonly level: Level
  readonly publishes: 'up' | 'down'
  readonly qos: 1 | 2
  readonly at: Break
  readonly clean: boolean
}

interface Outcome {
  readonly payloads: readonly string[]
  readonly connections: number
  readonly cameAgain: boolean
}

/** Messages between two clients, one of them on a wire that breaks. */
async function exchange(way: Way, { level, publishes, qos, at, clean }: Exchange): Promise<Outcome> {
  await using wire = await Wire.to(way.port, level, at)
  await using broken = await returningClient(wire.port, way, level, clean)
  await using sound = await JsClient.join(way.port, level, { clientId: `${way.run}-sound` })
  const [subscriber, publisher] = publishes === 'down' ? [broken, sound] : [sound, broken]
  await subscriber.client.subscribeAsync(`${way.run}/x`, { qos })
  await Promise.all(numbers.map((n) => publisher.client.publishAsync(`${way.run}/x`, n, { qos })))
  const isComplete = (): boolean => new Set(subscriber.messages.map(({ payload }) => payload)).size === count
  while (!isComplete()) await subscriber.received(subscriber.messages.length + 1)
  await eventually('the second connection', () => wire.connections === 2 && broken.client.connected)
  await broken.flushed()
  const payloads = subscriber.messages.map(({ payload }) => payload)
  const { connections, cameAgain } = wire
  // At QoS 1 what was in flight comes again, as much of it as the cut happened to find.
  return { payloads: qos === 1 ? [...new Set(payloads)] : payloads, connections, cameAgain }
}

/** A client that comes back by itself, to its session unless that is clean. */
async function returningClient(port: number, { run }: Way, level: Level, clean: boolean): Promise<JsClient> {
  return await JsClient.join(port, level, {
    clientId: `${run}-broken`,
    clean,
    reconnectPeriod: 5,
    resubscribe: false,
    ...(level === 5 && !clean && { properties: { sessionExpiryInterval: 600 } }),
  })
}

/** A wire to a port that breaks once, and watches what is said again after that. */
class Wire implements AsyncDisposable {
  connections = 0
  /** Whether a PUBLISH of the first connection came again on the second, or a PUBREL that goes with one. */
  cameAgain = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Messages of the connection before. */
  readonly #published = new Set<string>()
  #seen = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async to(port: number, level: Level, at: Break): Promise<Wire> {
    const server = createServer({ noDelay: true })
    const wire = new Wire(server)
    server.on('connection', (client) => wire.#join(client, port, level, at))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return wire
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  #join(client: Socket, port: number, level: Level, at: Break): void {
    this.connections += 1
    const broker = connect({ host: '127.0.0.1', port, noDelay: true })
    const ends = { client, broker } as const
    for (const [name, from, to] of [
      ['client', client, broker],
      ['broker', broker, client],
    ] as const) {
      this.#sockets.add(from)
      const parser = createParser({ protocolVersion: level })
      const published = new Set<number>()
      let isBroken = false
      parser.on('packet', (packet) => {
        if (packet.cmd === 'publish' || packet.cmd === 'pubrel') {
          const id = packet.messageId ?? 0
          const message = packet.cmd === 'publish' ? `${name} ${id} ${String(packet.payload)}` : ''
          const isKnown = packet.cmd === 'pubrel' ? !published.has(id) : this.#published.has(message)
          if (this.connections > 1 && isKnown) this.cameAgain = true
          published.add(id)
          this.#published.add(message)
        }
        if (name === at.from && packet.cmd === at.type && ++this.#seen === at.nth) isBroken = true
      })
      from.on('data', (chunk: Buffer) => {
        parser.parse(chunk)
        if (!isBroken) to.write(chunk)
        else for (const end of Object.values(ends)) end.destroy()
      })
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
