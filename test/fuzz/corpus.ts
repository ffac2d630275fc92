// Where fuzz cases begin: every test vector with what came before it, and valid sessions drawn at random.

import { readdirSync } from 'node:fs'
import type { DeviceClass, PolicyLimits } from '../../src/mqtt/rulebook.ts'
import { loadVectors } from '../help/vectors.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'
import { intoPackets, type Script, type Setting } from './script.ts'
import { drawSession } from './sessions.ts'

/** A script, and the ways in which it was broken. */
export interface Case {
  readonly script: Script
  readonly ways: readonly string[]
}

const pumps: DeviceClass = {
  name: 'pump',
  clientIds: ['pump-*', ''],
  maxTopic: 12,
  maxPayload: 24,
  maxReceived: 60,
}

const tight: Partial<PolicyLimits> = {
  topicLevels: 4,
  filters: 3,
  userProperties: 2,
  propertyBytes: 60,
  topicAliases: 2,
  topicAliasBytes: 30,
  publishRate: 2,
  dollarTopics: [],
}

/** What drawn sessions are judged by; some reach every limit. */
const settings: readonly Setting[] = [
  { connect: 512, control: 1024, publish: 4096 },
  { connect: 65_536, control: 65_536, publish: 1 << 20 },
  { connect: 150, control: 40, publish: 120 },
].flatMap((frames) => [
  { frames, policy: {}, classes: [], earlier: 0 },
  { frames, policy: tight, classes: [pumps], earlier: 5 },
])

export class Corpus {
  readonly #seeds: readonly Script[]

  private constructor(seeds: readonly Script[]) {
    this.#seeds = seeds
  }

  /** All vectors of a folder and of the folders in it. */
  static ofVectors(folder: URL): Corpus {
    const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const folders = [folder, ...inside.map(({ name }) => new URL(`${name}/`, folder))]
    const vectors = folders.flatMap((one) => [...loadVectors(one).values()].flat())
    if (vectors.length === 0) throw new Error(`no vectors in ${folder.href}`)
    return new Corpus(
      vectors.map(({ name, limits: frames, policy, classes, earlier, before, direction, bytes }) => ({
        origin: name,
        setting: { frames, policy, classes, earlier },
        packets: intoPackets([...before, { direction, bytes }]),
      })),
    )
  }

  get size(): number {
    return this.#seeds.length
  }

  /** A script from the corpus or a drawn one, mostly broken in a few ways, now and then not at all. */
  draw(random: Random): Case {
    if (random.once(50)) return { script: noise(random), ways: ['noise'] }
    const { origin, setting, packets } = this.#seed(random)
    const ways: string[] = []
    let broken = packets
    for (let left = random.pick([0, 1, 1, 1, 2, 2, 3, 5]); left > 0; left--) {
      const mutated = mutate(broken, this.#seed(random).packets, random)
      broken = mutated.packets
      ways.push(mutated.how)
    }
    return { script: { origin, setting, packets: broken }, ways }
  }

  #seed(random: Random): Script {
    if (random.once(2)) return random.pick(this.#seeds)
    return { origin: 'session', setting: random.pick(settings), packets: drawSession(random) }
  }
}

/** Bytes that never were MQTT, in both directions. */
function noise(random: Random): Script {
  const packets = Array.from({ length: random.between(1, 6) }, () => ({
    direction: random.pick(['up', 'down'] as const),
    bytes: random.bytes(random.between(1, 80)),
  }))
  return { origin: 'noise', setting: random.pick(settings), packets }
}
