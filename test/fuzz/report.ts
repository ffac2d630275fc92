// What a run of the fuzzer prints: how much was judged, which rules showed how often and which never, and what broke.

import { allRules } from '../../src/mqtt/rules.ts'
import type { Campaign, Finding } from './campaign.ts'

export function describeRun(campaign: Campaign): string {
  const { cases, frames, bytes, compared, passed, findings } = campaign
  const seen = allRules
    .map(({ id, index }) => ({ id, refused: campaign.refusals[index]!, reported: campaign.reports[index]! }))
    .filter(({ refused, reported }) => refused + reported > 0)
    .toSorted((a, b) => a.refused + a.reported - b.refused - b.reported)
  const unseen = campaign.unseen()
  return [
    `${cases} cases of ${bytes} bytes: ${frames} frames passed, ${compared} read by mqtt-packet too, ${findings.length} broken`,
    `${passed} of ${3 * cases} sessions passed whole; rules by how often they refused and were reported:`,
    ...seen.map(({ id, refused, reported }) => `${pad(refused)}${pad(reported)}  ${id}`),
    unseen.length === 0 ? 'every rule showed' : `rules that never showed: ${unseen.join(', ')}`,
  ].join('\n')
}

export function describeFinding({ place: { seed, number }, how, ways, vector }: Finding): string {
  return [
    '',
    `BROKEN: ${how}`,
    `mutated by ${ways.join(', ') || 'nothing'}; again with: npm run fuzz -- --only ${seed}:${number}`,
    'shrunk, as a vector:',
    vector,
  ].join('\n')
}

function pad(count: number): string {
  return String(count).padStart(9)
}
