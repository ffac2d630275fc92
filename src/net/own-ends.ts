// The connections Pulseward makes, by their local ends, so that it knows itself when it comes in by its own door.

import type { Socket } from 'node:net'
import { peerAddress, type Endpoint } from './address.ts'

/** What is asked of a socket here. */
type Ends = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>

export class OwnEnds {
  /** By local port: addresses are read only where one is met, which is hardly ever. */
  readonly #ends = new Map<number, Ends[]>()

  /** Remembers a connected socket until it is closed. */
  add(socket: Ends & Pick<Socket, 'once'>): void {
    const port = socket.localPort ?? 0
    const there = this.#ends.get(port)
    if (there === undefined) this.#ends.set(port, [socket])
    else there.push(socket)
    socket.once('close', () => this.#forget(port, socket))
  }

  /**
   * Whether the peer of an accepted socket is one of them. The kernel, redirecting a connection, leaves its source alone;
   * but it also gives one local port to connections that lead to different places, and so to a device on this machine
   * and to us. So where the peer wanted to go counts too: `destination`, or else here. Ask once the peer has sent
   * something, for a connection is accepted before it is told that it stands.
   */
  has(accepted: Ends, destination?: Endpoint): boolean {
    const candidates = this.#ends.get(accepted.remotePort ?? 0)
    if (candidates === undefined) return false
    const source = peerAddress(accepted.remoteAddress)
    const { address, port } = destination ?? {
      address: peerAddress(accepted.localAddress),
      port: accepted.localPort,
    }
    return candidates.some(
      (one) =>
        one.remotePort === port &&
        peerAddress(one.localAddress) === source &&
        peerAddress(one.remoteAddress) === address,
    )
  }

  #forget(port: number, socket: Ends): void {
    const left = this.#ends.get(port)?.filter((one) => one !== socket) ?? []
    if (left.length === 0) this.#ends.delete(port)
    else this.#ends.set(port, left)
  }
}
