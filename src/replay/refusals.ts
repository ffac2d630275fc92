// The sessions of a capture that the proxy would have ended, each with the packet at which; the first of them, and sums.

import type { Direction } from '../mqtt/packet.ts'
import type { Place } from './incidents.ts'

export interface Refusal {
  readonly time: number
  readonly place: Place
  readonly address: string
  readonly clientId: string
  /** Rule or detector, or what was spoken instead of MQTT. */
  readonly reason: string
  readonly direction: Direction
  /** Payload of the session that comes after this in the capture, and would not have gone on. */
  readonly bytesAfter: number
}

type Draft = { -readonly [Name in keyof Refusal]: Refusal[Name] }

const mostListed = 1000

export class Refusals {
  count = 0
  /** Those of connections that began with neither MQTT nor TLS. */
  strangers = 0
  bytesAfter = 0
  readonly #listed: Draft[] = []

  /** Returns what is to be called with the bytes that come after. */
  add(refusal: Omit<Refusal, 'bytesAfter'>): (bytes: number) => void {
    const draft = { ...refusal, bytesAfter: 0 }
    this.count += 1
    if (this.#listed.length < mostListed) this.#listed.push(draft)
    return (bytes) => {
      draft.bytesAfter += bytes
      this.bytesAfter += bytes
    }
  }

  get listed(): readonly Refusal[] {
    return this.#listed
  }
}
