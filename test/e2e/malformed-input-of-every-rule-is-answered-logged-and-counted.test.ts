// Every vector that breaks a rule, on the wire: the device is told, the log and metrics say it, the other side sees nothing.

import { describe, expect, test } from 'vitest'
import { refusal, Reason } from '../../src/mqtt/reply.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { Device } from '../help/device.ts'
import { connectPacket, publishPacket } from '../help/packets.ts'
import type { Visit } from '../help/broker.ts'
import type { Peer } from '../help/peer.ts'
import { readyMade, setStage, type Stage } from '../help/stage.ts'
import { loadVectors, vectorLimits, type Vector } from '../help/vectors.ts'

/** Lines of one kind that are written at once; more within a second are only counted. */
const burst = 20

const limits = {
  maxConnectPacket: `${vectorLimits.connect}B`,
  maxControlPacket: `${vectorLimits.control}B`,
  maxPacket: `${vectorLimits.publish}B`,
}

/** Those that are refused; limits below what proxy.yaml takes are left to the tests of the core. */
const refused = new Map(
  Array.from(loadVectors(new URL('../vectors/', import.meta.url)), ([rule, vectors]) => [
    rule,
    vectors.filter((vector) => vector.refuse !== undefined && hasOrdinaryLimits(vector)),
  ]),
)

/** Vectors by turns, so that no proxy sees more of one rule than it writes lines about. */
const turns = Array.from(
  { length: Math.ceil(Math.max(...Array.from(refused.values(), ({ length }) => length)) / burst) },
  (_, turn) => [...refused.values()].flatMap((vectors) => vectors.slice(turn * burst, (turn + 1) * burst)),
)

test('every rule is there', () => {
  const shown = [...refused].filter(([, vectors]) => vectors.length > 0).map(([rule]) => rule)
  expect(shown.toSorted()).toEqual(allRules.map(({ id }) => id).toSorted())
})

describe.concurrent('on the wire', () => {
  test.each(turns.map((vectors, turn) => [turn + 1, vectors] as const))(
    'turn %d',
    async (_, vectors) => {
      await using stage = await setStage({ limits, listener: readyMade, broker: { serve: () => {} } })
      for (const [index, vector] of vectors.entries()) await checkVector(stage, vector, addressOf(index))
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
    60_000,
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

/** Each vector comes from an address of its own, by which its log line is found. */
function addressOf(index: number): string {
  return `127.1.${Math.floor(index / 250)}.${1 + (index % 250)}`
}

async function checkVector(
  { proxy, broker, ca }: Stage,
  vector: Vector,
  localAddress: string,
): Promise<void> {
  const { name, direction, bytes } = vector
  const visits = broker.visits.length
  // In plaintext, what does not begin like CONNECT is refused before it is held to be MQTT at all.
  const sealed = vector.before.length === 0 && bytes[0] !== 0x10
  await using device = sealed
    ? await Device.connectTls(proxy.port, { ca, localAddress })
    : await Device.connect(proxy.port, { localAddress })
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

function hasOrdinaryLimits({ limits: own }: Vector): boolean {
  const { connect, control, publish } = vectorLimits
  return own.connect === connect && own.control === control && own.publish === publish
}
