// Pins with dates, of whole certificates, and such that only report: what a handshake is judged by them.
import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { brokerContext } from '../../src/tls/contexts.ts'
import { daysLeft, endsOf, Reminders } from '../../src/tls/ends.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { asWholePin, isWholePin, parsePin, pinOf, samePin, shortPin, wholePinOf } from '../../src/tls/pins.ts'
import type { Pin } from '../../src/tls/pinset.ts'
import { judge, trustSettings } from '../../src/tls/trust.ts'
import type { TrustSettings } from '../../src/tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../../src/tls/verdict.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { factsWith } from '../help/facts.ts'

const day = 86_400_000
const now = Date.now()

let pki: Pki
let leaf: Identity
let renewed: Identity
let spare: Identity
beforeAll(async () => {
  pki = await makePki()
  leaf = await pki.issue()
  renewed = await pki.issue({ key: { keep: leaf.key } })
  spare = await pki.issue()
})

const certificate = ({ cert }: Identity): X509Certificate => new X509Certificate(cert)
const pin = (identity: Identity): string => pinOf(certificate(identity))

function settingsOf(pins: readonly (Pin | string)[], more: Partial<TrustSettings> = {}): TrustSettings {
  const { anchors } = brokerContext({ ca: [pki.ca.cert], minVersion: 'TLSv1.3', postQuantum: 'prefer' })
  return trustSettings({ anchors, minVersion: 'TLSv1.3', postQuantum: 'prefer', ...more, pins })
}

function factsOf(served: Identity, more: Partial<HandshakeFacts> = {}): HandshakeFacts {
  return factsWith({ name: 'localhost', at: now, served: [certificate(served)], ...more })
}

const resumed = (earlier: Verdict, at = now): HandshakeFacts =>
  factsOf(leaf, { served: [], resumed: true, earlier, at })

describe('the dates of a pin', () => {
  test.each([
    ['has none', {}, 'trusted'],
    ['are around now', { notBefore: now - day, notAfter: now + day }, 'trusted'],
    ['begin now', { notBefore: now }, 'trusted'],
    ['end now', { notAfter: now }, 'trusted'],
    ['are over', { notAfter: now - 1 }, 'expired'],
    ['are to come', { notBefore: now + 1 }, 'expired'],
  ])('%s', (_, dates, expected) => {
    const { verdict, causes } = judge(factsOf(leaf), settingsOf([{ pin: pin(leaf), ...dates }, pin(spare)]))
    expect(verdict).toBe(expected)
    expect(causes).toEqual(expected === 'trusted' ? [] : ['pin-not-in-force'])
  })

  test('all of them over: nothing is trusted, and the reason says why', () => {
    const pins = [leaf, spare].map((identity) => ({ pin: pin(identity), notAfter: now - day }))
    const known = judge(factsOf(leaf), settingsOf(pins))
    expect(known.verdict).toBe('expired')
    expect(known.reasons[0]).toContain(`${pin(leaf)} in its chain counts only until `)
    expect(known.hint).toContain('renew notAfter')
    // With a key that never was pinned it is no less of a rotation, or worse, for the pins being over.
    const other = judge(factsOf(pki.ca), settingsOf(pins))
    expect(other.verdict).not.toBe('trusted')
    const foreign = judge(factsOf(renewed), settingsOf([{ pin: pin(spare), notAfter: now - day }]))
    expect(foreign.causes).toEqual(['pin-mismatch', 'pin-not-in-force'])
    expect(foreign.verdict).toBe('likely-rotation')
    expect(foreign.reasons).toContain('every one of the 1 pins is outside its dates, so nothing is trusted')
  })

  test('are judged at each handshake, also where the chain was verified before or is resumed', () => {
    const settings = settingsOf([{ pin: pin(leaf), notAfter: now + day }, pin(spare)])
    const first = judge(factsOf(leaf), settings)
    expect(first.verdict).toBe('trusted')
    expect(judge(resumed(first), settings).verdict).toBe('trusted')
    const later = now + 2 * day
    expect(judge(factsOf(leaf, { at: later }), settings).causes).toEqual(['pin-not-in-force'])
    expect(judge(resumed(first, later), settings).causes).toEqual(['pin-not-in-force'])
  })

  test('another pin of the chain that counts is enough', () => {
    const pins = [{ pin: pin(leaf), notAfter: now - day }, { pin: pin(pki.ca) }]
    expect(judge(factsOf(leaf), settingsOf(pins)).verdict).toBe('trusted')
  })
})

