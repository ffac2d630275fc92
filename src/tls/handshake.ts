// A handshake with a broker as plain facts, read off the socket once it is done.
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { groupName } from './groups.ts'
import { MAX_SERVED } from './path.ts'
import type { HandshakeFacts, Verdict } from './verdict.ts'

export interface Occasion {
  /** The host name or IP address the broker has to prove. */
  readonly name: string
  /** Now, in milliseconds since the epoch. */
  readonly at: number
  /** The verdict that came with the session offered, if one was offered. */
  readonly earlier?: Verdict | undefined
}

const staples = new WeakMap<TLSSocket, Buffer>()

/** Keeps the OCSP response a broker sends along for `describe`; to be called before the handshake. */
export function keepStaple(socket: TLSSocket): void {
  // Null where the broker, asked, sent none.
  socket.once('OCSPResponse', (response: Buffer | null) => {
    if (response !== null) staples.set(socket, response)
  })
}

/** What `socket`, connected with `brokerOptions`, shows when its `secureConnect` fires. */
export function describe(socket: TLSSocket, { name, at, earlier }: Occasion): HandshakeFacts {
  const resumed = socket.isSessionReused()
  return {
    name,
    at,
    authorized: socket.authorized,
    errorCode: socket.authorized ? undefined : codeOf(socket.authorizationError),
    served: resumed ? [] : servedCertificates(socket),
    staple: staples.get(socket),
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().standardName,
    group: groupName(exchangeGroup(socket)),
    resumed,
    earlier: resumed ? earlier : undefined,
  }
}

/** As served, leaf first, whether or not they sign each other. */
export function servedCertificates(socket: TLSSocket): readonly X509Certificate[] {
  const served: X509Certificate[] = []
  for (let next = socket.getPeerX509Certificate(); next !== undefined && served.length < MAX_SERVED;) {
    served.push(next)
    next = next.issuerCertificate
  }
  return served
}

function exchangeGroup(socket: TLSSocket): string | undefined {
  const info = socket.getEphemeralKeyInfo()
  return info !== null && 'name' in info && typeof info.name === 'string' ? info.name : undefined
}

/** Node's types promise an Error here; at run time it is OpenSSL's code as a string. */
function codeOf(failure: unknown): string {
  return typeof failure === 'string' ? failure : 'UNSPECIFIED'
}
