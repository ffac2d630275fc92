// Scenario (c)'s load: devices that connect, say goodbye and are gone.
import { once } from 'node:events'
import { type Target, openSession } from './device.ts'
import { DISCONNECT } from './frames.ts'
import { serve } from './worker.ts'

interface StormOptions {
  readonly target: Target
  readonly connections: number
  readonly concurrency: number
}

export const storm = {
  /** Returns when the last connection has closed at both ends. */
  async run({ target, connections, concurrency }: StormOptions): Promise<void> {
    let next = 0
    const visitor = async () => {
      while (next < connections) await visit(target, next++)
    }
    await Promise.all(Array.from({ length: concurrency }, visitor))
  },
}

async function visit(target: Target, number: number): Promise<void> {
  const socket = await openSession(target, `storm-${number}`)
  // The proxy may answer the goodbye with a reset; the sink's counts say whether anything was lost.
  socket.on('error', () => undefined)
  socket.resume()
  socket.end(DISCONNECT)
  await once(socket, 'close')
}

serve(storm)
