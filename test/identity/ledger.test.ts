// The ledger in memory: what it keeps when it is full, what it forgets, and that records survive being written and read.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { read, write, type DeviceRecord } from '../../src/identity/device.ts'
import { DeviceTable } from '../../src/identity/ledger.ts'
import { keyOf, traits } from '../../src/identity/observation.ts'
import { signals, type SignalName } from '../../src/identity/signals.ts'

const text = fc.string({ maxLength: 40 })
const moment = fc.nat()
const record: fc.Arbitrary<DeviceRecord> = fc.record({
  realm: text,
  clientId: text,
  listener: text,
  firstSeen: moment,
  lastSeen: moment,
  sessions: fc.nat(),
  approvedAt: moment,
  known: fc.dictionary(fc.constantFrom(...traits), fc.array(text, { minLength: 1, maxLength: 4 }), {
    noNullPrototype: true,
  }),
  pending: fc.dictionary(fc.constantFrom(...traits), text, { noNullPrototype: true }),
  roundTrip: fc.option(fc.nat(), { nil: undefined }),
  evidence: fc.array(
    fc.record({
      name: fc.constantFrom(...(Object.keys(signals) as SignalName[])),
      before: text,
      after: text,
      at: moment,
    }),
    { maxLength: 5 },
  ),
})

test('a record is read as it was written', () => {
  fc.assert(
    fc.property(record, (one) => {
      expect(read(write(one))).toEqual(one)
    }),
  )
})

test('whatever else is in the file is no record, and no harm', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.constant('{"realm":"a","clientId":"b"}')), (other) => {
      expect(read(other)).toBeUndefined()
    }),
  )
})

function device(clientId: string, more: Partial<DeviceRecord> = {}): DeviceRecord {
  const blank = { known: {}, pending: {}, roundTrip: undefined, evidence: [] }
  const times = { firstSeen: 0, lastSeen: 0, sessions: 1, approvedAt: 0 }
  return { realm: 'hospital', clientId, listener: 'ward', ...times, ...blank, ...more }
}

function table(devices: number, age = Infinity) {
  const gone: string[] = []
  const made = new DeviceTable({ devices, age }, { kept: () => {}, gone: (key) => gone.push(key) })
  return { made, gone }
}

test('invented devices push out each other, none that came back, and none that was approved', () => {
  const { made } = table(100)
  made.keep(device('approved', { approvedAt: 1 }))
  made.keep(device('back', { sessions: 2 }))
  for (let one = 0; one < 100_000; one += 1) made.keep(device(`invented-${one}`))
  expect(made.size).toBe(100)
  expect(made.find(keyOf('hospital', 'approved'))).toBeDefined()
  expect(made.find(keyOf('hospital', 'back'))).toBeDefined()
  expect(made.find(keyOf('hospital', 'invented-99999'))).toBeDefined()
  expect(made.census(0)).toEqual({ approved: 1, known: 1, new: 98, suspected: 0 })
})

test('where all have come back, there is no room for one that came once', () => {
  const { made } = table(3)
  for (const one of ['a', 'b', 'c']) made.keep(device(one, { sessions: 2 }))
  expect(made.keep(device('stranger'))).toBe(false)
  expect(made.keep(device('d', { sessions: 2 }))).toBe(true)
  expect(made.find(keyOf('hospital', 'a'))).toBeUndefined()
})

test('where all are approved, nobody else is kept', () => {
  const { made } = table(2)
  for (const one of ['a', 'b']) made.keep(device(one, { approvedAt: 1 }))
  expect(made.keep(device('c', { sessions: 5 }))).toBe(false)
  expect(made.size).toBe(2)
})

test('who was not seen for too long is forgotten, unless it was approved', () => {
  const { made, gone } = table(10, 1000)
  made.keep(device('old'))
  made.keep(device('young', { lastSeen: 900 }))
  made.keep(device('approved', { approvedAt: 1 }))
  expect(made.expire(1500, 100)).toBe(1)
  expect(gone).toEqual([keyOf('hospital', 'old')])
})

test('a smaller ledger is reached little by little', () => {
  const { made } = table(10)
  for (let one = 0; one < 10; one += 1) made.keep(device(`${one}`))
  made.bounds = { devices: 4, age: Infinity }
  expect([made.expire(0, 3), made.expire(0, 100), made.size]).toEqual([3, 3, 4])
})

test('whatever is kept, approved and forgotten, the counts are right and the bound holds', () => {
  const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
  const deeds = fc.array(
    fc.record({ id: ids, what: fc.constantFrom('keep', 'again', 'approve', 'forget') }),
    { maxLength: 80 },
  )
  fc.assert(
    fc.property(deeds, (all) => {
      const { made } = table(4)
      const approved = new Set<string>()
      for (const { id, what } of all) {
        const key = keyOf('hospital', id)
        const known = made.find(key)
        if (what === 'keep') made.keep(known ?? device(id))
        else if (what === 'again') made.keep({ ...(known ?? device(id)), sessions: 2 })
        else if (made.obey({ action: what === 'approve' ? 'approve' : 'forget', key, at: 1 })) {
          if (what === 'approve') approved.add(key)
          else approved.delete(key)
        }
        expect(made.size).toBeLessThanOrEqual(4)
        for (const one of approved) expect(made.find(one)).toBeDefined()
      }
      const { approved: counted, known, new: fresh } = made.census(1)
      expect(counted).toBe(approved.size)
      expect(counted + known + fresh).toBe(made.size)
    }),
  )
})
