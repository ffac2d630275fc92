// The least time that something took of late: a floor that only a longer way, or somebody in it, raises.

/** So many times make one look at the floor: some of them were not delayed by anything else. */
const LOOK = 16
/** Below this a jump is the noise of two machines; milliseconds. */
const NOISE = 5

export class RoundTrips {
  #count = 0
  #least = Infinity

  /**
   * Takes one time in milliseconds. Returns the floor to keep, after every sixteenth, and whether it is a jump: more than
   * twice what it was. Below that it is the lowest ever seen, so that it cannot creep up unnoticed.
   */
  take(
    time: number,
    floor: number | undefined,
  ): { readonly floor: number; readonly jumped: boolean } | undefined {
    this.#count += 1
    this.#least = Math.min(this.#least, time)
    if (this.#count < LOOK) return undefined
    const least = Math.round(this.#least * 10) / 10
    this.#count = 0
    this.#least = Infinity
    if (floor === undefined) return { floor: least, jumped: false }
    const jumped = least > 2 * floor + NOISE
    return { floor: jumped ? least : Math.min(floor, least), jumped }
  }
}
