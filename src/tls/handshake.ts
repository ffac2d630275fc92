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
  /** Examines all of it, whatever is known. */
  readonly afresh?: boolean
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
export function describe(socket: TLSSocket, { name, at, earlier, afresh = false }: Occasion): HandshakeFacts {
  const resumed = socket.isSessionReused()
  const leaf = resumed ? undefined : socket.getPeerX509Certificate()
  let served: readonly X509Certificate[] | undefined
  return {
    name,
    at,
    authorized: socket.authorized,
    errorCode: socket.authorized ? undefined : codeOf(socket.authorizationError),
    leaf,
    /** Making objects of the others costs as much as judging them; nearly always the leaf was seen before. */
    get served() {
      return (served ??= chainOf(leaf))
    },
    afresh,
    staple: staples.get(socket),
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().standardName,
    group: groupName(exchangeGroup(socket)),
    resumed,
    earlier: resumed ? earlier : undefined,
  }
}

/** As served, leaf first, whether or not they sign each other. */
export function chainOf(leaf: X509Certificate | undefined): readonly X509Certificate[] {
  const served: X509Certificate[] = []
  for (let next = leaf; next !== undefined && served.length < MAX_SERVED; next = next.issuerCertificate) {
    served.push(next)
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
