// The desk: devices that come, change and come back, and somebody in between; what is told, and what is learnt of it.

import { describe, expect, test } from 'vitest'
import type { Finding } from '../../src/detect/finding.ts'
import { Desk } from '../../src/identity/desk.ts'
import { DeviceTable } from '../../src/identity/ledger.ts'
import { Neighbours } from '../../src/identity/neighbours.ts'
import { keyOf, type Observation, type Traits } from '../../src/identity/observation.ts'

const card = {
  pump: '02:00:00:00:00:07',
  monitor: '02:00:00:00:00:08',
  attacker: '02:00:00:00:00:66',
} as const
const key = keyOf('hospital', 'pump-7')
const hour = 3_600_000

/** A desk, a link with stations, and the hands that connect a device. */
class Ward {
  now = 1_000_000_000
  readonly neighbours = new Neighbours()
  readonly table = new DeviceTable({ devices: 100, age: Infinity }, { kept: () => {}, gone: () => {} })
  readonly desk = new Desk({ ledger: this.table, neighbours: this.neighbours, clock: () => this.now })
  readonly later: Finding[] = []
  isLearning = false

  /** The neighbour table learns of a station. */
  station(address: string, mac: string): void {
    this.desk.note({ address, mac, reachable: true })
  }

  open(traits: Traits = {}, more: Partial<Observation> = {}) {
    const plain = {
      address: '192.0.2.7',
      profile: 'v4;f2;k60;ia4-91;p',
      syn: '64240:1460',
      hops: '0',
      login: 'k:1',
    }
    const seen: Observation = {
      realm: 'hospital',
      clientId: 'pump-7',
      listener: 'ward',
      at: this.now,
      traits: { ...plain, ...traits },
      ...more,
    }
    return this.desk.arrive(seen, this.isLearning, (finding) => this.later.push(finding))
  }

  /** A whole session; what is told of it. */
  visit(traits: Traits = {}, more: Partial<Observation> = {}): Finding | undefined {
    const { visitor, finding } = this.open(traits, more)
    this.desk.accepted(visitor)
    this.desk.left(visitor)
    this.now += 60_000
    return finding
  }
}

/** With a pump that was there before, and is known. */
function ward(): Ward {
  const made = new Ward()
  made.station('192.0.2.7', card.pump)
  made.visit()
  expect(made.visit()).toBeUndefined()
  return made
}

function signalsOf(finding: Finding | undefined): string {
  return finding === undefined
    ? 'nothing'
    : `${finding.severity} ${String(finding.evidence['signals'] ?? Object.keys(finding.evidence).join(' '))}`
}

test('a first sight is told as info, and the second time there is nothing to tell', () => {
  const made = new Ward()
  made.station('192.0.2.7', card.pump)
  expect(made.visit()).toMatchObject({ detector: 'device-new', severity: 'info' })
  expect(made.visit()).toBeUndefined()
  expect(made.table.find(key)).toMatchObject({ sessions: 2, known: { mac: [card.pump] } })
})

test('a device that the broker refuses leaves no record', () => {
  const made = new Ward()
  const { visitor } = made.open()
  made.desk.left(visitor)
  expect(made.table.size).toBe(0)
  expect(made.desk.open).toBe(0)
})

test('a network card that the neighbour table has only after CONNECT is learnt all the same', () => {
  const made = new Ward()
  const { visitor } = made.open()
  made.station('192.0.2.7', card.pump)
  made.desk.accepted(visitor)
  expect(made.table.find(key)?.known.mac).toEqual([card.pump])
})

describe('ordinary changes raise nothing above info', () => {
  test.each<readonly [string, (made: Ward) => Finding | undefined, string]>([
    [
      'an address renewed',
      (made) => {
        made.station('192.0.2.107', card.pump)
        return made.visit({ address: '192.0.2.107' })
      },
      'info address-renewed',
    ],
    [
      'back at an old address',
      (made) => {
        made.station('192.0.2.107', card.pump)
        made.visit({ address: '192.0.2.107' })
        return made.visit()
      },
      'info roamed',
    ],
    [
      'a reboot, the last connection still open',
      (made) => {
        made.desk.accepted(made.open().visitor)
        return made.visit()
      },
      'info reconnected',
    ],
    [
      'a firmware update',
      (made) => made.visit({ syn: '65535:1460', profile: 'v5;f2;k30;ia4-91;p11' }),
      'info firmware-updated',
    ],
    [
      'a new card and a new address, the old one silent',
      (made) => {
        made.desk.note({ address: '192.0.2.7', mac: undefined, reachable: false })
        made.station('192.0.2.9', card.monitor)
        return made.visit({ address: '192.0.2.9' })
      },
      'info station-changed',
    ],
    [
      'another way through the network',
      (made) => made.visit({ hops: '2', address: '198.51.100.7' }),
      'info hops-changed',
    ],
  ])('%s', (_, happen, told) => {
    const made = ward()
    expect(signalsOf(happen(made))).toBe(told)
    // It is known from then on.
    const last = made.table.find(key)?.known
    expect(made.table.find(key)?.pending).toEqual({})
    expect(last?.address?.length).toBeGreaterThan(0)
  })
})

