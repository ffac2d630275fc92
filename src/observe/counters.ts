// Plain counters behind the metrics: numbers by label values with bounded sets, and a histogram in a typed array.

import type { Label } from './table.ts'

/** One line of the exposition, before it is text. `name` only where it differs from the metric's. */
export interface Sample {
  readonly name?: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Stands in for every label value that is unknown, malformed or too much. */
export const OTHER = 'other'

/** What rule ids, error codes, detector kinds, host:port and names of proxy.yaml look like; device text rarely does. */
const CODE = /^[\w.:[\]-]{1,270}$/

/**
 * Counts by label values. Never grows beyond the product of its labels' sets, whatever it is handed: values outside a
 * closed set, that do not look like codes, or beyond `most` distinct ones, count as `other` and bump `overflowed`.
 */
export class LabelledCounter<Name extends string> {
  /** How often a value was replaced by `other`. */
  overflowed = 0
  readonly #names: readonly Name[]
  readonly #admitted: readonly Set<string>[]
  readonly #room: readonly number[]
  readonly #series = new Map<string, { readonly labels: Record<string, string>; value: number }>()

  constructor(labels: Readonly<Record<Name, Label>>) {
    const specs: readonly Label[] = Object.values(labels)
    this.#names = Object.keys(labels) as Name[]
    this.#admitted = specs.map((label) => new Set(label.values))
    this.#room = specs.map((label) => (label.values === undefined ? (label.most ?? 0) : label.values.length))
  }

  /** Adds `by` to the series of these labels; 0 makes the series appear, so that its first increase is seen. */
  add(labels: Readonly<Record<Name, string>>, by = 1): void {
    // Admitted values hold no line feed, so a key that is found was made of exactly these values.
    let key = ''
    for (const name of this.#names) key += labels[name] + '\n'
    const series = this.#series.get(key) ?? this.#admit(labels)
    series.value += by
  }

  samples(): Iterable<Sample> {
    return this.#series.values()
  }

  #admit(labels: Readonly<Record<Name, string>>): { value: number } {
    const admitted: Record<string, string> = {}
    let key = ''
    for (const [position, name] of this.#names.entries()) {
      const value = this.#clip(position, labels[name])
      admitted[name] = value
      key += value + '\n'
    }
    const known = this.#series.get(key)
    if (known !== undefined) return known
    const fresh = { labels: admitted, value: 0 }
    this.#series.set(key, fresh)
    return fresh
  }

  #clip(position: number, value: string): string {
    const admitted = this.#admitted[position]
    if (admitted === undefined || value === OTHER || admitted.has(value)) return value
    if (admitted.size < (this.#room[position] ?? 0) && CODE.test(value)) {
      admitted.add(value)
      return value
    }
    this.overflowed += 1
    return OTHER
  }
}

/** A cumulative histogram with fixed upper bounds, in the unit of its metric; NaN and negatives count as 0. */
export class Histogram {
  readonly #bounds: readonly number[]
  /** One count per bound, not cumulative, and a last one for what lies above them all. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const seen = value > 0 ? value : 0
    let bucket = 0
    while (bucket < this.#bounds.length && seen > (this.#bounds[bucket] ?? 0)) bucket += 1
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum += seen
  }

  /** The `_bucket`, `_sum` and `_count` lines of the metric called `name`. */
  samples(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    let cumulative = 0
    const lines: Sample[] = []
    for (const [bucket, count] of this.#counts.entries()) {
      cumulative += count
      const le = bucket < this.#bounds.length ? String(this.#bounds[bucket]) : '+Inf'
      lines.push({ name: `${name}_bucket`, labels: { ...labels, le }, value: cumulative })
    }
    lines.push({ name: `${name}_sum`, labels, value: this.#sum })
    lines.push({ name: `${name}_count`, labels, value: cumulative })
    return lines
  }
}
