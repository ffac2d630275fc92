// The properties of drawn sessions: those that a packet may have, with values that a device and a broker could give.

import type { Direction } from '../../src/mqtt/packet.ts'
import { bytes, field, uint16, uint32, varint, type Level } from '../help/packets.ts'
import type { Random } from './random.ts'

export const topics = ['ward/3/pump', 'a', 'vitals/é/spo2', '$SYS/load', 'a/b/c/d', '/', 'ward/3/pump/alarm']

export function drawWill(
  random: Random,
  version: Level,
): { topic: string; payload: Buffer; qos: number; retain: boolean; properties?: Buffer } {
  const will = {
    topic: random.pick(topics),
    payload: random.bytes(random.below(6)),
    qos: random.below(3),
    retain: random.once(2),
  }
  if (version !== 5) return will
  const properties = some(random, [
    () => bytes(24, uint32(random.below(100))),
    () => bytes(1, random.below(2)),
    () => bytes(2, uint32(random.next())),
    () => bytes(3, field('text/plain')),
    () => bytes(8, field('answers')),
    () => bytes(9, field(random.bytes(3))),
    () => userProperty(random),
  ])
  return { ...will, properties }
}

export function drawConnectProperties(random: Random, method: string | undefined): Buffer {
  return bytes(
    some(random, [
      () => bytes(17, uint32(random.pick([0, 100, 0xff_ff_ff_ff]))),
      () => bytes(33, uint16(random.pick([1, 2, 65_535]))),
      () => bytes(34, uint16(random.pick([0, 4, 65_535]))),
      () => bytes(39, uint32(random.pick([5, 64, 1 << 20]))),
      () => bytes(25, random.below(2)),
      () => bytes(23, random.below(2)),
      () => userProperty(random),
    ]),
    method === undefined ? '' : bytes(21, field(method), random.once(2) ? bytes(22, field('x')) : ''),
  )
}

export function drawConnackProperties(random: Random, method: string | undefined, assign: boolean): Buffer {
  return bytes(
    some(random, [
      () => bytes(17, uint32(random.below(1000))),
      () => bytes(33, uint16(random.pick([1, 2, 65_535]))),
      () => bytes(34, uint16(random.pick([1, 4, 65_535]))),
      () => bytes(36, random.below(2)),
      () => bytes(37, random.below(2)),
      () => bytes(39, uint32(random.pick([40, 1 << 20]))),
      () => bytes(40, random.below(2)),
      () => bytes(41, random.below(2)),
      () => bytes(42, random.below(2)),
      () => bytes(19, uint16(random.below(100))),
      () => bytes(28, field('other:8883')),
      () => reason(),
    ]),
    assign ? bytes(18, field('assigned-1')) : '',
    method === undefined ? '' : bytes(21, field(method)),
  )
}

export function drawPublishProperties(random: Random, direction: Direction): Buffer {
  return some(random, [
    () => bytes(1, random.below(2)),
    () => bytes(2, uint32(random.next())),
    () => bytes(3, field('text/plain')),
    () => bytes(8, field('answers')),
    () => bytes(9, field(random.bytes(4))),
    () => (direction === 'down' ? bytes(11, varint(random.pick([1, 200, 268_435_455]))) : Buffer.alloc(0)),
    () => userProperty(random),
  ])
}

/** Some of these, each at most once, in their order; often none. */
export function some(random: Random, makers: readonly (() => Buffer)[]): Buffer {
  if (random.once(2)) return Buffer.alloc(0)
  return bytes(...makers.filter(() => random.once(3)).map((make) => make()))
}

export function reason(): Buffer {
  return bytes(31, field('because'))
}

export function userProperty(random: Random): Buffer {
  return bytes(38, field(random.pick(['site', ''])), field('north'))
}
