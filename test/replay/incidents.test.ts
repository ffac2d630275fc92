// Findings folded into incidents: what makes them one, and what one of them keeps of many.

import { expect, test } from 'vitest'
import { Incidents, type Sighted } from '../../src/replay/incidents.ts'

const sighted: Sighted = {
  finding: {
    detector: 'protocol',
    severity: 'notice',
    summary: 'something is not as it should be',
    evidence: { rule: 'topic-empty', direction: 'up', offset: 2 },
    references: [],
  },
  action: 'forward',
  address: '10.0.0.7',
  clientId: 'pump-7',
  time: 1000,
  place: { file: 0, packet: 5 },
}

function withEvidence(evidence: Readonly<Record<string, string>>): Sighted {
  return {
    ...sighted,
    finding: { ...sighted.finding, evidence: { ...sighted.finding.evidence, ...evidence } },
  }
}

test('one of the same address, detector, rule and direction, and of nothing else', () => {
  const incidents = new Incidents()
  incidents.add(sighted)
  incidents.add({ ...sighted, clientId: 'pump-8', time: 3000, place: { file: 0, packet: 9 } })
  incidents.add({ ...sighted, address: '10.0.0.8', time: 2000 })
  incidents.add(withEvidence({ rule: 'topic-wildcard' }))
  incidents.add(withEvidence({ direction: 'down' }))
  incidents.add({ ...sighted, finding: { ...sighted.finding, detector: 'other' } })
  expect(incidents.list().map(({ address, count }) => [address, count])).toEqual([
    ['10.0.0.7', 2],
    ['10.0.0.7', 1],
    ['10.0.0.7', 1],
    ['10.0.0.7', 1],
    ['10.0.0.8', 1],
  ])
  expect(incidents.list()[0]).toMatchObject({
    first: 1000,
    last: 3000,
    clientIds: new Set(['pump-7', 'pump-8']),
  })
})

test('has the worst severity and action of all, and the evidence of the first', () => {
  const incidents = new Incidents()
  expect(incidents.worst).toBeUndefined()
  incidents.add(sighted)
  incidents.add({ ...sighted, finding: { ...sighted.finding, severity: 'critical' }, action: 'refuse' })
  incidents.add({ ...sighted, finding: { ...sighted.finding, severity: 'info' } })
  expect(incidents.list()).toMatchObject([
    { severity: 'critical', action: 'refuse', finding: sighted.finding, count: 3 },
  ])
  expect(incidents.worst).toBe('critical')
})

test('nobody is a client without an identifier', () => {
  const incidents = new Incidents()
  incidents.add({ ...sighted, clientId: '' })
  expect(incidents.list()[0]?.clientIds).toEqual(new Set())
})
