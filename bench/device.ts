// The device's end of a connection: opens it, says CONNECT and waits for the CONNACK.
import { type Socket, connect as connectTcp } from 'node:net'
import { type TLSSocket, connect as connectTls } from 'node:tls'
import { readFileSync } from 'node:fs'
import { BROKER_NAME } from './pki.ts'
import { LOOPBACK } from './ports.ts'
import { connectPacket } from './frames.ts'

export interface Target {
  readonly port: number
  /** The authority's PEM file when the target speaks TLS: the sink itself, without a proxy. */
  readonly ca?: string
}

const CONNACK_TIMEOUT = 15_000
const CONNACK_LENGTH = 4

/**
 * Opens one MQTT session; the socket is left without listeners but the ones the caller adds.
 * @throws {Error} when the connection ends, is refused or is silent for 15 s
 */
export function openSession(target: Target, clientId: string, timeout = CONNACK_TIMEOUT): Promise<Socket> {
  const socket = dial(target)
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const timer = setTimeout(() => fail(`no CONNACK within ${timeout / 1000} s`), timeout)
  const fail = (why: string) => {
    clearTimeout(timer)
    socket.destroy()
    reject(new Error(`${clientId}: ${why}`))
  }
  const onError = (error: Error) => fail(error.message)
  const onClose = () => fail('closed before the CONNACK')
  const onData = (bytes: Buffer) => {
    if (bytes.length !== CONNACK_LENGTH || bytes[0] !== 0x20)
      return fail(`not a CONNACK: ${bytes.toString('hex')}`)
    if (bytes[3] !== 0) return fail(`refused with return code ${bytes[3]}`)
    clearTimeout(timer)
    socket.off('error', onError).off('close', onClose).off('data', onData)
    resolve(socket)
  }
  socket.on('error', onError).on('close', onClose).on('data', onData)
  socket.setNoDelay(true)
  socket.write(connectPacket(clientId))
  return promise
}

/** Opens sessions named `PREFIX-0`, `PREFIX-1`, …, at most `concurrency` of them at a time. */
export async function openSessions(target: Target, count: number, concurrency = 50): Promise<Socket[]> {
  const sockets: Socket[] = []
  let next = 0
  const opener = async () => {
    while (next < count) {
      const socket = await openSession(target, `bench-${next++}`)
      // A proxy that drops a session is found out by the sink's counts; here it must only not end the process.
      socket.on('error', () => undefined)
      socket.resume()
      sockets.push(socket)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, opener))
  return sockets
}

function dial({ port, ca }: Target): Socket | TLSSocket {
  if (ca === undefined) return connectTcp({ port, host: LOOPBACK })
  return connectTls({
    port,
    host: LOOPBACK,
    ca: readFileSync(ca),
    servername: BROKER_NAME,
    minVersion: 'TLSv1.3',
  })
}
