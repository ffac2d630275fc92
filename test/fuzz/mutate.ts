// Ways to break a script: each takes the packets of a script and returns others; what is random comes from the caller.

import type { Direction, Version } from '../../src/mqtt/packet.ts'
import type { Step } from '../help/judge.ts'
import { varint } from '../help/packets.ts'
import { dissect, replace } from './anatomy.ts'
import { changes, firstBytes, spliced, type Change } from './changes.ts'
import type { Random } from './random.ts'
import { versionOf } from './script.ts'

type Packets = readonly Step[]

/** Breaks a script in one way; `donor` is another script to take packets from. */
export function mutate(packets: Packets, donor: Packets, random: Random): { how: string; packets: Step[] } {
  for (;;) {
    const [how, mutator] = random.pick(mutators)
    const changed = mutator(packets, donor, random)
    if (changed !== undefined && changed.length > 0) return { how, packets: changed }
  }
}

type Mutator = (packets: Packets, donor: Packets, random: Random) => Step[] | undefined

/** What is done to the order and to the whole. */
export const shuffles: Readonly<Record<string, Mutator>> = {
  swap: (packets, _, random) => {
    const swapped = [...packets]
    const one = random.below(packets.length)
    const two = random.below(packets.length)
    swapped[one] = packets[two]!
    swapped[two] = packets[one]!
    return swapped
  },
  repeat: (packets, _, random) => {
    const at = random.below(packets.length)
    const copies = Array.from({ length: random.pick([1, 1, 2, 8]) }, () => packets[at]!)
    return packets.toSpliced(random.once(2) ? at : random.below(packets.length + 1), 0, ...copies)
  },
  drop: (packets, _, random) => packets.toSpliced(random.below(packets.length), 1),
  splice: (packets, donor, random) => {
    const head = packets.slice(0, random.between(1, packets.length))
    return [...head, ...donor.slice(random.below(donor.length))]
  },
  graft: (packets, donor, random) =>
    packets.toSpliced(random.below(packets.length + 1), 0, random.pick(donor)),
  turn: (packets, _, random) => {
    const at = random.below(packets.length)
    const { direction, bytes } = packets[at]!
    return packets.toSpliced(at, 1, { direction: opposite(direction), bytes })
  },
  'turn-all': (packets) => packets.map(({ direction, bytes }) => ({ direction: opposite(direction), bytes })),
  version: (packets, _, random) => {
    const at = packets.findIndex(({ bytes }) => bytes[0] === 0x10)
    const anatomy = at < 0 ? undefined : dissect(packets[at]!.bytes, 0)
    const name = anatomy?.fields[0]
    if (anatomy === undefined || name === undefined) return undefined
    const { direction, bytes } = packets[at]!
    const level = random.pick([3, 4, 5])
    const told = spliced(bytes, name.to, name.to + 1, Buffer.of(level))
    const renamed = replace(told, anatomy, name, Buffer.from(level === 3 ? 'MQIsdp' : 'MQTT'), name)
    return packets.toSpliced(at, 1, { direction, bytes: renamed })
  },
  noise: (packets, _, random) => {
    const bytes = random.bytes(random.between(1, 24))
    return packets.toSpliced(random.below(packets.length + 1), 0, { direction: aside(random), bytes })
  },
  'noise-packet': (packets, _, random) => {
    const body = random.bytes(random.below(24))
    const bytes = Buffer.concat([Buffer.of(random.pick(firstBytes)), varint(body.length), body])
    return packets.toSpliced(random.below(packets.length + 1), 0, { direction: aside(random), bytes })
  },
}

/** What few bytes of a packet matter to, and many checks, is done more often. */
const often = ['code', 'field-content', 'packet-id', 'property-new']

const mutators: readonly (readonly [string, Mutator])[] = [
  ...often.map((how) => [how, onePacket(changes[how]!)] as const),
  ...Object.entries(changes).map(([how, change]) => [how, onePacket(change)] as const),
  ...Object.entries(shuffles),
]

/** A change of one packet as a change of the whole script. */
function onePacket(change: Change): Mutator {
  return (packets, _, random) => {
    const at = random.below(packets.length)
    const { direction, bytes } = packets[at]!
    const version: Version = versionOf(packets)
    const anatomy = dissect(bytes, version)
    const changed = anatomy && change(bytes, anatomy, random, random.pick(packets).bytes)
    return changed === undefined || changed.length === 0
      ? undefined
      : packets.toSpliced(at, 1, { direction, bytes: changed })
  }
}

function opposite(direction: Direction): Direction {
  return direction === 'up' ? 'down' : 'up'
}

function aside(random: Random): Direction {
  return random.pick(['up', 'down'])
}