describe('somebody in between, or in its place', () => {
  test.each<readonly [string, (made: Ward) => Finding | undefined, string]>([
    [
      'the address has another card',
      (made) => {
        made.station('192.0.2.7', card.attacker)
        return made.visit()
      },
      'warning mac-changed',
    ],
    [
      'and its packets pass a router',
      (made) => {
        made.station('192.0.2.7', card.attacker)
        return made.visit({ hops: '1' })
      },
      'critical mac-changed hop-added',
    ],
    [
      'and the card took over another station as well',
      (made) => {
        made.station('192.0.2.1', card.monitor)
        made.station('192.0.2.1', card.attacker)
        made.station('192.0.2.7', card.attacker)
        return made.visit()
      },
      'warning mac-changed took-addresses',
    ],
    ['only one direction is relayed', (made) => made.visit({ hops: '1' }), 'warning hop-added'],
    [
      'the frames come from another card than the table says',
      (made) => made.visit({}, { frameMac: card.attacker }),
      'warning frame-mac-differs',
    ],
    [
      'a relay with a stack of its own at its own address, the device still there',
      (made) => {
        made.station('192.0.2.66', card.attacker)
        return made.visit({ address: '192.0.2.66', syn: '29200:1460' })
      },
      'warning station-changed old-address-answers syn-changed',
    ],
    [
      'its identifier in use elsewhere',
      (made) => {
        made.desk.accepted(made.open().visitor)
        made.station('192.0.2.66', card.attacker)
        return made.open({ address: '192.0.2.66' }).finding
      },
      'warning station-changed old-address-answers two-places',
    ],
    ['another login', (made) => made.visit({ login: 'k:2' }), 'notice login-changed'],
  ])('%s', (_, happen, told) => {
    const made = ward()
    const finding = happen(made)
    expect(signalsOf(finding)).toBe(told)
    expect(finding?.detector).toBe('mitm-suspected')
  })
})

test('a session that is held against the device teaches nothing; the device itself is welcome again', () => {
  const made = ward()
  made.station('192.0.2.7', card.attacker)
  expect(made.visit()?.severity).toBe('warning')
  expect(made.visit()?.severity).toBe('warning')
  expect(made.table.find(key)).toMatchObject({ known: { mac: [card.pump] }, pending: { mac: card.attacker } })
  made.station('192.0.2.7', card.pump)
  expect(made.visit()).toBeUndefined()
})

test('an approved replacement is known from then on', () => {
  const made = ward()
  made.station('192.0.2.7', card.monitor)
  expect(made.visit()?.severity).toBe('warning')
  expect(made.table.obey({ action: 'approve', key, at: made.now })).toBe(true)
  expect(made.visit()).toBeUndefined()
  expect(made.table.census(made.now)).toMatchObject({ approved: 1, suspected: 0 })
})

test('a card that only the frames show is known once it is approved, though the table lags behind', () => {
  const made = ward()
  expect(made.visit({}, { frameMac: card.monitor })?.severity).toBe('warning')
  made.table.obey({ action: 'approve', key, at: made.now })
  expect(made.visit({}, { frameMac: card.monitor })).toMatchObject({ severity: 'info' })
  made.station('192.0.2.7', card.monitor)
  expect(made.visit({}, { frameMac: card.monitor })).toMatchObject({ severity: 'info' })
})

test('while a listener learns, changes are told as info and learnt', () => {
  const made = ward()
  made.isLearning = true
  made.station('192.0.2.7', card.monitor)
  expect(made.visit()).toMatchObject({ severity: 'info', detector: 'device-changed' })
  made.isLearning = false
  expect(made.visit()).toBeUndefined()
})

test('an open session hears of a card that takes over its address, once', () => {
  const made = ward()
  made.desk.accepted(made.open().visitor)
  made.station('192.0.2.66', card.attacker)
  expect(made.later).toEqual([])
  made.station('192.0.2.7', card.attacker)
  expect(made.later.map(signalsOf)).toEqual(['warning mac-changed'])
  made.station('192.0.2.7', card.pump)
  made.station('192.0.2.7', card.attacker)
  expect(made.later.map(signalsOf)).toEqual(['warning mac-changed', 'critical mac-changed address-contested'])
})

describe('a station that the neighbour table knows only after CONNECT', () => {
  test.each([
    ['before the broker accepts', true],
    ['after that', false],
  ])('%s: an address renewed is told as such, and a stranger is one', (_, isEarly) => {
    for (const [mac, told] of [
      [card.pump, 'info address-renewed'],
      [card.attacker, 'warning station-changed old-address-answers'],
    ] as const) {
      const made = ward()
      const { visitor, finding } = made.open({ address: '192.0.2.66' })
      expect(finding).toBeUndefined()
      if (isEarly) made.station('192.0.2.66', mac)
      made.desk.accepted(visitor)
      if (!isEarly) {
        expect(made.later.map(signalsOf)).toEqual(['info address-changed'])
        made.station('192.0.2.66', mac)
      }
      expect(signalsOf(made.later.at(-1))).toBe(told)
    }
  })
})

test('a session that is over hears of nothing', () => {
  const made = ward()
  const { visitor } = made.open()
  made.desk.accepted(visitor)
  made.desk.left(visitor)
  made.station('192.0.2.7', card.attacker)
  expect(made.later).toEqual([])
})

test('places that take a session from each other again and again', () => {
  const made = ward()
  made.station('192.0.2.66', card.attacker)
  let last = ''
  for (const address of ['192.0.2.7', '192.0.2.66', '192.0.2.7', '192.0.2.66']) {
    last = signalsOf(made.open({ address }).finding)
    made.now += 1000
  }
  expect(last).toContain('takeover-ping-pong')
})

test('a way that takes far longer than ever is a signal by itself too weak for an alarm', () => {
  const made = new Ward()
  made.visit({}, { roundTrip: 0.4 })
  expect(made.visit({}, { roundTrip: 1.2 })).toBeUndefined()
  expect(signalsOf(made.visit({}, { roundTrip: 40 }))).toBe('info round-trip-shifted')
})

test('suspicion is over after some hours', () => {
  const made = ward()
  made.station('192.0.2.7', card.attacker)
  made.visit()
  expect(made.table.census(made.now).suspected).toBe(1)
  expect(made.table.census(made.now + 8 * hour).suspected).toBe(0)
})
