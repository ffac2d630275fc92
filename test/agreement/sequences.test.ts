// The reader of Mosquitto's packet sequences.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Folder } from '../help/folder.ts'
import { brokerSequences, clientSequences } from './samples.ts'
import { loadSequences, parsePayload, parseSequences } from './sequences.ts'

test.each([
  ['C0 00', 'c000'],
  ['C000 i7', 'c00007'],
  ['H258 k10 m1 s2', '0102000a00010002'],
  ['L16909060', '01020304'],
  ['r127 v128 r16383', '7f8001ff7f'],
  ['r268435456', '8080808001'],
  ["'a b'   'ä'", '612062c3a4'],
  ["s2 ''", '0002'],
  ['', ''],
])('"%s" is %s', (text, hex) => {
  expect(parsePayload(text).toString('hex')).toBe(hex)
})

test.each(['C', 'x1', "'open", 'i', 'L-1', 'H70000', 'i256'])('"%s" is not bytes', (text) => {
  expect(() => parsePayload(text)).toThrow(RangeError)
})

test('a test inherits from its group what it does not say itself', () => {
  expect(clientSequences.map(({ name, version, mustDisconnect }) => [name, version, mustDisconnect])).toEqual(
    [
      ['broker/SAMPLE, v5.0 SAMPLE, ping', 5, false],
      ['broker/SAMPLE, v5.0 SAMPLE, ping with a flag', 5, true],
      ['broker/SAMPLE, v5.0 SAMPLE, goodbye', 5, true],
      ['broker/SAMPLE, v5.0 SAMPLE, a message of another client', 4, false],
    ],
  )
  expect(clientSequences[0]).toMatchObject({ side: 'broker', connect: true, connack: true })
  expect(brokerSequences.map(({ connack }) => connack)).toEqual([true, true, false])
})

test('the messages of a group come before those of its tests', () => {
  expect(brokerSequences[0]?.messages.map(({ kind, bytes }) => `${kind} ${bytes.toString('hex')}`)).toEqual([
    'recv 320a00047761726400016869',
    'send 40020001',
  ])
})

test('what another client publishes is text with a topic and a QoS', () => {
  expect(clientSequences[3]?.messages[2]).toEqual({
    kind: 'external',
    bytes: Buffer.from('bell'),
    topic: 'ward',
    qos: 1,
  })
})

test('what a client library is told to do says nothing by itself', () => {
  const text = oneTest({ msgs: [{ type: 'subscribe', topic: 'ward' }] })
  const [sequence] = parseSequences('lib', 'SAMPLE.json', text)
  expect(sequence?.messages).toMatchObject([{ kind: 'hint', topic: 'ward' }])
})

test('a group that is disabled is left out', () => {
  const group = { group: 'SAMPLE', disable: true, tests: [{ name: 'ping', msgs: [] }] }
  expect(parseSequences('broker', 'SAMPLE.json', JSON.stringify([group]))).toEqual([])
})

test.each([
  ['[', 'lib/SAMPLE.json: '],
  [oneTest({ ver: 6 }), 'lib/SAMPLE, g, t: not a version: "6"'],
  [oneTest({ msgs: [{ type: 'send', payload: 'q1' }] }), 'lib/SAMPLE, g, t: not bytes: "q1"'],
])('%s is refused with its place', (text, message) => {
  expect(() => parseSequences('lib', 'SAMPLE.json', text)).toThrow(message)
})

test('a folder is read as it is, or as that of a clone', async () => {
  await using folder = await Folder.make({})
  const write = async (place: string, name: string): Promise<void> => {
    await mkdir(join(folder.path, place), { recursive: true })
    await writeFile(join(folder.path, place, `${name}.json`), oneTest({ msgs: [] }))
  }
  await write('broker/data', 'B')
  await write('broker', 'NOT-A-SEQUENCE')
  await write('lib', 'Z')
  await write('lib', 'A')
  expect(loadSequences(folder.path).map(({ name }) => name)).toEqual([
    'broker/B, g, t',
    'lib/A, g, t',
    'lib/Z, g, t',
  ])
})

function oneTest(more: object): string {
  return JSON.stringify([{ group: 'g', tests: [{ name: 't', ...more }] }])
}
