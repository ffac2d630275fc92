// Bounded waits for one end of a connection, and the packets in what it has heard.

import type { Peer } from '../help/peer.ts'

/** Milliseconds a packet may take that an ordinary peer sends at once. */
export const answerTime = 2000
/** Milliseconds in which a connection that has to be closed is; one that stands is proved by an answer to PINGREQ. */
export const closeTime = 2000
/** Milliseconds after which a connection that neither answers nor ends is taken to stand. */
export const patience = 5000

/** What a wait came to: it was heard, the other side ended first, or neither within the time. */
export type Heard = 'heard' | 'ended' | 'late'

/** Waits for `enough`; `most` in milliseconds. */
export function hear(peer: Peer, enough: (received: Buffer) => boolean, most: number): Promise<Heard> {
  return new Promise((resolve) => {
    const settle = (heard: Heard): void => {
      clearTimeout(timer)
      peer.socket.off('data', look).off('end', look).off('close', look)
      resolve(heard)
    }
    const look = (): void => {
      if (enough(peer.received)) settle('heard')
      else if (peer.ended) settle('ended')
    }
    const timer = setTimeout(() => settle('late'), most)
    peer.socket.on('data', look).on('end', look).on('close', look)
    look()
  })
}

/** Whether the other side ends within the time. */
export async function hearsEnd(peer: Peer, most: number): Promise<boolean> {
  return (await hear(peer, () => false, most)) === 'ended'
}

/** The types of the whole packets at the start of these bytes. */
export function packetTypes(bytes: Buffer): number[] {
  const types: number[] = []
  for (let at = 0; at < bytes.length;) {
    let length = 0
    let body = at + 1
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[body++]
      if (byte === undefined || shift > 21) return types
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    if (body + length > bytes.length) return types
    types.push(bytes[at]! >> 4)
    at = body + length
  }
  return types
}
