// Scenario (e)'s load: devices that publish at QoS 1 and time the acknowledgement.
import type { Socket } from 'node:net'
import { type Target, openSessions } from './device.ts'
import { publishOncePacket } from './frames.ts'
import { serve } from './worker.ts'

interface PingPongOptions {
  readonly target: Target
  readonly connections: number
  /** Messages a second of all connections together. */
  readonly rate: number
  readonly payload: number
  /** Round trips of this first part are not counted, in milliseconds. */
  readonly warmUp: number
  readonly window: number
}

const MAX_PACKET_ID = 65_535

export const pingPong = {
  /** Round trips in microseconds, in no order. */
  async run(options: PingPongOptions): Promise<number[]> {
    const sockets = await openSessions(options.target, options.connections)
    const period = (1000 * sockets.length) / options.rate
    const trips: number[] = []
    const begin = performance.now() + options.warmUp
    const until = begin + options.window
    const players = sockets.map(async (socket, index) => {
      // Each its own phase, so that no two are meant to be on their way at once.
      let due = performance.now() + (period * index) / sockets.length
      for (let id = 1; due < until; id = (id % MAX_PACKET_ID) + 1) {
        await pause(due - performance.now())
        const sent = performance.now()
        const back = await roundTrip(socket, publishOncePacket(id, options.payload))
        if (sent >= begin) trips.push((back - sent) * 1000)
        due = Math.max(due + period, back)
      }
    })
    await Promise.all(players)
    return trips
  },
}

function roundTrip(socket: Socket, message: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error('closed before the PUBACK'))
    socket.once('close', onClose)
    socket.once('data', () => {
      const back = performance.now()
      socket.off('close', onClose)
      resolve(back)
    })
    socket.write(message)
  })
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)))
}

serve(pingPong)
