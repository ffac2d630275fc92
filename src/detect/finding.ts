// A finding: what a detector noticed, about whom, on what evidence; never what to do about it.

export const severities = ['info', 'notice', 'warning', 'critical'] as const
export type Severity = (typeof severities)[number]

export interface Finding {
  /** Kind of the detector, or `protocol` for a broken rule. */
  readonly detector: string
  readonly severity: Severity
  /** One lowercase sentence without device-made strings. */
  readonly summary: string
  /** Names and values for the log; device-made strings are escaped where they are shown. */
  readonly evidence: Readonly<Record<string, string | number | boolean>>
  /** Clauses, CVE ids, MITRE ATT&CK techniques. */
  readonly references: readonly string[]
}
