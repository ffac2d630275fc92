// Turns a finding into an action, by proxy.yaml: the only place where that is decided.

import type { Finding } from '../detect/finding.ts'
import type { Mode } from '../mqtt/rule.ts'

/** `forward`: the packet goes on; `refuse`: the device is told in its version's terms and both legs are closed. */
export type Action = 'forward' | 'refuse'

export interface Policy {
  readonly mode: 'enforce' | 'observe'
  /** What each kind of detector asks for. */
  readonly actions: ReadonlyMap<string, 'report' | 'refuse'>
  /** What is done about each broken rule, by its id; `mode` is in it already. */
  readonly rules: ReadonlyMap<string, Mode>
}

/** The detector name of findings about broken rules of the protocol. */
export const protocolDetector = 'protocol'

/** Everything is the administrator's choice, and `observe` forwards it, but for rules that can only be enforced. */
export function decide(finding: Finding, policy: Policy): Action {
  if (finding.detector === protocolDetector) {
    return policy.rules.get(String(finding.evidence['rule'])) === 'report' ? 'forward' : 'refuse'
  }
  if (policy.mode === 'observe') return 'forward'
  return policy.actions.get(finding.detector) === 'refuse' ? 'refuse' : 'forward'
}
