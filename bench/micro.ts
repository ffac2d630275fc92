// The frame judge alone, without sockets: CPU time and heap a frame; run with --expose-gc.
import { inspectionOf } from '../src/config/rulebooks.ts'
import { configSchema } from '../src/config/schema.ts'
import { FrameStream } from '../src/mqtt/frames.ts'
import type { Direction } from '../src/mqtt/packet.ts'
import { Churn } from '../src/mqtt/rate.ts'
import type { Rulebook } from '../src/mqtt/rulebook.ts'
import { allRules } from '../src/mqtt/rules.ts'
import { SessionState } from '../src/mqtt/session.ts'
import {
  CONNACK,
  connectPacket,
  pubackPacket,
  publishOncePacket,
  publishPacket,
  repeated,
  subackPacket,
  subscribePacket,
} from './frames.ts'
import { median } from './statistics.ts'

/** What arrives on one side. */
interface Step {
  readonly direction: Direction
  readonly chunk: Buffer
}

interface Case {
  readonly title: string
  /** What the session has said before, besides CONNECT and CONNACK. */
  readonly before?: readonly Step[]
  /** What arrives, again and again; together whole frames. */
  readonly steps: readonly Step[]
  readonly frames: number
}

type Streams = Readonly<Record<Direction, FrameStream>>

const CHUNK = 16 * 1024
const PAYLOAD = 64
const WARM_UP_FRAMES = 100_000
const REPEATS = 9
/** CPU time is counted in microseconds and some kernels' ticks, so a repeat has to last. */
const FRAMES_A_REPEAT = 2_000_000
/** Few enough that what they leave on the heap fits the young generation, where no collection takes it away. */
const FRAMES_FOR_HEAP = 20_000
/** Filters of a session that is delivered to; the last one matches. */
const FILTERS = ['ward/7/orders/#', 'alarms/+', 'ward/7/bed/12/+']

const collect = globalThis.gc
if (collect === undefined) throw new Error('start this with node --expose-gc')

const book = defaultRulebook()
const results = [
  inChunks(`PUBLISH QoS 0, whole frames in ${CHUNK / 1024} KiB`, publishPacket(PAYLOAD)),
  exchanges(`PUBLISH QoS 1 up and its PUBACK down, whole frames in ${CHUNK / 1024} KiB`),
  exchangesCutAnywhere(`PUBLISH QoS 1 up, cut every ${CHUNK / 1024} KiB, and its PUBACK down`),
  delivered(`PUBLISH QoS 0 down, ${FILTERS.length} filters subscribed, whole frames in ${CHUNK / 1024} KiB`),
  {
    title: 'PUBLISH QoS 0, one frame a chunk',
    steps: [{ direction: 'up', chunk: publishPacket(PAYLOAD) }] as const,
    frames: 1,
  },
].map(measure)

process.stdout.write(
  [
    `| frames of ${PAYLOAD} bytes of payload, Node ${process.versions.node} | CPU ns a frame (lowest to highest) | heap bytes a frame |`,
    '| --- | ---: | ---: |',
    ...results.map(
      ({ title, cpu, heap }) =>
        `| ${title} | ${median(cpu).toFixed(1)} (${Math.min(...cpu).toFixed(1)} to ${Math.max(...cpu).toFixed(1)}) | ${heap.toFixed(2)} |`,
    ),
    '',
  ].join('\n'),
)

function inChunks(title: string, frame: Buffer, direction: Direction = 'up'): Case {
  const chunk = repeated(frame, CHUNK)
  return { title, steps: [{ direction, chunk }], frames: chunk.length / frame.length }
}

/** Messages with identifiers of their own, as many as fit a chunk, then their acknowledgements in one chunk. */
function exchanges(title: string): Case {
  const count = Math.floor(CHUNK / publishOncePacket(1, PAYLOAD).length)
  const steps: Step[] = [
    { direction: 'up', chunk: numbered(count, (id) => publishOncePacket(id, PAYLOAD)) },
    { direction: 'down', chunk: numbered(count, pubackPacket) },
  ]
  return { title, steps, frames: 2 * count }
}

/** As TCP cuts: the chunks are full, and frames lie across their borders. All are in flight before the first PUBACK. */
function exchangesCutAnywhere(title: string): Case {
  const all = numbered(CHUNK, (id) => publishOncePacket(id, PAYLOAD))
  const steps: Step[] = []
  for (let at = 0; at < all.length; at += CHUNK) {
    steps.push({ direction: 'up', chunk: all.subarray(at, at + CHUNK) })
  }
  steps.push({ direction: 'down', chunk: numbered(CHUNK, pubackPacket) })
  return { title, steps, frames: 2 * CHUNK }
}

/** To a session whose every delivery is compared with what it has subscribed to. */
function delivered(title: string): Case {
  const before: Step[] = [
    { direction: 'up', chunk: subscribePacket(1, FILTERS) },
    { direction: 'down', chunk: subackPacket(1, FILTERS.length) },
  ]
  return { ...inChunks(title, publishPacket(PAYLOAD), 'down'), before }
}

function numbered(count: number, frame: (id: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => frame(index + 1)))
}

function measure(one: Case) {
  const session = connected(one)
  push(session, one, WARM_UP_FRAMES)
  const cpu = Array.from({ length: REPEATS }, () => {
    const before = process.cpuUsage()
    const frames = push(session, one, FRAMES_A_REPEAT)
    const spent = process.cpuUsage(before)
    return ((spent.user + spent.system) * 1000) / frames
  })
  const heap = Array.from({ length: REPEATS }, () => {
    collect?.()
    const before = process.memoryUsage().heapUsed
    const frames = push(session, one, FRAMES_FOR_HEAP)
    return (process.memoryUsage().heapUsed - before) / frames
  })
  return { title: one.title, cpu, heap: Math.max(0, median(heap)) }
}

/** Pushes at least so many frames and returns how many. */
function push(streams: Streams, { steps, frames }: Case, atLeast: number): number {
  let pushed = 0
  while (pushed < atLeast) {
    for (const { direction, chunk } of steps) {
      if (streams[direction].push(chunk) < 0) throw new Error('the judge refused a frame of the benchmark')
    }
    pushed += frames
  }
  return pushed
}

/** Both directions of a session whose CONNECT was accepted, and that has said what the case begins with. */
function connected({ before = [] }: Case): Streams {
  const session = new SessionState({ book, churn: new Churn(), clock: () => 0 })
  const bench = {
    counts: new Float64Array(32),
    hits: new Float64Array(allRules.length + 1),
    watched: 0,
    witness: () => true,
    // A session that is reported is not what is measured.
    tolerated: ({ id }: { readonly id: string }) => {
      throw new Error(`the judge reported "${id}" of a frame of the benchmark`)
    },
  }
  const streams = { up: new FrameStream('up', session, bench), down: new FrameStream('down', session, bench) }
  const opening: Step[] = [
    { direction: 'up', chunk: connectPacket('bench-micro') },
    { direction: 'down', chunk: Buffer.from(CONNACK) },
  ]
  push(streams, { title: 'opening', steps: [...opening, ...before], frames: 1 }, 1)
  return streams
}

/** What is demanded by a proxy.yaml that says nothing of it. */
function defaultRulebook(): Rulebook {
  const listener = { name: 'bench', bind: '127.0.0.1:1883', upstream: 'embedded' }
  const config = configSchema.parse({ listeners: [listener] })
  return inspectionOf(config.listeners[0]!, config).book
}
