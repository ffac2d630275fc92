// Free ports for programs that must be told theirs.
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { once } from 'node:events'

// Below Linux's range for outgoing connections, one of which could otherwise take the port before its program does.
const LOWEST = 20_000
const HIGHEST = 32_000
const TRIES = 50

export const LOOPBACK = '127.0.0.1'

/** @throws {Error} when dozens of ports tried are all taken. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = randomInt(LOWEST, HIGHEST)
    if (await isFree(port)) return port
  }
  throw new Error(`no free port from ${LOWEST} to ${HIGHEST} in ${TRIES} tries`)
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, LOOPBACK)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
