// Captures played back: packets a second on one core, from the bytes of a file to the verdict on every frame in them.
import { inspectionOf } from '../src/config/rulebooks.ts'
import { configSchema } from '../src/config/schema.ts'
import { detectorsOf, policyOf } from '../src/config/snapshot.ts'
import { Replay } from '../src/replay/replay.ts'
import type { Plan } from '../src/replay/stage.ts'
import { pcap } from '../test/help/captures.ts'
import { Wire } from '../test/help/segments.ts'
import { CONNACK, connectPacket, pubackPacket, publishOncePacket, publishPacket } from './frames.ts'
import { median } from './statistics.ts'

const CHUNK = 1024 * 1024
const DEVICES = 500
const PAYLOAD = 64
const REPEATS = 9
const CASES = [
  {
    title: `QoS 0 from ${DEVICES} devices, a segment each, acknowledged by TCP`,
    rounds: 200,
    say: (wire: Wire) => wire.send('up', publishPacket(PAYLOAD)).acknowledge('down'),
  },
  {
    title: `QoS 1 from ${DEVICES} devices and its PUBACK, a segment each`,
    rounds: 200,
    say: (wire: Wire, round: number) =>
      wire.send('up', publishOncePacket(round + 1, PAYLOAD)).send('down', pubackPacket(round + 1)),
  },
] as const

process.stdout.write(
  [
    `| a capture of frames with ${PAYLOAD} bytes of payload, Node ${process.versions.node} | packets a second of CPU (lowest to highest) |`,
    '| --- | ---: |',
    ...CASES.map(({ title, rounds, say }) => {
      const speeds = measure(captureOf(rounds, say))
      const range = `${rounded(Math.min(...speeds))} to ${rounded(Math.max(...speeds))}`
      return `| ${title} | ${rounded(median(speeds))} (${range}) |`
    }),
    '',
  ].join('\n'),
)

/** The frames of all devices, a round of one after the other's. */
function captureOf(rounds: number, say: (wire: Wire, round: number) => Wire): Buffer {
  const wires = Array.from({ length: DEVICES }, (_, index) => {
    const client = { address: `10.1.${index >> 8}.${index & 255}`, port: 49_152 }
    return new Wire({ client })
      .open()
      .send('up', connectPacket(`bench-${index}`))
      .send('down', Buffer.from(CONNACK))
  })
  for (let round = 0; round < rounds; round++) for (const wire of wires) say(wire, round)
  return pcap(wires.flatMap(({ frames }) => frames).toSorted((a, b) => a.time - b.time))
}

function measure(file: Buffer): number[] {
  const plan = defaultPlan()
  return Array.from({ length: REPEATS }, () => {
    const replay = new Replay([plan])
    const before = process.cpuUsage()
    const reader = replay.open()
    for (let at = 0; at < file.length; at += CHUNK) reader.push(file.subarray(at, at + CHUNK))
    reader.end()
    replay.finish()
    const { user, system } = process.cpuUsage(before)
    const { gaps, incidents } = replay.stage
    if (gaps > 0 || incidents.worst !== undefined)
      throw new Error('the capture of the benchmark is not clean')
    return replay.packets.packets / ((user + system) / 1e6)
  })
}

function rounded(speed: number): string {
  return (Math.round(speed / 10_000) * 10_000).toLocaleString('en')
}

/** What a proxy.yaml that says nothing of it judges by. */
function defaultPlan(): Plan {
  const listener = { name: 'bench', bind: '127.0.0.1:1883', upstream: 'embedded' }
  const config = configSchema.parse({ listeners: [listener] })
  const { book, modes } = inspectionOf(config.listeners[0]!, config)
  return {
    name: 'bench',
    port: 1883,
    book,
    policy: { ...policyOf(config), rules: modes },
    detectors: detectorsOf(config),
    timeouts: { idle: Infinity },
  }
}
