// The sequences of brokers, from a scripted TLS broker through Pulseward to a raw device that puts up with anything.

import type { Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import type { Peer } from '../help/peer.ts'
import { soon } from '../help/wait.ts'
import type { CoreOutcome, Verdict } from './core.ts'
import type { Lane } from './lanes.ts'
import { answerTime, closeTime, hear, hearsEnd } from './listen.ts'
import type { LiveOutcome } from './live.ts'
import { messagesOf, openingOf } from './opening.ts'
import type { Sequence } from './sequences.ts'

export async function throughToDevice(
  lane: Lane,
  { sequence, verdict: expected, passed }: CoreOutcome,
): Promise<LiveOutcome> {
  const { promise: arrival, resolve } = Promise.withResolvers<Visit>()
  lane.serve = resolve
  let closed: boolean
  let received: Buffer
  {
    await using device = await Device.connect(lane.port)
    closed = await play(device, arrival, sequence)
    ;({ received } = device)
    arrival.then((visit) => visit.socket.end()).catch(() => {})
  }
  const refused = await lane.settle()
  // A broker that says nothing more, here by the end of the script, is no refusal of what it said.
  const isRule = refused !== undefined && !refused.startsWith('broker-')
  const verdict: Verdict = isRule ? 'rule' : closed ? 'last word' : 'passed'
  return {
    sequence,
    verdict,
    by: isRule ? refused : undefined,
    leaked: expected === 'rule' && !isWithin(passed, received),
  }
}

/**
 * Says everything in order, each piece once those before it have come through; returns whether it was closed. What came
 * through has been judged, so that nothing is left for which a session that has to live could still be closed.
 */
async function play(device: Device, arrival: Promise<Visit>, sequence: Sequence): Promise<boolean> {
  const [connect, ...rest] = [...openingOf(sequence), ...messagesOf(sequence)]
  await device.send(connect!.bytes)
  const visit = await soon('a session', arrival)
  const sent = { up: connect!.bytes.length, down: 0 }
  const ends = { up: visit as Peer, down: device as Peer }
  await hear(visit, ({ length }) => length >= sent.up, answerTime)
  for (const { direction, bytes } of rest) {
    await (direction === 'up' ? device : visit).send(bytes)
    sent[direction] += bytes.length
    await hear(ends[direction], ({ length }) => length >= sent[direction], answerTime)
    if (device.ended) return true
  }
  return sequence.mustDisconnect ? await hearsEnd(device, closeTime) : device.ended
}

/** Whether a device got no more than what may pass, and what Pulseward says itself when it refuses. */
function isWithin(passed: Buffer, received: Buffer): boolean {
  const sizes = [0, 4, 5].filter((size) => size <= received.length)
  return sizes.some((size) => {
    const at = received.length - size
    return (
      passed.subarray(0, at).equals(received.subarray(0, at)) &&
      (size === 0 || isRefusal(received.subarray(at)))
    )
  })
}

/** CONNACK that refuses, or the DISCONNECT of MQTT 5.0. */
function isRefusal(bytes: Buffer): boolean {
  return /^(e002[89a]\w00|200300[89a]\w00|200200\w\w)$/.test(bytes.toString('hex'))
}
