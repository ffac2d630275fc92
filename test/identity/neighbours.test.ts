// The neighbour table over time, in the words of arpwatch, and bounded whatever it is told.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readNeighbourLine } from '../../src/identity/neighbour-line.ts'
import { Neighbours } from '../../src/identity/neighbours.ts'

const [device, attacker, third] = ['02:00:00:00:00:01', '02:00:00:00:00:66', '02:00:00:00:00:03'] as const

/** Tells of network cards at 192.0.2.7, a second apart each, and returns what is said of them. */
function history(...cards: readonly (string | undefined)[]): string[] {
  const neighbours = new Neighbours()
  return cards.flatMap((mac, index) =>
    neighbours
      .note({ address: '192.0.2.7', mac, reachable: true }, index * 30_000)
      .map(({ change, mac: now, before }) => `${change} ${before.slice(-2)}>${now.slice(-2)}`),
  )
}

test.each([
  [[device], ['new-station >01']],
  [[device, device], ['new-station >01']],
  [[undefined, device], ['new-station >01']],
  [[device, undefined, device], ['new-station >01']],
  [
    [device, attacker],
    ['new-station >01', 'changed-address 01>66'],
  ],
  [
    [device, attacker, device],
    ['new-station >01', 'changed-address 01>66', 'flip-flop 66>01'],
  ],
  [
    [device, attacker, third, device],
    ['new-station >01', 'changed-address 01>66', 'changed-address 66>03', 'reused-old-address 03>01'],
  ],
])('%j', (cards, said) => {
  expect(history(...cards)).toEqual(said)
})

test('two network cards that take turns within a minute are a duplicate address', () => {
  const neighbours = new Neighbours()
  const say = (mac: string, at: number) =>
    neighbours.note({ address: '192.0.2.7', mac, reachable: true }, at).map(({ change }) => change)
  say(device, 0)
  expect(say(attacker, 1000)).toEqual(['changed-address'])
  expect(say(device, 2000)).toEqual(['flip-flop'])
  expect(neighbours.isContested('192.0.2.7', 2000)).toBe(false)
  expect(say(attacker, 3000)).toEqual(['flip-flop', 'duplicate-address'])
  expect(neighbours.isContested('192.0.2.7', 3000)).toBe(true)
  expect(neighbours.isContested('192.0.2.7', 90_000)).toBe(false)
})

test('one network card that takes over several addresses is told, and gives them back', () => {
  const neighbours = new Neighbours()
  const say = (address: string, mac: string) =>
    neighbours.note({ address, mac, reachable: true }, 0).map(({ change }) => change)
  say('192.0.2.1', third)
  say('192.0.2.7', device)
  say('192.0.2.66', attacker)
  expect(neighbours.takenBy(attacker)).toEqual([])
  expect(say('192.0.2.7', attacker)).toEqual(['changed-address'])
  expect(say('192.0.2.1', attacker)).toEqual(['changed-address', 'many-addresses'])
  expect(neighbours.takenBy(attacker)).toEqual(['192.0.2.7', '192.0.2.1'])
  say('192.0.2.7', device)
  expect(neighbours.takenBy(attacker)).toEqual(['192.0.2.1'])
  expect(neighbours.takenBy(device)).toEqual([])
})

test('a station with two addresses of its own took over nothing', () => {
  const neighbours = new Neighbours()
  for (const address of ['192.0.2.7', '192.0.2.8', '2001:db8::7'])
    neighbours.note({ address, mac: device, reachable: true }, 0)
  expect(neighbours.takenBy(device)).toEqual([])
})

test('who does not answer any more is not there, and is still who was there last', () => {
  const neighbours = new Neighbours()
  neighbours.note({ address: '192.0.2.7', mac: device, reachable: true }, 0)
  expect(neighbours.isThere('192.0.2.7', device)).toBe(true)
  expect(neighbours.isThere('192.0.2.7', attacker)).toBe(false)
  neighbours.note({ address: '192.0.2.7', mac: undefined, reachable: false }, 1)
  expect(neighbours.isThere('192.0.2.7', device)).toBe(false)
  expect(neighbours.macOf('192.0.2.7')).toBe(device)
})

test('any history: the card is the one told last, and no address is both taken and given back', () => {
  const cards = fc.constantFrom(device, attacker, third, undefined)
  const addresses = fc.constantFrom('192.0.2.1', '192.0.2.7', '2001:db8::7')
  const told = fc.array(fc.record({ address: addresses, mac: cards, reachable: fc.boolean() }), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(told, (entries) => {
      const neighbours = new Neighbours()
      const last = new Map<string, string>()
      for (const [at, entry] of entries.entries()) {
        const events = neighbours.note(entry, at * 1000)
        if (entry.mac !== undefined) {
          expect(events.length > 0).toBe(last.get(entry.address) !== entry.mac)
          last.set(entry.address, entry.mac)
        } else expect(events).toEqual([])
      }
      for (const [address, mac] of last) expect(neighbours.macOf(address)).toBe(mac)
      for (const mac of [device, attacker, third])
        for (const address of neighbours.takenBy(mac)) expect(last.get(address)).toBe(mac)
    }),
  )
})

test('invented addresses do not fill the memory', () => {
  const neighbours = new Neighbours()
  for (let one = 0; one < 20_000; one += 1) {
    const address = `10.${one >> 16}.${(one >> 8) & 255}.${one & 255}`
    neighbours.note({ address, mac: device, reachable: true }, one)
    neighbours.note({ address, mac: attacker, reachable: true }, one)
  }
  expect(neighbours.size).toBe(16_384)
  expect(neighbours.takenBy(attacker)).toHaveLength(16_384)
})

test.each([
  ['10.9.0.5 dev v0 lladdr 02:00:00:00:00:05 REACHABLE', '10.9.0.5', '02:00:00:00:00:05', true],
  ['10.9.0.5 dev v0 lladdr 02:00:00:00:00:05 STALE', '10.9.0.5', '02:00:00:00:00:05', false],
  ['2001:db8::5 dev v0 lladdr 02:00:00:00:00:05 router REACHABLE', '2001:db8::5', '02:00:00:00:00:05', true],
  ['10.9.0.5 dev v0 lladdr 02:00:00:00:00:06 PERMANENT ', '10.9.0.5', '02:00:00:00:00:06', true],
  ['10.9.0.5 dev v0 FAILED ', '10.9.0.5', undefined, false],
  ['Deleted 10.9.0.5 dev v0 lladdr 02:00:00:00:00:05 STALE', '10.9.0.5', undefined, false],
  ['10.9.0.5 dev v0  INCOMPLETE', '10.9.0.5', undefined, false],
])('%s', (line, address, mac, reachable) => {
  expect(readNeighbourLine(line)).toEqual({ address, mac, reachable })
})

test.each([
  '',
  'garbage',
  '10.9.0.5 dev v0 proxy',
  'fe80::1 dev v0 lladdr 02:00:00:00:00:05 REACHABLE',
  'ff02::1 dev v0 lladdr 33:33:00:00:00:01 NOARP',
  'nosuch dev v0 lladdr 02:00:00:00:00:05 REACHABLE',
])('%j is no entry', (line) => {
  expect(readNeighbourLine(line)).toBeUndefined()
})

test('no line makes the reader throw', () => {
  fc.assert(fc.property(fc.string(), (line) => void readNeighbourLine(line)))
})
