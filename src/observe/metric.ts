// What one metric is: its type, what it means, and the bounded sets its labels hold.

type MetricType = 'counter' | 'gauge' | 'histogram'
type Labels = Readonly<Record<string, Label>>

/** What a label may hold: a closed set, or short codes up to a number of distinct ones. `other` is always possible. */
export interface Label {
  readonly meaning: string
  /** The closed set; whatever is not in it is counted as `other`. */
  readonly values?: readonly string[]
  /** Without a closed set: the most distinct values remembered; later ones are counted as `other`. */
  readonly most?: number
}

export interface Metric<L extends Labels = Labels> {
  readonly type: MetricType
  readonly area: string
  readonly help: string
  readonly labels: L
}

const unlabelled = {}

export function metric<L extends Labels = typeof unlabelled>(
  type: MetricType,
  area: string,
  help: string,
  labels?: L,
): Metric<L> {
  return { type, area, help, labels: labels ?? (unlabelled as L) }
}
