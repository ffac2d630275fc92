// Scenario (a)'s load: many devices, each publishing now and then at its own moment.
import type { Socket } from 'node:net'
import { type Target, openSessions } from './device.ts'
import { publishPacket } from './frames.ts'
import { serve } from './worker.ts'

interface PacedOptions {
  readonly target: Target
  readonly connections: number
  /** Messages a second of all connections together. */
  readonly rate: number
  readonly payload: number
}

let running = false
let sent = 0
/** Messages that left together with another, because the load woke up late. */
let bunched = 0

export const paced = {
  async start({ target, connections, rate, payload }: PacedOptions): Promise<void> {
    const sockets = await openSessions(target, connections)
    running = true
    publish(sockets, publishPacket(payload), rate)
  },

  /** Ends the publishing; the connections stay. */
  stop(): { sent: number; bunched: number } {
    running = false
    return { sent, bunched }
  },
}

/**
 * Sends message n at n / rate, on connection n modulo their number. Timers have steps of 1 ms, in which eight messages
 * would leave together and reach the proxy in one wake-up, so the time between is slept away on a futex, which
 * keeps to some 60 µs, and the event loop has its turn after every message.
 */
function publish(sockets: readonly Socket[], message: Buffer, rate: number): void {
  const gap = 1000 / rate
  const start = performance.now()
  const never = new Int32Array(new SharedArrayBuffer(4))
  const turn = () => {
    const wait = start + sent * gap - performance.now()
    if (wait > 0) Atomics.wait(never, 0, 0, wait)
    const due = Math.floor((performance.now() - start) / gap) + 1
    bunched += Math.max(0, due - sent - 1)
    for (; sent < due; sent++) sockets[sent % sockets.length]?.write(message)
    if (running) setImmediate(turn)
  }
  turn()
}

serve(paced)
