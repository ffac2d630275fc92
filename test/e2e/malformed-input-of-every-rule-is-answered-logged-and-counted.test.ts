// Every vector that breaks a rule, on the wire: the device is told, the log and metrics say it, the other side sees nothing.

import { describe, expect, test } from 'vitest'
import { classSchema, inspectionSchema } from '../../src/config/inspection-schema.ts'
import { refusal, Reason } from '../../src/mqtt/reply.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { Device } from '../help/device.ts'
import { connectPacket, publishPacket } from '../help/packets.ts'
import type { TestBroker, Visit } from '../help/broker.ts'
import type { Peer } from '../help/peer.ts'
import { smallLimits } from '../help/rulebook.ts'
import { readyMade, setStage, type Stage } from '../help/stage.ts'
import { loadVectors, vectorLimits, type Vector } from '../help/vectors.ts'

/** Lines of one kind that are written at once; more within a second are only counted. */
const burst = 20

const limits = {
  maxConnectPacket: `${vectorLimits.connect}B`,
  maxControlPacket: `${vectorLimits.control}B`,
  maxPacket: `${vectorLimits.publish}B`,
}

/** Its window is a second by the clock on the wall, which a busy machine may take for one vector. */
const leftToTheCore = 'publish-rate'

/** Rules that a session may break without being refused. */
const lenient = allRules.filter(({ mode }) => mode.standard !== 'enforce').map(({ id }) => id)

/** Those that are refused; limits beyond what proxy.yaml takes are left to the tests of the core. */
const refused = new Map(
  Array.from(loadVectors(new URL('../vectors/', import.meta.url)), ([rule, vectors]) => [
    rule,
    vectors.filter((vector) => vector.refuse !== undefined && rule !== leftToTheCore && canBeSet(vector)),
  ]),
)

/** Vectors by turns, so that no proxy sees more of one rule than it writes lines about; one class of devices a turn. */
const turns = [
  ...Map.groupBy([...refused.values()].flat(), (vector) => JSON.stringify(classOf(vector))),
].flatMap(([, vectors]) => {
  const byRule = [...Map.groupBy(vectors, ({ rule }) => rule).values()]
  const count = Math.ceil(Math.max(...byRule.map(({ length }) => length)) / burst)
  return Array.from({ length: count }, (_, turn) =>
    byRule.flatMap((one) => one.slice(turn * burst, (turn + 1) * burst)),
  )
})

test('every rule is there', () => {
  const shown = [...refused].filter(([, vectors]) => vectors.length > 0).map(([rule]) => rule)
  const wanted = allRules.map(({ id }) => id).filter((id) => id !== leftToTheCore)
  expect(shown.toSorted()).toEqual(wanted.toSorted())
})

describe.concurrent('on the wire', () => {
  test.each(turns.map((vectors, turn) => [turn + 1, vectors] as const))(
    'turn %d',
    async (_, vectors) => {
      // The broker stays when the proxy has ended its leg: what it says then is to be judged too.
      const ways = [...new Set([wayOf(undefined), ...vectors.map(wayOf)])]
      await using stage = await setStage({
        more: { listeners: ways.map(listenerOf), classes: classOf(vectors[0]) },
        broker: { serve: () => {}, halfOpen: true },
      })
      for (const [index, vector] of vectors.entries()) {
        const port = stage.proxy.portOf(nameOf(ways.indexOf(wayOf(vector))))
        await checkVector(stage, vector, port, addressOf(index)).catch((error: unknown) => {
          throw new Error(vector.name, { cause: error })
        })
      }
      for (const [index, vector] of vectors.entries()) await checkLine(stage, vector, addressOf(index))
      const metrics = await stage.proxy.metrics()
      for (const direction of ['up', 'down'] as const) {
        for (const { id } of allRules) {
          const count = vectors.filter((one) => one.direction === direction && one.refuse?.rule === id).length
          const labels = { rule: id, direction, action: 'refuse' }
          expect([id, direction, metrics.value('pulseward_rule_hits_total', labels)]).toEqual([
            id,
            direction,
            count,
          ])
        }
      }
    },
    180_000,
  )
})

test('a bad frame behind a good CONNECT, in one segment: the broker never hears of the device', async () => {
  await using stage = await setStage()
  const { proxy, broker } = stage
  const knocks = broker.knocks
  for (const version of [3, 4, 5] as const) {
    await using device = await Device.connect(proxy.port)
    const wild = publishPacket({ version, topic: 'ward/#' })
    await device.send(Buffer.concat([connectPacket({ version }), wild]))
    const answer = await device.everything()
    expect(answer.toString('hex')).toBe(version === 5 ? '2003009000' : '')
  }
  expect(broker.knocks).toBe(knocks)
})

/**
 * How a vector is judged, as the `inspection` of a listener in JSON: the preset `standard`, but that its own rule is
 * enforced, and others that are only reported are not, so that they write no lines. Without a vector: the first listener.
 */
function wayOf(vector: Vector | undefined): string {
  const rules = Object.fromEntries(lenient.map((id) => [id, id === vector?.rule ? 'enforce' : 'off']))
  const { propertyBytes, topicAliasBytes, keepAlive, clientIdCharacters, ...rest } = {
    ...smallLimits,
    ...vector?.policy,
  }
  const characters = [...clientIdCharacters.keys()].filter((code) => clientIdCharacters[code] === 1)
  return JSON.stringify({
    rules,
    limits: {
      ...rest,
      propertyBytes: `${propertyBytes}B`,
      topicAliasBytes: `${topicAliasBytes}B`,
      keepAlive: `${keepAlive}s`,
      clientIdCharacters: String.fromCharCode(...characters),
    },
  })
}

