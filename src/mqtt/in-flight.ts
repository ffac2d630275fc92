// Which packet identifiers one side has in flight, and how far each has come.

/** How far the exchange of one packet identifier has come (MQTT 5.0, 4.3). */
export const Stage = {
  free: 0,
  /** QoS 1, waits for PUBACK. */
  puback: 1,
  /** QoS 2, waits for PUBREC. */
  pubrec: 2,
  /** QoS 2, PUBREC has come; its sender owes PUBREL. */
  pubrel: 3,
  /** QoS 2, PUBREL is sent; waits for PUBCOMP. */
  pubcomp: 4,
  suback: 5,
  unsuback: 6,
  /** Acknowledged as what it was not; from here on no acknowledgement of it can be wrong. */
  muddled: 7,
  /** Acknowledged, but it was sent more than once, or its identifier was, and more acknowledgements may come. */
  echoing: 8,
} as const

const pageSize = 256

interface Page {
  readonly entries: Uint16Array
  used: number
}

/**
 * At most the 65,535 identifiers there are, in pages of 256 that come and go: 128 KiB for a side that has all of them in
 * flight, half a kilobyte for one that waits for each acknowledgement. Nothing can overflow.
 */
export class InFlight {
  readonly #pages: (Page | undefined)[] = []
  /** Kept for the next, so that identifiers that count up cost no allocation. */
  #spare: Page | undefined

  /** Bits 0–3 the stage, 4–7 times sent again, 8–15 for whoever writes them. */
  get(id: number): number {
    const page = this.#pages[id >> 8]
    return page === undefined ? 0 : page.entries[id & 0xff]!
  }

  set(id: number, value: number): void {
    const at = id >> 8
    let page = this.#pages[at]
    if (page === undefined) {
      if (value === 0) return
      page = this.#spare ?? { entries: new Uint16Array(pageSize), used: 0 }
      this.#spare = undefined
      this.#pages[at] = page
    }
    const before = page.entries[id & 0xff]!
    page.entries[id & 0xff] = value
    if (before === 0 && value !== 0) page.used += 1
    else if (before !== 0 && value === 0 && --page.used === 0) {
      this.#pages[at] = undefined
      this.#spare = page
    }
  }
}
