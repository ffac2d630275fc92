// Sequences of our own in the format of Mosquitto's, for the tests of what reads and runs them.

import { judgeSequence, rulebookOf, type CoreOutcome } from './core.ts'
import { parseSequences, type Sequence } from './sequences.ts'

/** What a client sends: a ping, a reserved flag, a goodbye, a subscription that others publish to. */
export const clientSequences: Sequence[] = parseSequences(
  'broker',
  'SAMPLE.json',
  JSON.stringify([
    {
      group: 'v5.0   SAMPLE',
      ver: 5,
      tests: [
        { name: 'ping', expect_disconnect: false, msgs: [send('C0 r0'), receive('D0 r0')] },
        { name: 'ping with a flag', msgs: [send('C1 r0'), receive('E0 r1 81')] },
        { name: 'goodbye', msgs: [send('E0 r0')] },
        {
          name: 'a message of another client',
          ver: 4,
          expect_disconnect: false,
          msgs: [
            send("82 r9 m7 s4 'ward' 01"),
            receive('90 r3 m7 01'),
            { type: 'external_publish', topic: 'ward', qos: 1, payload: 'bell' },
            receive("32 r12 s4 'ward' m1 'bell'"),
            send('40 r2 m1'),
          ],
        },
      ],
    },
  ]),
)

/** What a broker sends: an answer to a publishing client, one to nobody, and a refusal. */
export const brokerSequences: Sequence[] = parseSequences(
  'lib',
  'SAMPLE.json',
  JSON.stringify([
    {
      group: 'v3.1.1 SAMPLE',
      ver: 4,
      command: 'publish-1',
      group_msgs: [receive("32 r10 s4 'ward' m1 'hi'")],
      tests: [
        { name: 'acknowledged', expect_disconnect: false, msgs: [send('40 r2 m1')] },
        { name: 'a CONNECT', msgs: [send("10 r13 s4 'MQTT' 04 02 k10 s1 'b'")] },
      ],
    },
    {
      group: 'v5.0 SAMPLE',
      ver: 5,
      connack: false,
      tests: [{ name: 'refused', msgs: [send('20 r3 00 87 v0')] }],
    },
  ]),
)

export function judged(sequences: readonly Sequence[]): CoreOutcome[] {
  const book = rulebookOf('standard')
  return sequences.map((sequence) => judgeSequence(sequence, book))
}

function send(payload: string): object {
  return { type: 'send', payload }
}

function receive(payload: string): object {
  return { type: 'recv', payload }
}
