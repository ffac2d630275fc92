// Turns plain counts into the samples of a scrape, and says where in the typed arrays each count lies.

import { PacketType } from '../mqtt/packet.ts'
import type { Direction } from '../mqtt/packet.ts'
import { allRules } from '../mqtt/rules.ts'
import type { Histogram, LabelledCounter, Sample } from './counters.ts'

export type Leg = 'device' | 'broker'

/** Where the packet counts of a direction begin; add the control packet type. */
export const packetsOf = { up: 0, down: 16 } as const satisfies Record<Direction, number>

/** Where the byte counts lie. */
export const ByteCount = { deviceReceived: 0, deviceSent: 1, brokerReceived: 2, brokerSent: 3 } as const

export function single(value: number): Sample[] {
  return [{ labels: {}, value }]
}

export function samplesOf<Name extends string>(counters: CountersBy<Name>): Record<Name, Iterable<Sample>> {
  const entries = Object.entries<CountersBy<string>[string]>(counters)
  return Object.fromEntries(entries.map(([name, counter]) => [name, counter.samples()])) as Record<
    Name,
    Iterable<Sample>
  >
}

export function overflowSamples(counters: CountersBy<string>): Sample[] {
  return Object.entries(counters).map(([metric, { overflowed }]) => ({
    labels: { metric },
    value: overflowed,
  }))
}

export function byteSamples(bytes: Float64Array): Sample[] {
  const { deviceReceived, deviceSent, brokerReceived, brokerSent } = ByteCount
  return [
    { labels: { leg: 'device', direction: 'received' }, value: bytes[deviceReceived] ?? 0 },
    { labels: { leg: 'device', direction: 'sent' }, value: bytes[deviceSent] ?? 0 },
    { labels: { leg: 'broker', direction: 'received' }, value: bytes[brokerReceived] ?? 0 },
    { labels: { leg: 'broker', direction: 'sent' }, value: bytes[brokerSent] ?? 0 },
  ]
}

export function* packetSamples(packets: Float64Array): Iterable<Sample> {
  for (const [direction, start] of Object.entries(packetsOf)) {
    for (const [type, number] of Object.entries(PacketType)) {
      yield { labels: { direction, type }, value: packets[start + number] ?? 0 }
    }
  }
}

/** Rules that were broken and only reported; a rule that never was is left out. */
export function* reportSamples(reports: Readonly<Record<Direction, Float64Array>>): Iterable<Sample> {
  for (const [direction, hits] of Object.entries(reports)) {
    for (const { id, index } of allRules) {
      const value = hits[index] ?? 0
      if (value > 0) yield { labels: { rule: id, direction, action: 'forward' }, value }
    }
  }
}

export function* connackSamples(connacks: Float64Array): Iterable<Sample> {
  for (const [code, value] of connacks.entries()) {
    // Accepted is always there, so that a ratio has its denominator; 255 zeros would say nothing.
    if (value > 0 || code === 0) yield { labels: { code: String(code) }, value }
  }
}

export function durationSamples(durations: Readonly<Record<Leg, Histogram>>): Sample[] {
  const name = 'pulseward_tls_handshake_seconds'
  return Object.entries(durations).flatMap(([leg, histogram]) => histogram.samples(name, { leg }))
}

type CountersBy<Name extends string> = Readonly<
  Record<Name, Pick<LabelledCounter<never>, 'samples' | 'overflowed'>>
>
