// The local ends of the connections Pulseward makes, so that it knows itself when it comes in by its own door.

import type { Socket } from 'node:net'
import { peerAddress } from './address.ts'

export class OwnEnds {
  readonly #ends = new Set<string>()

  /** Remembers a connected socket until it is closed. */
  add(socket: Socket): void {
    const end = endOf(socket.localAddress, socket.localPort)
    this.#ends.add(end)
    socket.once('close', () => this.#ends.delete(end))
  }

  /**
   * Whether the peer of an accepted socket is one of them: the kernel, redirecting a connection, leaves its source
   * alone. Ask once the peer has sent something, for a connection is accepted before it is told that it stands.
   */
  has(accepted: Socket): boolean {
    return this.#ends.size > 0 && this.#ends.has(endOf(accepted.remoteAddress, accepted.remotePort))
  }
}

function endOf(address: string | undefined, port: number | undefined): string {
  return `${peerAddress(address)} ${port}`
}
