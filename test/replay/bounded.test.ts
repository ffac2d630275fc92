// Captures without end are read in memory that has one: ordinary traffic, and every kind of flood a table could fill with.

import { expect, test } from 'vitest'
import { Replay } from '../../src/replay/replay.ts'
import { pcapHeader, pcapRecord } from '../help/captures.ts'
import { held } from '../help/heap.ts'
import { bytes, connackPacket, connectPacket, publishPacket, subscribePacket } from '../help/packets.ts'
import { planOf } from '../help/replays.ts'
import { ethernet, tcpPacket, Wire } from '../help/segments.ts'

/** It moves a lot of bytes. */
const patiently = { timeout: 120_000 }
const time = 1_700_000_000_000
const server = { address: '10.0.0.1', port: 1883 }

/** Another address for each number. */
function client(index: number): { address: string; port: number } {
  return { address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`, port: 40_000 }
}

function start() {
  const replay = new Replay([planOf()])
  const reader = replay.open()
  reader.push(pcapHeader())
  return { replay, reader }
}

test('200 MiB of ordinary traffic leave no more behind than 20 MiB did', patiently, () => {
  const { replay, reader } = start()
  const devices = Array.from({ length: 50 }, (_, index) => {
    const wire = new Wire({ client: client(index), time })
      .open()
      .send('up', connectPacket({ version: 4, clientId: `d${index}` }))
    return wire.send('down', connackPacket(4)).frames
  })
  reader.push(Buffer.concat(devices.flat().map((frame) => pcapRecord(frame))))
  const publish = publishPacket({ version: 4, topic: 'ward/3', payload: Buffer.alloc(1300) })
  const connected = connectPacket({ version: 4, clientId: 'd00' }).length
  // A round of one message from each device, sent again and again with other sequence numbers.
  const packets = devices.map((_, index) => {
    const segment = {
      from: client(index),
      to: server,
      sequence: 0,
      acknowledged: 5001 + 4,
      flags: 'PA',
      payload: publish,
    }
    return pcapRecord({ time, bytes: ethernet(tcpPacket(segment), false) })
  })
  const round = Buffer.concat(packets)
  const size = packets[0]!.length
  const sequenceAt = 16 + 14 + 20 + 4
  const rounds = Math.ceil((200 * 2 ** 20) / round.length)
  let early = 0
  for (let turn = 0; turn < rounds; turn++) {
    for (let index = 0; index < devices.length; index++) {
      const shorter = index < 10 ? 1 : 0
      round.writeUInt32BE(1001 + connected - shorter + turn * publish.length, index * size + sequenceAt)
      round.writeUInt32LE(time / 1000 + turn, index * size)
    }
    reader.push(Buffer.from(round))
    if (turn === Math.floor(rounds / 10)) early = held()
  }
  const late = held()
  expect(replay.stage.counts[3]).toBe(rounds * devices.length)
  expect(late - early).toBeLessThan(30)
})

test('a flood of sessions that never end fills the table of connections, and no more', patiently, () => {
  const before = held()
  const { replay, reader } = start()
  // One session, again and again from other addresses.
  const wire = new Wire({ client: client(0), time })
    .open()
    .send('up', connectPacket({ version: 5, clientId: 'f' }))
  wire.send('down', connackPacket(5)).send('up', subscribePacket(5, 1, [['#', 0]]))
  const whole = Buffer.concat(wire.frames.map((frame) => pcapRecord(frame)))
  const addresses = [...whole.entries()]
    .map(([at]) => at)
    .filter((at) => whole.subarray(at, at + 4).equals(Buffer.from([10, 0, 0, 0])))
  for (let index = 0; index < 30_000; index++) {
    const session = Buffer.from(whole)
    for (const at of addresses) session.writeUInt32BE(0x0a00_0000 + index, at)
    reader.push(session)
  }
  expect(replay.stage.counts[8]).toBe(30_000)
  expect(replay.connections.evicted).toBeGreaterThan(10_000)
  expect(replay.stage.incidents.list()).toHaveLength(10_000)
  expect(replay.stage.incidents.omitted).toBeGreaterThanOrEqual(20_000)
  expect(held() - before).toBeLessThan(160)
  replay.finish()
  expect(held() - before).toBeLessThan(80)
})

test('frames that never become whole take up no more than 128 MiB in all', patiently, () => {
  const before = held()
  const { replay, reader } = start()
  const payload = Buffer.alloc(60_000, 0x61)
  // A SUBSCRIBE of 250 kB, of which most comes.
  const beginning = bytes(0x82, 0x90, 0xa1, 0x0f, 0, 1, 0xff, 0xff, payload)
  for (let index = 0; index < 1500; index++) {
    const wire = new Wire({ client: client(index), time }).open()
    wire
      .send('up', connectPacket({ version: 4, clientId: '' }))
      .send('down', connackPacket(4))
      .send('up', beginning)
    for (let turn = 0; turn < 3; turn++) wire.send('up', payload)
    reader.push(bytes(...wire.frames.map((frame) => pcapRecord(frame))))
  }
  expect(replay.stage.incidents.list()).toEqual([])
  expect(replay.stage.heldFrames).toBeGreaterThan(100 << 20)
  expect(replay.stage.heldFrames).toBeLessThan(129 << 20)
  expect(held() - before).toBeLessThan(300)
  expect(replay.stage.gaps).toBeGreaterThan(800)
  replay.finish()
  expect(replay.stage.heldFrames).toBe(0)
})

test('bytes that wait for others before them take up no more than 64 MiB in all', patiently, () => {
  const before = held()
  const { replay, reader } = start()
  const wait = (index: number, count: number, payload: Buffer): void => {
    const opening = new Wire({ client: client(index), time }).open().send('up', connectPacket({ version: 4 }))
    const pieces = Array.from({ length: count }, (_, turn) => {
      const sequence = 9000 + turn * (payload.length + 1)
      const segment = { from: client(index), to: server, sequence, acknowledged: 5001, flags: 'PA', payload }
      return { time, bytes: ethernet(tcpPacket(segment), false) }
    })
    reader.push(bytes(...[...opening.frames, ...pieces].map((frame) => pcapRecord(frame))))
  }
  for (let index = 0; index < 200; index++) wait(index, 15, Buffer.alloc(50_000))
  expect(held() - before).toBeLessThan(100)
  expect(replay.stage.gaps).toBeGreaterThan(50)
  // Small ones are not cheaper.
  for (let index = 200; index < 400; index++) wait(index, 1000, Buffer.alloc(1))
  expect(held() - before).toBeLessThan(100)
  replay.finish()
  expect(replay.stage.gaps).toBe(400)
  expect(held() - before).toBeLessThan(20)
})
