// Every certificate case in a real handshake: the verdict, its causes, and words that are safe to print.

import { describe, expect, test } from 'vitest'
import { brokerContext } from '../../src/tls/contexts.ts'
import { readCrls } from '../../src/tls/crl.ts'
import { CrlShelf, CrlSource } from '../../src/tls/crl-source.ts'
import { explainFailure } from '../../src/tls/failure.ts'
import { judge, trustSettings } from '../../src/tls/trust.ts'
import type { Verdict } from '../../src/tls/verdict.ts'
import { shakeHands, startTls } from './broker.ts'
import { cases, pinsOf, type Shown } from './cases.ts'

async function judged({
  chain,
  ca,
  name = 'broker.ward.example',
  pins = [],
  weak,
  at,
  crls = [],
  staple,
  revocation,
}: Shown): Promise<Verdict | string> {
  const options = {
    minVersion: 'TLSv1.2',
    postQuantum: 'prefer',
    ...(weak && { weakCertificates: weak }),
  } as const
  // Level 0: the broker of an attacker has no scruples.
  await using broker = await startTls({
    cert: chain.map(({ cert }) => cert).join(''),
    key: chain[0]?.key,
    ciphers: 'DEFAULT:@SECLEVEL=0',
    staple,
  })
  const context = brokerContext({ ca: ca.map(({ cert }) => cert), ...options, staple: true })
  const source = new CrlSource('lists')
  source.adopt(crls.flatMap(readCrls))
  const settings = trustSettings({
    anchors: context.anchors,
    pins: pinsOf(pins),
    ...options,
    revocation: {
      staple: 'check',
      unknown: 'accept',
      lists: new CrlShelf(crls.length === 0 ? [] : [source], weak),
      ...revocation,
    },
  })
  try {
    const { facts } = await shakeHands(broker.port, context, { name })
    const seen = { ...facts, ...(at !== undefined && { at }) }
    const verdict = judge(seen, settings)
    expect(judge(seen, settings)).toEqual(verdict)
    return verdict
  } catch (error) {
    return explainFailure(error).reason
  }
}

describe('certificates', () => {
  test.each(cases)('$what: $verdict', async ({ make, verdict: expected, causes, says, remarks }) => {
    const shown = make()
    const verdict = await judged(shown)
    if (typeof verdict === 'string') {
      expect(verdict).toBe('tls-alert')
      expect(expected).toBe('no-handshake')
      return
    }
    expect({ verdict: verdict.verdict, causes: verdict.causes }, verdict.reasons.join('\n')).toEqual({
      verdict: expected,
      causes,
    })
    for (const text of [
      ...verdict.reasons,
      ...(verdict.remarks ?? []),
      ...verdict.servedPins.map(({ subject }) => subject),
    ]) {
      expect(text).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,1000}$/u)
      expect(text).not.toContain('UNSPECIFIED')
    }
    expect(verdict.remarks?.join('\n') ?? '').toContain(remarks ?? '')
    expect(verdict.remarks === undefined).toBe(remarks === undefined)
    if (says !== undefined) {
      const found = verdict.reasons.some((reason) =>
        typeof says === 'string' ? reason.includes(says) : says.test(reason),
      )
      expect(found, verdict.reasons.join('\n')).toBe(true)
    }
    expect(verdict.hint === undefined).toBe(expected === 'trusted')
  })

  test('are many, each with a name of its own', () => {
    expect(cases.length).toBeGreaterThan(100)
    expect(new Set(cases.map(({ what }) => what)).size).toBe(cases.length)
  })

  test('a weak one says which option lets it pass', async () => {
    const weak = cases.filter(({ verdict }) => verdict === 'weak-key' || verdict === 'weak-signature')
    for (const { make } of weak.slice(0, 2)) {
      expect(await judged(make())).toMatchObject({
        hint: expect.stringContaining('tls.weakCertificates: accept'),
      })
    }
  })
})
