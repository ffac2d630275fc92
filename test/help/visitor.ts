// Devices by the thousand, as a program of its own, so that it can run on another machine of a test: one line of JSON tells
// what came of them.

import { connect } from 'node:net'
import { connectPacket, publishPacket } from './packets.ts'

export interface Visit {
  readonly host: string
  readonly port: number
  /** Devices, each with a CONNECT, a PUBLISH with QoS 1 and a DISCONNECT. */
  readonly count: number
  /** At once. */
  readonly parallel: number
  readonly name: string
}

export interface Visited {
  /** Devices that had both CONNACK and PUBACK. */
  readonly served: number
  /** How many ended otherwise, and how. */
  readonly lost: Readonly<Record<string, number>>
}

if (import.meta.main) {
  const visited = await visit(JSON.parse(process.argv[2] ?? '{}') as Visit)
  process.stdout.write(`${JSON.stringify(visited)}\n`)
}

async function visit({ host, port, count, parallel, name }: Visit): Promise<Visited> {
  const lost: Record<string, number> = {}
  let served = 0
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const outcome = await one(host, port, `${name}-${next++}`)
      if (outcome === 'served') served += 1
      else lost[outcome] = (lost[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, worker))
  return { served, lost }
}

function one(host: string, port: number, clientId: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect({ host, port, noDelay: true })
  let answer: Buffer = Buffer.alloc(0)
  socket.setTimeout(20_000, () => socket.destroy(new Error('timeout')))
  socket.on('connect', () => socket.write(connectPacket({ version: 4, clientId })))
  socket.on('data', (chunk: Buffer) => {
    const before = answer.length
    answer = Buffer.concat([answer, chunk])
    if (before < 4 && answer.length >= 4) {
      if (answer[3] !== 0) return void socket.destroy(new Error(`connack ${answer[3]}`))
      socket.write(publishPacket({ version: 4, topic: 'ward/pulse', qos: 1, id: 1, payload: '72' }))
    }
    if (answer.length === 8) {
      resolve(answer[4] === 0x40 ? 'served' : 'no puback')
      socket.end(Buffer.from([0xe0, 0]))
    }
  })
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  socket.on('close', () => resolve('closed'))
  return promise
}
