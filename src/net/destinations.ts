// From where an intercepted device was going to what is done with it.

import { addressBytes, type Endpoint } from './address.ts'
import { contains, type Network } from './network.ts'

/** Addresses and a port that devices have in their settings. */
export interface Destination {
  readonly network: Network
  readonly port: number
}

export class Destinations<Way> {
  readonly #entries: readonly (Destination & { readonly way: Way })[]
  /** For everything no entry fits; undefined where that is refused. */
  readonly others: Way | undefined

  /** The first entry that fits counts. */
  constructor(entries: readonly (Destination & { readonly way: Way })[], others: Way | undefined) {
    this.#entries = entries
    this.others = others
  }

  find({ address, port }: Endpoint): Way | undefined {
    if (this.#entries.length === 0) return this.others
    const bytes = addressBytes(address)
    if (bytes === undefined) return this.others
    for (const { network, port: own, way } of this.#entries)
      if (port === own && contains(network, bytes)) return way
    return this.others
  }
}
