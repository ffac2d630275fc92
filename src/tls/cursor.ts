// A bounded reader over bytes that cannot leave its window: past the end it reads zeros and remembers that it failed.

/** Big-endian reads within `[at, end)`; no read throws, so callers check `intact` once at the end. */
export class Cursor {
  readonly #bytes: Uint8Array
  readonly #end: number
  /** The window this one was cut from: a failure inside is a failure of the whole. */
  readonly #outer: Cursor | undefined
  #at: number
  #failed = false

  constructor(bytes: Uint8Array, at: number, end: number, outer?: Cursor) {
    this.#bytes = bytes
    this.#at = at
    this.#end = Math.min(end, bytes.length)
    this.#outer = outer
  }

  get left(): number {
    return this.#end - this.#at
  }

  /** No read went past the end, in this window or one cut from it. */
  get intact(): boolean {
    return !this.#failed
  }

  u8(): number {
    return this.#take(1) ? (this.#bytes[this.#at - 1] ?? 0) : 0
  }

  u16(): number {
    const high = this.u8()
    return (high << 8) | this.u8()
  }

  skip(length: number): void {
    this.#take(length)
  }

  /** The next `length` bytes as a window of their own; an empty one where they are not all there. */
  sub(length: number): Cursor {
    const start = this.#at
    return this.#take(length)
      ? new Cursor(this.#bytes, start, this.#at, this)
      : new Cursor(this.#bytes, start, start, this)
  }

  /** All that is left, as 16-bit values; an odd byte is a failure. */
  list16(): number[] {
    const values: number[] = []
    while (this.left > 0 && this.intact) values.push(this.u16())
    return values
  }

  /** All that is left, one character a byte. */
  latin1(): string {
    const start = this.#at
    this.#at = this.#end
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, this.#end - start).toString(
      'latin1',
    )
  }

  /** Marks the content itself as wrong. */
  fail(): void {
    this.#failed = true
    this.#outer?.fail()
  }

  #take(length: number): boolean {
    if (length <= this.left) {
      this.#at += length
      return true
    }
    this.#at = this.#end
    this.fail()
    return false
  }
}
