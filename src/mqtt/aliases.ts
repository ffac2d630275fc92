// The topic aliases of one direction of a connection (MQTT 5.0, 3.3.2.3.4).

export class TopicAliases {
  readonly #topics: (Buffer | undefined)[] = []
  #count = 0
  /** A bit for each alias that there was no room for; 8 KiB, once there is one. */
  #forgotten: Uint8Array | undefined
  /** Bytes that all topics take together. */
  #bytes = 0

  /** The topic an alias stands for. */
  get(alias: number): Buffer | undefined {
    return this.#topics[alias]
  }

  /** Whether an alias stands for a topic that nobody here remembers. */
  isForgotten(alias: number): boolean {
    return this.#forgotten !== undefined && (this.#forgotten[alias >> 3]! & (1 << (alias & 7))) !== 0
  }

  /** Lets an alias stand for `bytes` from `from` to `to`, or for nothing where the limits leave no room: then false. */
  set(
    alias: number,
    bytes: Buffer,
    from: number,
    to: number,
    { topicAliases, topicAliasBytes }: { readonly topicAliases: number; readonly topicAliasBytes: number },
  ): boolean {
    const known = this.#topics[alias]
    // A device that says the whole topic every time, with its alias, says nothing new.
    if (known !== undefined && bytes.compare(known, 0, known.length, from, to) === 0) return true
    // What it stood for is over for its receiver in any case.
    if (known !== undefined) this.#remove(alias, known)
    if (this.#bytes + to - from > topicAliasBytes || this.#count >= topicAliases) {
      this.#forgotten ??= new Uint8Array(8192)
      this.#forgotten[alias >> 3]! |= 1 << (alias & 7)
      return false
    }
    if (this.#forgotten !== undefined) this.#forgotten[alias >> 3]! &= ~(1 << (alias & 7))
    this.#count += 1
    this.#bytes += to - from
    const topic = Buffer.allocUnsafeSlow(to - from)
    bytes.copy(topic, 0, from, to)
    this.#topics[alias] = topic
    return true
  }

  #remove(alias: number, topic: Buffer): void {
    this.#topics[alias] = undefined
    this.#count -= 1
    this.#bytes -= topic.length
  }
}
