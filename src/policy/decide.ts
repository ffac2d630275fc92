// Turns a finding into an action, by proxy.yaml: the only place where that is decided.

import type { Finding } from '../detect/finding.ts'
import { isGrave, suspicionDetector } from '../identity/suspicion.ts'
import type { Mode } from '../mqtt/rule.ts'

/** `forward`: the packet goes on; `refuse`: the device is told in its version's terms and both legs are closed. */
export type Action = 'forward' | 'refuse'

export interface Policy {
  readonly mode: 'enforce' | 'observe'
  /** What each kind of detector asks for. */
  readonly actions: ReadonlyMap<string, 'report' | 'refuse'>
  /** What is done about each broken rule, by its id; `mode` is in it already. */
  readonly rules: ReadonlyMap<string, Mode>
  /** Whether a device that somebody may stand in for is refused; else it is only reported. */
  readonly identity?: 'report' | 'enforce'
}

/** The detector name of findings about broken rules of the protocol. */
export const protocolDetector = 'protocol'

/** Everything is the administrator's choice, and `observe` forwards it, but for rules that can only be enforced. */
export function decide(finding: Finding, policy: Policy): Action {
  if (finding.detector === protocolDetector) {
    return policy.rules.get(String(finding.evidence['rule'])) === 'report' ? 'forward' : 'refuse'
  }
  if (policy.mode === 'observe') return 'forward'
  if (finding.detector === suspicionDetector) {
    return policy.identity === 'enforce' && isGrave(finding) ? 'refuse' : 'forward'
  }
  return policy.actions.get(finding.detector) === 'refuse' ? 'refuse' : 'forward'
}
