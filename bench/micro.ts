// The frame judge alone, without sockets: CPU time and heap a frame; run with --expose-gc.
import { FrameStream } from '../src/mqtt/frames.ts'
import { SessionState } from '../src/mqtt/session.ts'
import { CONNACK, connectPacket, publishOncePacket, publishPacket, repeated } from './frames.ts'
import { median } from './statistics.ts'

interface Case {
  readonly title: string
  /** What arrives, again and again; together whole frames. */
  readonly chunks: readonly Buffer[]
  readonly frames: number
}

const CHUNK = 16 * 1024
const PAYLOAD = 64
const WARM_UP_FRAMES = 100_000
const REPEATS = 9
/** CPU time is counted in microseconds and some kernels' ticks, so a repeat has to last. */
const FRAMES_A_REPEAT = 2_000_000
/** Few enough that what they leave on the heap fits the young generation, where no collection takes it away. */
const FRAMES_FOR_HEAP = 20_000
const LIMITS = { connect: 64 * 1024, control: 1024 * 1024, publish: 1024 * 1024 }

const collect = globalThis.gc
if (collect === undefined) throw new Error('start this with node --expose-gc')

const results = [
  inChunks(`PUBLISH QoS 0, whole frames in ${CHUNK / 1024} KiB`, publishPacket(PAYLOAD)),
  inChunks(`PUBLISH QoS 1, whole frames in ${CHUNK / 1024} KiB`, publishOncePacket(7, PAYLOAD)),
  cutAnywhere(`PUBLISH QoS 1, cut every ${CHUNK / 1024} KiB`, publishOncePacket(7, PAYLOAD)),
  { title: 'PUBLISH QoS 0, one frame a chunk', chunks: [publishPacket(PAYLOAD)], frames: 1 },
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

function inChunks(title: string, frame: Buffer): Case {
  const chunk = repeated(frame, CHUNK)
  return { title, chunks: [chunk], frames: chunk.length / frame.length }
}

/** As TCP cuts: the chunks are full, and frames lie across their borders. */
function cutAnywhere(title: string, frame: Buffer): Case {
  const all = Buffer.concat(Array.from({ length: CHUNK }, () => frame))
  const chunks = Array.from({ length: frame.length }, (_, index) =>
    all.subarray(index * CHUNK, (index + 1) * CHUNK),
  )
  return { title, chunks, frames: CHUNK }
}

function measure(one: Case) {
  const stream = connectedStream()
  push(stream, one, WARM_UP_FRAMES)
  const cpu = Array.from({ length: REPEATS }, () => {
    const before = process.cpuUsage()
    const frames = push(stream, one, FRAMES_A_REPEAT)
    const spent = process.cpuUsage(before)
    return ((spent.user + spent.system) * 1000) / frames
  })
  const heap = Array.from({ length: REPEATS }, () => {
    collect?.()
    const before = process.memoryUsage().heapUsed
    const frames = push(stream, one, FRAMES_FOR_HEAP)
    return (process.memoryUsage().heapUsed - before) / frames
  })
  return { title: one.title, cpu, heap: Math.max(0, median(heap)) }
}

/** Pushes at least so many frames and returns how many. */
function push(stream: FrameStream, { chunks, frames }: Case, atLeast: number): number {
  let pushed = 0
  while (pushed < atLeast) {
    for (const chunk of chunks) {
      if (stream.push(chunk) < 0) throw new Error('the judge refused a frame of the benchmark')
    }
    pushed += frames
  }
  return pushed
}

/** The stream from a device whose CONNECT was accepted. */
function connectedStream(): FrameStream {
  const session = new SessionState({ book: BOOK, churn: new Churn(), clock: () => 0 })
  const extras = {
    counts: new Float64Array(32),
    hits: new Float64Array(allRules.length + 1),
    watched: 0,
    witness: () => true,
    tolerated: () => undefined,
  }
  const up = new FrameStream('up', session, extras)
  const down = new FrameStream('down', session, extras)
  const outcomes = [up.push(connectPacket('bench-micro')), down.push(Buffer.from(CONNACK))]
  if (outcomes.some((outcome) => outcome < 0))
    throw new Error('the judge refused the benchmark’s CONNECT or CONNACK')
  return up
}
