// A token bucket for each kind of log line a stranger can provoke, bounded in how many kinds it remembers.

interface LimiterOptions {
  /** Milliseconds, monotonic. */
  readonly clock: () => number
  /** Lines a second each kind may have in the long run. */
  readonly rate: number
  /** Lines of a kind that may come at once. */
  readonly burst: number
  /** Most kinds remembered; the rest share one bucket. */
  readonly keys?: number
}

interface Bucket {
  tokens: number
  filledAt: number
  suppressed: number
}

export class LineLimiter {
  readonly #options: Required<LimiterOptions>
  /** The one used longest ago comes first. */
  readonly #buckets = new Map<string, Bucket>()
  readonly #shared: Bucket

  constructor(options: LimiterOptions) {
    this.#options = { keys: 200, ...options }
    this.#shared = this.#full()
  }

  /**
   * Asks for one line of kind `key`. Undefined: leave it out (it is counted). A number: write it, and if the number is
   * not 0, say that so many like it were left out since the last one.
   */
  admit(key: string): number | undefined {
    const bucket = this.#bucket(key)
    const { burst } = this.#options
    const now = this.#options.clock()
    bucket.tokens = Math.min(burst, this.#tokens(bucket, now))
    bucket.filledAt = now
    if (bucket.tokens < 1) {
      bucket.suppressed += 1
      return undefined
    }
    bucket.tokens -= 1
    const { suppressed } = bucket
    bucket.suppressed = 0
    return suppressed
  }

  #bucket(key: string): Bucket {
    const known = this.#buckets.get(key)
    if (known !== undefined) {
      this.#buckets.delete(key)
      this.#buckets.set(key, known)
      return known
    }
    if (this.#buckets.size >= this.#options.keys && !this.#evict()) return this.#shared
    const fresh = this.#full()
    this.#buckets.set(key, fresh)
    return fresh
  }

  /** Only a bucket that is full again may go: otherwise ever new keys would each bring a fresh allowance. */
  #evict(): boolean {
    for (const [key, bucket] of this.#buckets) {
      if (this.#tokens(bucket, this.#options.clock()) < this.#options.burst) return false
      this.#shared.suppressed += bucket.suppressed
      this.#buckets.delete(key)
      return true
    }
    return false
  }

  #tokens({ tokens, filledAt }: Bucket, now: number): number {
    return tokens + (Math.max(0, now - filledAt) * this.#options.rate) / 1000
  }

  #full(): Bucket {
    return { tokens: this.#options.burst, filledAt: this.#options.clock(), suppressed: 0 }
  }
}
