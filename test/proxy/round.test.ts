// One round over all addresses: everybody is asked, few at once, first addresses first, and it can be broken off.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import type { Outcome } from '../../src/proxy/meeting.ts'
import { round } from '../../src/proxy/round.ts'
import { TestBroker } from '../help/broker.ts'
import { upstreamPlan } from '../help/gate.ts'
import { Mute } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { eventually } from '../help/wait.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

interface Told {
  readonly outcomes: string[]
  readonly done: string[]
  readonly omitted: number[]
}

function listen(told: Told) {
  const word = (outcome: Outcome): string =>
    outcome.kind === 'judged'
      ? outcome.verdict.verdict
      : outcome.kind === 'failed'
        ? outcome.reason
        : 'defect'
  return {
    onAddresses: (_: object, _addresses: readonly string[], omitted: number) =>
      void told.omitted.push(omitted),
    onUnresolved: ({ host }: { host: string }, outcome: Outcome) =>
      void told.outcomes.push(`${host} ${word(outcome)}`),
    onOutcome: ({ host }: { host: string }, address: string, outcome: Outcome) =>
      void told.outcomes.push(`${host} ${address} ${word(outcome)}`),
    onDone: ({ host }: { host: string }) => void told.done.push(host),
  }
}

const empty = (): Told => ({ outcomes: [], done: [], omitted: [] })

test('every address is asked under the name of its server, not under its own', async () => {
  const { chain: cert, key } = await pki.issue({ names: ['broker.ward.example'] })
  const names: string[] = []
  const SNICallback: TlsOptions['SNICallback'] = (name, done) => {
    names.push(name)
    done(null)
  }
  await using broker = await TestBroker.start({ cert, key, SNICallback })
  await using other = await TestBroker.start({ cert, key, host: '127.0.0.2', port: broker.port })
  const told = empty()
  const servers = [
    { host: 'broker.ward.example', port: broker.port },
    { host: 'gone.ward.example', port: broker.port },
  ]
  await round(upstreamPlan({ ports: [], ca: pki.ca.cert }), servers, {
    lookup: async (host) => {
      if (host === 'broker.ward.example') return ['127.0.0.1', '127.0.0.2']
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    },
    signal: new AbortController().signal,
    ...listen(told),
  })
  expect(told.outcomes.toSorted()).toEqual([
    'broker.ward.example 127.0.0.1 trusted',
    'broker.ward.example 127.0.0.2 trusted',
    'gone.ward.example dns',
  ])
  expect(told.done).toEqual(['broker.ward.example'])
  expect(names).toEqual(['broker.ward.example'])
  expect(broker.applicationBytes + other.applicationBytes).toBe(0)
})

test('four at a time, the first address of each server before the second of any', async () => {
  const seen: string[] = []
  const open = new Set<Socket>()
  let most = 0
  await using mute = await Mute.start((socket) => {
    open.add(socket)
    most = Math.max(most, open.size)
    seen.push(socket.localAddress ?? '')
    socket.on('close', () => open.delete(socket))
  }, '0.0.0.0')
  const told = empty()
  const plan = upstreamPlan({ ports: [], ca: pki.ca.cert, timeouts: { handshake: 100 } })
  const { port } = mute
  const hosts = ['one.example', 'two.example', 'three.example']
  await round(
    plan,
    hosts.map((host) => ({ host, port })),
    {
      lookup: async (host) => {
        const net = `127.0.${hosts.indexOf(host)}`
        return Array.from({ length: host === 'one.example' ? 20 : 2 }, (_, index) => `${net}.${101 + index}`)
      },
      signal: new AbortController().signal,
      ...listen(told),
    },
  )
  expect(told.outcomes).toHaveLength(20)
  expect(told.outcomes.every((outcome) => outcome.endsWith(' timeout'))).toBe(true)
  expect(seen.slice(0, 6)).toEqual(expect.arrayContaining(['127.0.1.101', '127.0.2.101']))
  expect(Math.max(...told.omitted)).toBe(4)
  // One that was given up may still be on its way out when the next comes in.
  expect(most).toBeGreaterThan(2)
  expect(most).toBeLessThanOrEqual(8)
})

test('broken off, it ends at once and says no more', async () => {
  await using mute = await Mute.start()
  const told = empty()
  const leaving = new AbortController()
  const under = round(
    upstreamPlan({ ports: [], ca: pki.ca.cert }),
    [{ host: '127.0.0.1', port: mute.port }],
    {
      lookup: async () => [],
      signal: leaving.signal,
      ...listen(told),
    },
  )
  await eventually('a connection', () => mute.seen[0])
  leaving.abort()
  await under
  expect(told).toMatchObject({ outcomes: [], done: [] })
  await eventually('its end', () => mute.seen[0]?.destroyed)
  // It does not begin again either.
  const seen = mute.seen.length
  await round(upstreamPlan({ ports: [], ca: pki.ca.cert }), [{ host: '127.0.0.1', port: mute.port }], {
    lookup: async () => [],
    signal: leaving.signal,
    ...listen(told),
  })
  const socket = connect(mute.port, '127.0.0.1')
  await once(socket, 'connect')
  await eventually('only this one', () => mute.seen.length > seen)
  expect(mute.seen.length).toBe(seen + 1)
  socket.destroy()
})
