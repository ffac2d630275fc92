import { expect, test } from 'vitest'
import { parseVectors, vectorLimits } from './vectors.ts'

const headers = `version: 5
direction: down
expect: refuse topic-empty @2
clause: MQTT-4.7.3-1
comment: nowhere
`

test('reads hex, quoted text and repetitions, over several lines', () => {
  const [vector] = parseVectors(`# a file\n\n${headers}\n30 0aFF 'a b' 61*3\n  'é' 00*0\n`, 'topic-empty')
  expect(vector).toMatchObject({
    name: 'topic-empty:3 v5 down',
    version: 5,
    direction: 'down',
    refuse: { rule: 'topic-empty', at: 2 },
    clause: 'MQTT-4.7.3-1',
    comment: 'nowhere',
    limits: vectorLimits,
  })
  expect(vector?.bytes.toString('latin1')).toBe(`\x30\x0a\xffa baaa${Buffer.from('é').toString('latin1')}`)
})

test('begins with CONNECT and CONNACK of the version, and puts what came before behind them', () => {
  const [vector] = parseVectors(`${headers}before-up: C0 00\nbefore-down: D0 00\n\n30 00`, 'x')
  expect(vector?.before.map(({ direction, bytes }) => `${direction} ${bytes.toString('hex')}`)).toEqual([
    'up 101300044d5154540502003c00000670756d702d37',
    'down 2003000000',
    'up c000',
    'down d000',
  ])
  const shorter = (handshake: string): number =>
    parseVectors(`${headers}handshake: ${handshake}\n\n30 00`, 'x')[0]?.before.length ?? -1
  expect(shorter('none')).toBe(0)
  expect(shorter('connect')).toBe(1)
  expect(shorter('full')).toBe(2)
})

test('stands for every version and direction it names', () => {
  const text = `${headers}\n30 00`.replace('version: 5', 'version: 3 4').replace('down', 'up down')
  const vectors = parseVectors(`${text}\n---\n\n---\n${headers}\n30 00\n`, 'x')
  expect(vectors.map(({ name }) => name)).toEqual([
    'x:1 v3 up',
    'x:1 v3 down',
    'x:1 v4 up',
    'x:1 v4 down',
    'x:11 v5 down',
  ])
  expect(vectors[0]?.before[0]?.bytes.toString('latin1')).toContain('MQIsdp')
})

test('begins with a CONNECT and CONNACK of its own', () => {
  const text = `${headers}connect: 10 01 02\nconnack: 20 01 03\n`
  const opening = (more: string): string[] =>
    parseVectors(`${text}${more}\n30 00`, 'x')[0]!.before.map(({ bytes }) => bytes.toString('hex'))
  expect(opening('')).toEqual(['100102', '200103'])
  expect(opening('handshake: connect\n')).toEqual(['100102'])
})

test('takes limits one by one, those of frames and those of rules', () => {
  const [vector] = parseVectors(`${headers}limits: connect=7 publish=9 resends=2\n\n30 00`, 'x')
  expect(vector?.limits).toEqual({ ...vectorLimits, connect: 7, publish: 9 })
  expect(vector?.policy).toEqual({ resends: 2 })
})

test('puts every device in the class it gives', () => {
  const [vector] = parseVectors(`${headers}class: topic=5 received=70\nearlier: 3\n\n30 00`, 'x')
  expect(vector?.earlier).toBe(3)
  expect(vector?.classes).toMatchObject([
    { clientIds: ['*'], maxTopic: 5, maxPayload: Infinity, maxReceived: 70 },
  ])
})

test('needs no class, no earlier connections and no limits of its own', () => {
  const [vector] = parseVectors(`${headers}\n30 00`, 'x')
  expect(vector).toMatchObject({ classes: [], earlier: 0, policy: {}, limits: vectorLimits })
})

test.each([
  ['a header nobody knows', `${headers}colour: red\n\n30 00`, 'x:1: not a header: "colour: red"'],
  ['a line that is no header', `${headers}red\n\n30 00`, 'x:1: not a header: "red"'],
  ['a header twice', `${headers}version: 4\n\n30 00`, 'x:1: header twice: "version"'],
  ['a missing clause', `${headers.replace(/clause.*\n/, '')}\n30 00`, 'x:1: no header "clause"'],
  ['no bytes', headers, 'x:1: no bytes'],
  ['half a byte', `${headers}\n30 0`, 'x:1: not bytes: "0"'],
  ['open quotes', `${headers}\n30 'abc`, 'x:1: not bytes: "\'abc"'],
  ['a version nobody knows', `${headers.replace('5', '6')}\n30 00`, 'x:1: not a version: "6"'],
  ['a direction nobody knows', `${headers.replace('down', 'left')}\n30 00`, 'x:1: not a direction: "left"'],
  [
    'an expectation without an offset',
    `${headers.replace(' @2', '')}\n30 00`,
    'x:1: not an expectation: "refuse topic-empty"',
  ],
  ['a limit nobody knows', `${headers}limits: held=1\n\n30 00`, 'x:1: not a limit: "held=1"'],
  [
    'a limit of a class nobody knows',
    `${headers}class: keys=1\n\n30 00`,
    'x:1: not a limit of a class: "keys=1"',
  ],
  ['a count in words', `${headers}earlier: many\n\n30 00`, 'x:1: not a count: "many"'],
  [
    'one CONNECT for two versions',
    `${headers.replace('5', '3 4')}connect: 10 00\n\n30 00`,
    'x:1: one CONNECT for several versions',
  ],
  ['a handshake nobody knows', `${headers}handshake: firm\n\n30 00`, 'x:1: not a handshake: "firm"'],
  ['an error in the second vector', `${headers}\n30 00\n---\n\n${headers}\nzz`, 'x:10: not bytes: "zz"'],
])('refuses %s', (_, text, message) => {
  expect(() => parseVectors(text, 'x')).toThrow(new Error(message))
})
