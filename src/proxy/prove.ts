// The near end of a pair on a connection that is trusted so far: sends its proof, and judges the one that comes back.

import type { TLSSocket } from 'node:tls'
import { bindingOf, EXPORTER, introduce, judgeAnswer, type Finding } from '../pair/exchange.ts'
import { FrameReader, PAIR_PROTOCOL } from '../pair/frame.ts'
import type { PairKeys } from '../pair/keys.ts'
import type { Writes } from './writes.ts'

interface ProveOptions {
  readonly keys: PairKeys
  readonly writes: Writes
  /** Milliseconds until the other end must have answered. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/** What the application protocol of paired mode is offered as. */
export const pairProtocols: readonly string[] = [PAIR_PROTOCOL]

/** Our side's hash of what both ends of a TLS connection see of it; 32 bytes. */
export function bindingOfSocket(socket: TLSSocket): Buffer {
  return bindingOf(socket.exportKeyingMaterial(EXPORTER.length, EXPORTER.label, Buffer.alloc(0)))
}

/**
 * Settles whether the other end of the connection is the far end this upstream is paired with. Nothing but the proof is
 * written. The socket is left paused where the other end answered, without listeners of ours. Rejects with the code `PAIR_CLOSED` where the other end
 * hung up instead of answering, and with `ABORT_ERR` once nobody waits any more: either says nothing about who it is.
 */
export async function prove(
  socket: TLSSocket,
  { keys, writes, timeout, signal }: ProveOptions,
): Promise<Finding> {
  if (socket.alpnProtocol !== PAIR_PROTOCOL || socket.getProtocol() !== 'TLSv1.3') {
    return missing('it shows the right certificate and does not offer to prove itself')
  }
  const { promise, resolve, reject } = Promise.withResolvers<Finding>()
  const binding = bindingOfSocket(socket)
  const sent = introduce(keys, binding)
  const reader = new FrameReader()
  const onData = (chunk: Buffer): void => {
    const frame = reader.push(chunk)
    if (frame === 'more') return
    // Whatever else has come is for the session to judge.
    socket.pause()
    if ('fault' in frame) {
      resolve({ proven: false, fault: 'pair-unproven', reason: `it sent ${frame.fault}` })
    } else resolve(judgeAnswer(keys, sent, frame, binding))
  }
  const closed = (): void => reject(coded('hung up instead of proving itself', 'PAIR_CLOSED'))
  const cancel = (): void => reject(coded('given up', 'ABORT_ERR'))
  const timer = setTimeout(() => resolve(missing('it agreed to prove itself and stayed silent')), timeout)
  socket.on('data', onData)
  socket.on('end', closed)
  socket.on('close', closed)
  socket.on('error', closed)
  signal.addEventListener('abort', cancel)
  writes.prove(sent)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
    socket.off('data', onData)
    socket.off('end', closed)
    socket.off('close', closed)
    socket.off('error', closed)
  }
}

function missing(reason: string): Finding {
  return { proven: false, fault: 'pair-missing', reason }
}

function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
