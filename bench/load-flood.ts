// Scenario (b)'s load: a few devices that send as fast as the connection takes it.
import type { Socket } from 'node:net'
import { type Target, openSessions } from './device.ts'
import { publishPacket, repeated } from './frames.ts'
import { serve } from './worker.ts'

interface FloodOptions {
  readonly target: Target
  readonly connections: number
  readonly payload: number
}

const CHUNK = 256 * 1024

export const flood = {
  async start({ target, connections, payload }: FloodOptions): Promise<void> {
    const sockets = await openSessions(target, connections)
    const chunk = repeated(publishPacket(payload), CHUNK)
    for (const socket of sockets) pour(socket, chunk)
  },
}

function pour(socket: Socket, chunk: Buffer): void {
  socket.write(chunk, (error) => {
    if (!error) pour(socket, chunk)
  })
}

serve(flood)