function nameOf(way: number): string {
  return way === 0 ? 'ward' : `ward-${way}`
}

function listenerOf(way: string, index: number): object {
  return {
    name: nameOf(index),
    bind: '127.0.0.1:0',
    upstream: 'hospital',
    limits: { perAddress: 1000, halfClose: '20s', ...limits },
    ...readyMade,
    inspection: JSON.parse(way) as unknown,
  }
}

/** The class a vector is about, as `classes` has it. */
function classOf(vector: Vector | undefined): object[] {
  return (vector?.classes ?? []).map(({ name, clientIds, maxTopic, maxPayload, maxReceived }) => ({
    name,
    clientIds,
    ...(maxTopic < Infinity && { maxTopic: `${maxTopic}B` }),
    ...(maxPayload < Infinity && { maxPayload: `${maxPayload}B` }),
    ...(maxReceived < Infinity && { maxReceived: `${maxReceived}B` }),
  }))
}

/** Whether proxy.yaml can say what a vector asks for, on a listener with the frame limits of all the others. */
function canBeSet(vector: Vector): boolean {
  const { connect, control, publish } = vectorLimits
  const { limits: own } = vector
  if (own.connect !== connect || own.control !== control || own.publish !== publish) return false
  const classes = classOf(vector).every((one) => classSchema.safeParse(one).success)
  return classes && inspectionSchema.safeParse(JSON.parse(wayOf(vector))).success
}

/** Each vector comes from an address of its own, by which its log line is found. */
function addressOf(index: number): string {
  return `127.1.${Math.floor(index / 250)}.${1 + (index % 250)}`
}

async function checkVector(
  { proxy, broker, ca }: Stage,
  vector: Vector,
  port: number,
  localAddress: string,
): Promise<void> {
  const { name, direction, bytes } = vector
  // Counted over all listeners, of which the first lets them pass; one more than its limit does.
  for (let i = 0; i < Math.min(vector.earlier, smallLimits.clientIdChurn); i++)
    await comeAndGo(proxy.port, bytes, broker)
  const visits = broker.visits.length
  // In plaintext, what does not begin like CONNECT is refused before it is held to be MQTT at all.
  const sealed = vector.before.length === 0 && bytes[0] !== 0x10
  await using device = sealed
    ? await Device.connectTls(port, { ca, localAddress })
    : await Device.connect(port, { localAddress })
  const expected = { up: Buffer.alloc(0), down: Buffer.alloc(0) }
  let visit: Visit | undefined
  for (const step of vector.before) {
    expected[step.direction] = Buffer.concat([expected[step.direction], step.bytes])
    if (step.direction === 'up') await device.send(step.bytes)
    visit ??= await broker.visit(visits)
    if (step.direction === 'down') await visit.send(step.bytes)
    const receiver: Peer = step.direction === 'up' ? visit : device
    await receiver.bytes(expected[step.direction].length)
  }
  const sender: Peer | undefined = direction === 'up' ? device : visit
  if (sender === undefined) throw new Error(`${name}: nobody to send it`)
  await sender.send(bytes)

  const heard = await device.everything()
  const answer = heard.subarray(expected.down.length).toString('hex')
  expect([name, heard.subarray(0, expected.down.length)]).toEqual([name, expected.down])
  expect(answersTo(vector), name).toContain(answer)
  if (visit === undefined) expect([name, broker.visits.length]).toEqual([name, visits])
  else expect([name, await visit.everything()]).toEqual([name, expected.up])
  visit?.end()
}

/** A device whose CONNECT reaches the broker, and that leaves then. */
async function comeAndGo(port: number, connect: Buffer, broker: TestBroker): Promise<void> {
  const visits = broker.visits.length
  await using device = await Device.connect(port)
  await device.send(connect)
  await broker.visit(visits)
}

async function checkLine(
  { proxy }: Stage,
  { name, direction, refuse }: Vector,
  address: string,
): Promise<void> {
  const { reason, direction: from, blame, detail } = await proxy.line('session refused', { address })
  const blamed = direction === 'up' ? 'device' : 'broker'
  expect([name, reason, from, blame]).toEqual([name, refuse?.rule, direction, blamed])
  expect(detail, name).toMatch(new RegExp(`, byte ${refuse?.at} of the packet\\)$`))
}

/** What the device may be told, as hex. */
function answersTo({ version, direction, refuse, before }: Vector): string[] {
  const rule = allRules.find(({ id }) => id === refuse?.rule)
  const reason = direction === 'down' ? Reason.unspecified : (rule?.reason ?? -1)
  const fromBroker = before.filter((step) => step.direction === 'down').map((step) => step.bytes)
  const answered = fromBroker.some((packet) => packet[0] === 0x20)
  // Behind the broker's DISCONNECT, or a CONNACK that refuses, nothing may come (MQTT 5.0, 3.14.4 and 3.2.2.2).
  if (fromBroker.some((packet) => packet[0] === 0xe0 || (packet[0] === 0x20 && packet[3] !== 0))) return ['']
  const told = refusal(version, answered, reason)?.toString('hex') ?? ''
  if (before.length > 0) return [told]
  // No CONNECT has passed: where its version cannot be told either, nothing is said, or that it is not supported.
  return [told, '', refusal(4, false, Reason.unsupportedVersion)?.toString('hex') ?? '']
}
