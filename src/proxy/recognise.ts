// The far end of a pair on a fresh TLS connection: waits for the proof of a near end, judges it, and has its own ready.

import type { TLSSocket } from 'node:tls'
import { answer, type Finding } from '../pair/exchange.ts'
import { FrameReader, PAIR_PROTOCOL } from '../pair/frame.ts'
import type { PairKeys } from '../pair/keys.ts'
import type { ClientHello } from '../tls/client-hello.ts'
import { bindingOfSocket } from './prove.ts'

export interface Recognised {
  readonly finding: Finding
  /** What the other end is to be told: our proof, for a near end that is known, be it at another connection. */
  readonly reply: Buffer | undefined
}

/** As OpenSSL wants it: the name after its length. */
export const pairProtocolOnWire: Uint8Array = Buffer.from([
  PAIR_PROTOCOL.length,
  ...Buffer.from(PAIR_PROTOCOL),
])

/** The fatal alert `no_application_protocol` (RFC 7301, 3.2; RFC 8446, 6), as said before there are keys. */
export const noSuchProtocol: Buffer = Buffer.from('15030300020278', 'hex')

/** Whether a client offers to prove itself as a near end. */
export function offersProof({ alpn }: ClientHello): boolean {
  return alpn.includes(PAIR_PROTOCOL)
}

/**
 * Takes one frame off the connection, whose handshake is done. `settle` is called once, with the socket paused and no
 * listener of ours left. The deadline is the caller's.
 */
export function recognise(tls: TLSSocket, keys: PairKeys, settle: (seen: Recognised) => void): void {
  const reader = new FrameReader()
  const end = (seen: Recognised): void => {
    tls.pause()
    tls.off('data', onData)
    tls.off('end', gone)
    tls.off('close', gone)
    tls.off('error', gone)
    settle(seen)
  }
  const refuse = (fault: 'pair-missing' | 'pair-unproven', reason: string): void =>
    end({ finding: { proven: false, fault, reason }, reply: undefined })
  const gone = (): void => refuse('pair-missing', 'it hung up before it proved itself')
  const onData = (chunk: Buffer): void => {
    const frame = reader.push(chunk)
    if (frame === 'more') return
    if ('fault' in frame) return refuse('pair-unproven', `it sent ${frame.fault}`)
    const { finding, reply } = answer(keys, frame, bindingOfSocket(tls))
    end({ finding, reply })
  }
  tls.on('data', onData)
  tls.on('end', gone)
  tls.on('close', gone)
  tls.on('error', gone)
  // Before TLS 1.3 two connections can be made to look the same (RFC 7627).
  if (tls.getProtocol() !== 'TLSv1.3') refuse('pair-missing', 'it speaks no TLS 1.3')
}
