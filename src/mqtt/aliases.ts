// The topic aliases of one direction of a connection (MQTT 5.0, 3.3.2.3.4).

export class TopicAliases {
  readonly #topics: (Buffer | undefined)[] = []
  #count = 0
  /** Bytes that all topics take together. */
  #bytes = 0

  /** The topic an alias stands for. */
  get(alias: number): Buffer | undefined {
    return this.#topics[alias]
  }

  /** Lets an alias stand for `bytes` from `from` to `to`; false where the limits leave no room for it. */
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
    const size = this.#bytes - (known?.length ?? 0) + to - from
    if (size > topicAliasBytes || (known === undefined && this.#count >= topicAliases)) return false
    if (known === undefined) this.#count += 1
    this.#bytes = size
    const topic = Buffer.allocUnsafeSlow(to - from)
    bytes.copy(topic, 0, from, to)
    this.#topics[alias] = topic
    return true
  }
}
