// Registers every session with the desk that knows the devices, and asks the sockets what the desk wants to know.

import type { Socket } from 'node:net'
import type { Finding } from '../detect/finding.ts'
import { connectTraits } from '../identity/connect-profile.ts'
import type { Desk, Visitor } from '../identity/desk.ts'
import type { SynFacts } from '../identity/observation.ts'
import { peerAddress } from '../net/address.ts'

/** What only the operating system knows of a connection; undefined where it does not tell. */
export interface SocketReaders {
  readonly syn: (socket: Socket) => SynFacts | undefined
  /** Milliseconds. */
  readonly roundTrip: (socket: Socket) => number | undefined
}

/** Where a session comes from. */
export interface Caller {
  readonly listener: string
  readonly upstream: string
  readonly address: string
  /** The connection itself, below TLS. */
  readonly socket: Socket
  readonly ja4: string | undefined
  /** Milliseconds since 1970. */
  readonly learnsUntil: number
}

interface RegistrarDeps {
  readonly desk: Desk
  readonly readers: SocketReaders
  readonly hashLogin: (login: Uint8Array) => string | undefined
  /** When a listener was first there, in milliseconds since 1970. */
  readonly since: (listener: string) => number
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

/** A CONNECT that passed every check; `body` is where its variable header begins. */
export interface ConnectPacket {
  readonly bytes: Buffer
  readonly body: number
  readonly end: number
}

/** Registers the device of one session; `later` is told of what is found while the session is open. */
export type Register = (
  clientId: string,
  packet: ConnectPacket,
  later: (finding: Finding) => void,
) => Registration | undefined

/** A session that is registered. */
export interface Registration {
  /** What is to be told of it now. */
  readonly finding: Finding | undefined
  /** The broker accepted it. */
  accepted(): void
  /** It is over; called once. */
  left(): void
}

export class Registrar {
  readonly #deps: RegistrarDeps

  constructor(deps: RegistrarDeps) {
    this.#deps = deps
  }

  /** Until when the devices of a listener are learnt that learns for so many milliseconds. */
  learnsUntil(listener: string, learn: number): number {
    return this.#deps.since(listener) + learn
  }

  /** A device without an identifier of its own cannot be known again, and is not registered. */
  register(
    caller: Caller,
    clientId: string,
    packet: ConnectPacket,
    later: (finding: Finding) => void,
  ): Registration | undefined {
    if (clientId === '') return undefined
    const { desk, readers, hashLogin, clock } = this.#deps
    const { profile, login } = connectTraits(packet.bytes, packet.body, packet.end)
    const { socket, address, ja4 } = caller
    const at = clock()
    // What the kernel knows of the connection of a proxy is nothing of the device it speaks for.
    const isOwn = peerAddress(socket.remoteAddress) === address
    const syn = isOwn ? readers.syn(socket) : undefined
    const { visitor, finding } = desk.arrive(
      {
        realm: caller.upstream,
        clientId,
        listener: caller.listener,
        at,
        traits: {
          address,
          ja4,
          profile,
          login: login && hashLogin(login),
          syn: syn?.profile,
          hops: syn && String(syn.hops),
        },
        frameMac: syn?.mac,
        roundTrip: isOwn ? readers.roundTrip(socket) : undefined,
      },
      at < caller.learnsUntil,
      later,
    )
    return new Registered(desk, visitor, finding)
  }
}

class Registered implements Registration {
  readonly finding: Finding | undefined
  readonly #desk: Desk
  readonly #visitor: Visitor

  constructor(desk: Desk, visitor: Visitor, finding: Finding | undefined) {
    this.#desk = desk
    this.#visitor = visitor
    this.finding = finding
  }

  accepted(): void {
    this.#desk.accepted(this.#visitor)
  }

  left(): void {
    this.#desk.left(this.#visitor)
  }
}
