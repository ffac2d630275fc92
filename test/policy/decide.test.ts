import { describe, expect, test } from 'vitest'
import type { Finding, Severity } from '../../src/detect/finding.ts'
import { severities } from '../../src/detect/finding.ts'
import type { Mode } from '../../src/mqtt/rule.ts'
import { decide, protocolDetector, type Policy } from '../../src/policy/decide.ts'

const actions = new Map<string, 'report' | 'refuse'>([
  ['gentle', 'report'],
  ['strict', 'refuse'],
])
const rules = new Map<string, Mode>([
  ['topic-wildcard', 'enforce'],
  ['pingresp-unasked', 'report'],
])
const enforce: Policy = { mode: 'enforce', actions, rules }
const observe: Policy = { mode: 'observe', actions, rules }

function finding(detector: string, severity: Severity = 'warning'): Finding {
  return { detector, severity, summary: 'something was seen', evidence: {}, references: [] }
}

function brokenRule(rule: string, severity: Severity = 'warning'): Finding {
  return { ...finding(protocolDetector, severity), evidence: { rule, offset: 0, direction: 'up' } }
}

describe('decide', () => {
  test('does with a broken rule what its mode says, and nothing else can change that', () => {
    const lenient: Policy = { mode: 'observe', actions: new Map([[protocolDetector, 'report']]), rules }
    const severe: Policy = { mode: 'enforce', actions: new Map([[protocolDetector, 'refuse']]), rules }
    for (const policy of [enforce, observe, lenient, severe]) {
      // What a policy that observes still enforces are the rules that can only be enforced.
      expect(decide(brokenRule('topic-wildcard'), policy)).toBe('refuse')
      expect(decide(brokenRule('pingresp-unasked'), policy)).toBe('forward')
    }
  })

  test.each(severities)('does not go by the severity of a broken rule: %s', (severity) => {
    expect(decide(brokenRule('topic-wildcard', severity), enforce)).toBe('refuse')
    expect(decide(brokenRule('pingresp-unasked', severity), enforce)).toBe('forward')
  })

  test('refuses a broken rule of which it knows nothing', () => {
    expect(decide(brokenRule('stranger'), observe)).toBe('refuse')
    expect(decide(finding(protocolDetector), observe)).toBe('refuse')
  })

  test('does what the administrator asked for each kind of detector', () => {
    expect(decide(finding('strict'), enforce)).toBe('refuse')
    expect(decide(finding('gentle'), enforce)).toBe('forward')
  })

  test('forwards all other findings while it observes', () => {
    expect(decide(finding('strict'), observe)).toBe('forward')
    expect(decide(finding('gentle'), observe)).toBe('forward')
  })

  test('forwards findings of a detector that proxy.yaml does not name', () => {
    expect(decide(finding('stranger'), enforce)).toBe('forward')
  })

  test.each(severities)('does not go by severity: %s', (severity) => {
    expect(decide(finding('gentle', severity), enforce)).toBe('forward')
    expect(decide(finding('strict', severity), enforce)).toBe('refuse')
  })
})
