import { describe, expect, test } from 'vitest'
import type { Finding, Severity } from '../../src/detect/finding.ts'
import { severities } from '../../src/detect/finding.ts'
import { decide, protocolDetector, type Policy } from '../../src/policy/decide.ts'

const actions = new Map<string, 'report' | 'refuse'>([
  ['gentle', 'report'],
  ['strict', 'refuse'],
])
const enforce: Policy = { mode: 'enforce', actions }
const observe: Policy = { mode: 'observe', actions }

function finding(detector: string, severity: Severity = 'warning'): Finding {
  return { detector, severity, summary: 'something was seen', evidence: {}, references: [] }
}

describe('decide', () => {
  test('refuses broken rules in every mode, whatever the administrator set for them', () => {
    const lenient: Policy = { mode: 'observe', actions: new Map([[protocolDetector, 'report']]) }
    for (const policy of [enforce, observe, lenient]) {
      expect(decide(finding(protocolDetector), policy)).toBe('refuse')
    }
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
