// Turns a finding into an action, by proxy.yaml: the only place where that is decided.

import type { Finding } from '../detect/finding.ts'

/** `forward`: the packet goes on; `refuse`: the device is told in its version's terms and both legs are closed. */
export type Action = 'forward' | 'refuse'

export interface Policy {
  readonly mode: 'enforce' | 'observe'
  /** What each kind of detector asks for. */
  readonly actions: ReadonlyMap<string, 'report' | 'refuse'>
}

/** The detector name of findings about broken rules of the protocol. */
export const protocolDetector = 'protocol'

/**
 * A broken rule is refused in every mode: behind a malformed frame nobody can say where the next one begins.
 * Everything else is the administrator's choice, and `observe` forwards it.
 */
export function decide(finding: Finding, policy: Policy): Action {
  if (finding.detector === protocolDetector) return 'refuse'
  if (policy.mode === 'observe') return 'forward'
  return policy.actions.get(finding.detector) === 'refuse' ? 'refuse' : 'forward'
}
