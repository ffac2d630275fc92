// One TLS handshake with one server of an upstream, within its deadlines; nothing is written and nothing is judged.

import { connect as connectPlain, type Socket } from 'node:net'
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { brokerOptions, type BrokerContext } from '../tls/contexts.ts'
import { keepStaple } from '../tls/handshake.ts'
import { Course } from './witness.ts'

export interface DialOptions {
  readonly host: string
  readonly port: number
  /** The name the broker has to prove. */
  readonly name: string
  readonly context: BrokerContext
  /** Application protocols to offer (ALPN); none by default. */
  readonly protocols?: readonly string[]
  /** A session to resume. */
  readonly session: Buffer | undefined
  /** Milliseconds. */
  readonly timeouts: { readonly dial: number; readonly handshake: number }
  /** Gets every session ticket the broker sends, for as long as the socket lives; without it none is taken. */
  readonly onTicket: ((session: Buffer) => void) | undefined
  /** Gives up while the handshake is not done. */
  readonly signal: AbortSignal
}

export interface Dialled<Kind extends Socket = TLSSocket> {
  readonly socket: Kind
  /** Duration of the TLS handshake alone. */
  readonly seconds: number
  readonly course: Course
}

/** A failed dial says in `code` what OpenSSL or the system said; `phase` tells how far it got. */
export class DialError extends Error {
  readonly phase: 'dial' | 'handshake'
  readonly course: Course
  constructor(phase: 'dial' | 'handshake', cause: Error, course: Course) {
    super(cause.message, { cause })
    this.name = 'DialError'
    this.phase = phase
    this.course = course
  }
}

export function dial({
  host,
  port,
  name,
  context,
  protocols,
  session,
  onTicket,
  ...limits
}: DialOptions): Promise<Dialled> {
  const options = { ...brokerOptions(context, name, protocols), host, port, allowHalfOpen: true }
  const socket = connect(options) as Resumable
  if (context.staple) keepStaple(socket)
  // Node converts the whole chain for a name check that ours replaces: a seventh of all a handshake costs us.
  socket.getPeerCertificate = noCertificate
  if (onTicket !== undefined) socket.on('session', onTicket)
  // Given to `connect`, it would be read twice. By now it is clear which address answered; then the handshake begins.
  if (session !== undefined) socket.prependOnceListener('connect', () => socket.setSession(session))
  return within(socket, 'secureConnect', limits)
}

/** Node has it and uses it itself; its declarations leave it out. */
type Resumable = TLSSocket & { setSession(session: Buffer): void }

/** A connection without TLS: there is nothing in it that could be judged. */
export function dialPlain({
  host,
  port,
  ...limits
}: Pick<DialOptions, 'host' | 'port' | 'timeouts' | 'signal'>): Promise<Dialled<Socket>> {
  return within(connectPlain({ host, port, allowHalfOpen: true }), 'connect', limits)
}

function within<Kind extends Socket>(
  socket: Kind,
  ready: 'connect' | 'secureConnect',
  { timeouts, signal }: Pick<DialOptions, 'timeouts' | 'signal'>,
): Promise<Dialled<Kind>> {
  const { promise, resolve, reject } = Promise.withResolvers<Dialled<Kind>>()
  const course = new Course(socket)
  const began = performance.now()
  socket.setNoDelay(true)
  let connectedAt = 0
  const settle = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
  const fail = (error: Error): void => {
    settle()
    course.breakOff()
    reject(new DialError(connectedAt === 0 ? 'dial' : 'handshake', error, course))
  }
  const late = (): void => fail(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }))
  const cancel = (): void => fail(Object.assign(new Error('given up'), { code: 'ABORT_ERR' }))
  let timer = setTimeout(late, timeouts.dial)
  const onClose = (): void =>
    fail(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' }))
  signal.addEventListener('abort', cancel)
  socket.once('connect', () => {
    connectedAt = performance.now()
    course.connected = Date.now()
    course.connectTime = connectedAt - began
    clearTimeout(timer)
    timer = setTimeout(late, timeouts.handshake)
  })
  socket.on('error', fail)
  socket.on('close', onClose)
  socket.once(ready, () => {
    course.handshakeEnded = ready === 'secureConnect' ? Date.now() : undefined
    settle()
    socket.off('error', fail)
    socket.off('close', onClose)
    resolve({ socket, seconds: (performance.now() - connectedAt) / 1000, course })
  })
  return promise
}

/** Stands in for `TLSSocket.getPeerCertificate`, whose answer nobody reads: `describe` takes the certificates as they are. */
function noCertificate(): DetailedPeerCertificate {
  return {} as DetailedPeerCertificate
}
