// How a connection to a broker sets out where TCP alone will not do: from the address of a device, or announced for it.

import { connect, isIP, type Socket } from 'node:net'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { ownMark, type Native } from '../net/native.ts'
import { writeProxyV1, writeProxyV2, type Particulars, type Route } from '../net/proxy-protocol.ts'
import { resolveAll, systemLookup } from '../net/resolve.ts'

/** The device on whose behalf a broker is dialled. */
export interface Caller extends Route, Particulars {
  /** Makes sockets with addresses of others; undefined where the broker is to see ours. */
  readonly disguise: Native | undefined
}

interface Journey {
  /** A name or an IP address. */
  readonly to: { readonly host: string; readonly port: number }
  /** Undefined where no device asked for it. */
  readonly caller: Caller | undefined
  readonly announce: UpstreamPlan['proxyProtocol']
  /** Milliseconds. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/** A connected socket, and how many milliseconds the connection took. */
export interface Departed {
  readonly socket: Socket
  readonly connectTime: number
}

/**
 * A connected socket that has nothing but the PROXY header written to it, if that. Rejects with the system's code, `ETIMEDOUT`, `ERR_NO_COMMON_ADDRESS` where the broker has no
 * address of the device's family, or as an abort.
 */
export async function depart(journey: Journey): Promise<Departed> {
  const { to, caller, announce, signal } = journey
  const deadline = AbortSignal.timeout(journey.timeout)
  const socket =
    caller?.disguise === undefined ? connect({ ...to, allowHalfOpen: true }) : await disguised(journey)
  const began = performance.now()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = (): void => reject(coded('ETIMEDOUT'))
  const cancel = (): void => reject(Object.assign(coded('ABORT_ERR'), { name: 'AbortError' }))
  deadline.addEventListener('abort', late)
  signal.addEventListener('abort', cancel)
  // The listener stays: TLS above reports what matters later, and a socket without one would end the process.
  socket.on('error', reject)
  socket.once('connect', () => resolve())
  if (signal.aborted) cancel()
  try {
    await promise
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    deadline.removeEventListener('abort', late)
    signal.removeEventListener('abort', cancel)
  }
  const connectTime = performance.now() - began
  if (announce === 'v1') socket.write(writeProxyV1(caller))
  else if (announce === 'v2') socket.write(writeProxyV2(caller, caller))
  return { socket, connectTime }
}

/** The kernel has to know the device's address before it knows the broker's, so names are resolved here. */
async function disguised({ to, caller, timeout, signal }: Journey): Promise<Socket> {
  const { source, disguise } = caller!
  const family = isIP(source.address)
  const { addresses } = await resolveAll(to.host, { lookup: systemLookup, timeout, signal })
  const host = addresses.find((address) => isIP(address) === family)
  if (host === undefined || (family !== 4 && family !== 6)) throw coded('ERR_NO_COMMON_ADDRESS')
  return disguise!
    .outgoing({ to: family, mark: ownMark, from: source.address })
    .connect({ host, port: to.port })
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code })
}
