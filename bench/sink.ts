// The broker of the benchmark: a TLS 1.3 server that answers MQTT and counts, in a process of its own.
import { constants } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { type Server, type TLSSocket, createServer } from 'node:tls'
import type { KeyPair } from './pki.ts'
import { LOOPBACK } from './ports.ts'
import { type CpuTime, readCpuTime } from './proc.ts'
import { Scanner } from './scan.ts'
import { serve } from './worker.ts'

interface ListenOptions {
  readonly pair: KeyPair
  /** False makes every handshake a full one: tickets are then not honoured. */
  readonly resumption: boolean
}

/** What the sink has seen so far, and what the processes asked for have spent by then. */
export interface SinkSample {
  /** Nanoseconds of a steady clock. */
  readonly at: number
  readonly connects: number
  readonly publishes: number
  readonly open: number
  readonly handshakes: number
  readonly resumed: number
  readonly cpu: CpuTime
  /** The first thing that went wrong, if anything did. */
  readonly fault?: string
}

let handshakes = 0
let resumed = 0
let closedConnects = 0
let closedPublishes = 0
let fault: string | undefined
const open = new Set<Scanner>()

export const sink = {
  async listen({ pair, resumption }: ListenOptions): Promise<number> {
    const server: Server = createServer({
      cert: readFileSync(pair.cert),
      key: readFileSync(pair.key),
      minVersion: 'TLSv1.3',
      secureOptions: resumption ? 0 : constants.SSL_OP_NO_TICKET,
    })
    server.on('secureConnection', accept)
    // Where a proxy refuses the sink's certificate its handshake fails: that is for the probe to judge.
    server.on('tlsClientError', () => undefined)
    server.listen({ port: 0, host: LOOPBACK, backlog: 4096 })
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },

  /** Counts and CPU times read together, so that a window's ends fit each other. */
  sample({ pids }: { readonly pids: readonly number[] }): SinkSample {
    const cpu = readCpuTime(pids)
    const at = Number(process.hrtime.bigint())
    let [connects, publishes] = [closedConnects, closedPublishes]
    for (const scanner of open) {
      connects += scanner.connects
      publishes += scanner.publishes
    }
    const counts = { at, connects, publishes, open: open.size, handshakes, resumed, cpu }
    return fault === undefined ? counts : { ...counts, fault }
  },
}

function accept(socket: TLSSocket): void {
  const scanner = new Scanner()
  handshakes++
  if (socket.isSessionReused()) resumed++
  open.add(scanner)
  socket.setNoDelay(true)
  socket.on('data', (bytes: Buffer) => receive(socket, scanner, bytes))
  socket.on('error', () => undefined) // a reset ends in 'close' like everything else
  socket.on('close', () => {
    open.delete(scanner)
    closedConnects += scanner.connects
    closedPublishes += scanner.publishes
  })
}

function receive(socket: TLSSocket, scanner: Scanner, bytes: Buffer): void {
  try {
    const answers = scanner.take(bytes)
    if (answers !== undefined) socket.write(answers)
    if (scanner.ended) socket.end()
  } catch (error) {
    fault ??= error instanceof Error ? error.message : String(error)
    socket.destroy()
  }
}

serve(sink)
