// What two sides of a connection say to each other: MQTT, which is judged; TLS, of which the first words are read; or else.

import { parseClientHello, type ClientHello } from '../tls/client-hello.ts'
import type { Direction } from '../mqtt/packet.ts'
import { sniff, type Sniffed } from '../net/sniff.ts'
import type { Listener, Side } from './connection.ts'
import { recognise } from './recognise.ts'

/** `silent`: nobody said a word; `joined`: the capture began later; `undecided`: it ended before that was clear. */
export type TalkKind = 'silent' | 'joined' | 'undecided' | 'mqtt' | 'tls' | 'other'

/** Who is told what a connection speaks, and hears the MQTT of it. */
export interface Audience {
  /** Whether devices connect to speak MQTT where this side connects to, so that whatever else they speak is a mistake. */
  isMqttPort(client: Side): boolean
  /** MQTT; `up` comes from the client. */
  mqtt(client: Side): Conversation
  tls(client: Side, hello: ClientHello): void
  /** On a port for MQTT: what else the client spoke, completed by this packet. */
  stranger(client: Side, name: string, packet: number): void
  /** Bytes of a conversation are not in the capture. */
  gap(): void
  end(kind: TalkKind, bytes: number): void
}

export interface Conversation {
  take(direction: Direction, bytes: Buffer, packet: number): void
  end(): void
}

const nothing: Buffer = Buffer.alloc(0)

export class Talk implements Listener {
  isDeaf = false
  #kind: TalkKind = 'silent'
  #client: Side | undefined
  readonly #sawStart: boolean
  readonly #audience: Audience
  /** What the client said until it was clear what that is. */
  #first = nothing
  #conversation: Conversation | undefined

  /** `client` is the side that opened the connection; undefined where the capture began later. */
  constructor(client: Side | undefined, audience: Audience) {
    this.#client = client
    this.#sawStart = client !== undefined
    this.#audience = audience
  }

  take(side: Side, bytes: Buffer, packet: number): void {
    if (this.#conversation !== undefined) return this.#pass(side, bytes, packet)
    const client = (this.#client ??= side)
    if (side !== client) return this.#answered()
    this.#first = this.#first.length === 0 ? bytes : Buffer.concat([this.#first, bytes])
    this.#decide(client, packet)
    // What came lies in the buffer of the capture's reader.
    if (this.#first === bytes) this.#first = Buffer.from(bytes)
  }

  lost(): void {
    if (this.#conversation !== undefined) this.#audience.gap()
    this.isDeaf = true
  }

  end(bytes: number): void {
    this.#conversation?.end()
    this.#audience.end(this.#kind, bytes)
  }

  #decide(client: Side, packet: number): void {
    const trusting = this.#sawStart && this.#audience.isMqttPort(client)
    const sniffed: Sniffed = trusting ? sniff(this.#first) : recognise(this.#first)
    if (sniffed === 'more') this.#kind = 'undecided'
    else if (sniffed.kind === 'other') {
      if (trusting) this.#audience.stranger(client, sniffed.name, packet)
      this.#leave(this.#sawStart ? 'other' : 'joined')
    } else if (sniffed.kind === 'tls') this.#hello(client)
    else this.#converse(client, packet)
  }

  #converse(client: Side, packet: number): void {
    this.#kind = 'mqtt'
    this.#conversation = this.#audience.mqtt(client)
    const first = this.#first
    this.#first = nothing
    this.#pass(client, first, packet)
  }

  #hello(client: Side): void {
    this.#kind = 'undecided'
    const result = parseClientHello(this.#first, 0, this.#first.length)
    if (result === 'more') return
    if (typeof result === 'object' && 'hello' in result) this.#audience.tls(client, result.hello)
    this.#leave('tls')
  }

  /** The other side speaks before it is clear what the client does: no broker, and no TLS server, does that. */
  #answered(): void {
    this.#leave(this.#sawStart ? 'other' : 'joined')
  }

  #pass(side: Side, bytes: Buffer, packet: number): void {
    this.#conversation?.take(side === this.#client ? 'up' : 'down', bytes, packet)
  }

  #leave(kind: TalkKind): void {
    this.#kind = kind
    this.#first = nothing
    this.isDeaf = true
  }
}
