// Plays captures back in tests, judged by the defaults or by what a test wants in proxy.yaml.

import { inspectionOf } from '../../src/config/rulebooks.ts'
import { configSchema } from '../../src/config/schema.ts'
import { detectorsOf, policyOf } from '../../src/config/snapshot.ts'
import { Replay } from '../../src/replay/replay.ts'
import type { Plan } from '../../src/replay/stage.ts'
import { pcap, type Frame } from './captures.ts'

/** What a proxy.yaml with one listener, and these options, judges sessions by. */
export function planOf(options: Readonly<Record<string, unknown>> = {}, port = 1883): Plan {
  const listener = { name: 'ward', bind: `127.0.0.1:${port}`, upstream: 'embedded' }
  const config = configSchema.parse({ ...options, listeners: [listener] })
  const { book, modes } = inspectionOf(config.listeners[0]!, config)
  const policy = { ...policyOf(config), rules: modes }
  return { name: 'ward', port, book, policy, detectors: detectorsOf(config), timeouts: { idle: 1000 } }
}

/** Plays captures back, one after the other, each in one chunk. */
export function replayed(files: readonly Buffer[], ...plans: readonly Plan[]): Replay {
  const [first = planOf(), ...others] = plans
  const replay = new Replay([first, ...others])
  for (const file of files) {
    const reader = replay.open()
    reader.push(file)
    reader.end()
  }
  replay.finish()
  return replay
}

/** The frames of all of them, as one interface sees them. */
export function capture(...frames: readonly (readonly Frame[])[]): Buffer {
  return pcap(frames.flat().toSorted((a, b) => a.time - b.time))
}
