// Order statistics: what the benchmark says about several rounds of noisy figures.

/** The middle value, or the mean of the middle two; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values)
  const low = sorted[Math.floor((sorted.length - 1) / 2)]
  const high = sorted[Math.ceil((sorted.length - 1) / 2)]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}

/**
 * The smallest value that at least `share` of all values do not exceed (nearest rank); NaN of nothing.
 * @param share from 0 to 1, so 0.99 for p99
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = ascending(values)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}

function ascending(values: readonly number[]): number[] {
  return values.toSorted((left, right) => left - right)
}