describe('the pin of a whole certificate', () => {
  test('is that certificate and no renewal of it', () => {
    const settings = settingsOf([wholePinOf(certificate(leaf)), pin(spare)])
    expect(judge(factsOf(leaf), settings).verdict).toBe('trusted')
    expect(judge(factsOf(renewed), settings).causes).toEqual(['pin-mismatch'])
  })

  test('is spelled apart from that of a key, and never mistaken for one', () => {
    const whole = wholePinOf(certificate(leaf))
    const hex = certificate(leaf).fingerprint256
    expect(parsePin(whole)).toBe(whole)
    expect(parsePin(`cert-sha256:${hex}`)).toBe(whole)
    expect(asWholePin(parsePin(`sha256:${hex}`))).toBe(whole)
    expect(asWholePin(whole)).toBe(whole)
    expect([isWholePin(whole), isWholePin(pin(leaf))]).toEqual([true, false])
    expect(samePin(whole, whole)).toBe(true)
    expect(samePin(whole, whole.slice('cert-'.length))).toBe(false)
    expect(judge(factsOf(leaf), settingsOf([whole.slice('cert-'.length)])).verdict).not.toBe('trusted')
    expect(shortPin(whole)).toBe(whole.slice('cert-sha256/'.length, 'cert-sha256/'.length + 12))
    for (const bad of ['cert-', 'cert-sha256/AAAA', `cert-cert-${pin(leaf)}`])
      expect(() => parsePin(bad)).toThrow('not a pin')
  })
})

describe('pins that only report', () => {
  const report = { pinMode: 'report' } as const

  test('let a mismatch through, and say what it would have been', () => {
    const { verdict, causes, reported } = judge(factsOf(leaf), settingsOf([pin(spare)], report))
    expect([verdict, causes]).toEqual(['trusted', []])
    expect(reported).toMatchObject({ verdict: 'likely-rotation', causes: ['pin-mismatch'] })
    expect(judge(factsOf(leaf), settingsOf([pin(leaf)], report)).reported).toBeUndefined()
  })

  test('say it of a resumed session too', () => {
    const settings = settingsOf([pin(spare)], report)
    const first = judge(factsOf(leaf), settings)
    const { verdict, reported } = judge(resumed(first), settings)
    expect([verdict, reported]).toEqual(['trusted', first.reported])
    // The verdict of other settings is worth nothing here.
    expect(judge(resumed(first), settingsOf([pin(spare)], report)).verdict).toBe('likely-mitm')
  })

  test.each([
    ['another name', { name: 'elsewhere.example' }, 'name-mismatch'],
    ['a chain that OpenSSL refuses', { authorized: false, errorCode: 'CERT_REVOKED' }, 'untrusted-chain'],
    ['an old version', { protocol: 'TLSv1.2' }, 'downgraded'],
  ] as const)('refuse %s all the same', (_, more, cause) => {
    const { verdict, causes, reported } = judge(factsOf(leaf, more), settingsOf([pin(spare)], report))
    expect(verdict).not.toBe('trusted')
    expect(causes).toContain(cause)
    expect(reported).toBeUndefined()
  })

  test('refuse once every pin is over', () => {
    const over = [{ pin: pin(spare), notAfter: now - day }]
    expect(judge(factsOf(leaf), settingsOf(over, report)).verdict).toBe('likely-rotation')
  })

  test('teach nothing about who signs for this broker', async () => {
    const other = await makePki('Other CA')
    const foreign = await other.issue()
    const { anchors } = brokerContext({
      ca: [pki.ca.cert, other.ca.cert],
      minVersion: 'TLSv1.3',
      postQuantum: 'prefer',
    })
    const settings = settingsOf([pin(leaf)], { ...report, anchors })
    judge(factsOf(leaf), settings)
    expect(judge(factsOf(foreign), settings).reported?.verdict).toBe('likely-mitm')
    expect(judge(factsOf(foreign), settings).reported?.verdict).toBe('likely-mitm')
  })
})

describe('what ends soon', () => {
  test('is certificates and dated pins, told once a day each', () => {
    const reminders = new Reminders()
    const pins = [
      { pin: pin(leaf), notAfter: now + 3 * day },
      { pin: pin(spare) },
      { pin: pin(pki.ca), notAfter: now + 90 * day },
    ]
    const ends = endsOf([certificate(leaf)], pins)
    expect(ends.map(({ kind }) => kind)).toEqual(['certificate', 'pin', 'pin'])
    const due = (at: number): string[] => reminders.due(ends, at, 30 * day).map(({ kind }) => kind)
    expect(due(now)).toEqual(['certificate', 'pin'])
    expect(due(now + day - 1)).toEqual([])
    expect(due(now + day)).toEqual(['certificate', 'pin'])
    expect(due(now + 70 * day)).toEqual(['certificate', 'pin', 'pin'])
    expect([daysLeft(now + 3 * day, now), daysLeft(now + day - 1, now), daysLeft(now - 1, now)]).toEqual([
      3, 0, -1,
    ])
  })
})
