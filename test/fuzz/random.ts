// The fuzzer's own random numbers: small, fast, and the same for the same seed and case on every machine.

export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `stream` tells apart what is drawn from one seed: the cases of a run, each of which can be drawn alone. */
  constructor(seed: number, stream: number) {
    this.#a = seed >>> 0
    this.#b = Math.floor(seed / 2 ** 32) >>> 0
    this.#c = stream >>> 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** 32 random bits: sfc32 (small fast counting). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    return Math.floor((this.next() / 2 ** 32) * end)
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** Once in so many times. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)]
    if (picked === undefined) throw new RangeError('nothing to pick from')
    return picked
  }

  bytes(count: number): Buffer {
    const drawn = Buffer.allocUnsafe(count)
    for (let i = 0; i < count; i++) drawn[i] = this.below(256)
    return drawn
  }
}
