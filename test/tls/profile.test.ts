// What is learnt of a server and what is held against it: never the order of equal handshakes, never what is stronger.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compare, gravityOf, judgeProfile, leastLink, weakerThan, weightOf } from '../../src/tls/drift.ts'
import type { Drift } from '../../src/tls/drift.ts'
import { adaptTo, learn, linkOf, newProfile } from '../../src/tls/profile.ts'
import type { Profile, Showing } from '../../src/tls/profile.ts'
import { RoundTrips } from '../../src/tls/rtt.ts'
import { bulkCipher, LINK, strengthOf } from '../../src/tls/strength.ts'
import type { HandshakeFacts } from '../../src/tls/verdict.ts'
import { factsWith } from '../help/facts.ts'

const DAY = 86_400_000
const settle = DAY

const modern = { protocol: 'TLSv1.3', group: 'X25519MLKEM768', cipher: 'TLS_AES_256_GCM_SHA384' }

function facts(link: Partial<typeof modern> = {}, more: Partial<HandshakeFacts> = {}): HandshakeFacts {
  return factsWith({ name: 'broker.example', at: 0, ...modern, ...link, ...more })
}

/** A profile of a server that showed this, over two days and often enough. */
function learnt(...showings: readonly Showing[]): Profile {
  const profile = newProfile(0, 'prefer')
  for (let day = 0; day <= 20; day += 1)
    for (const showing of showings) learn(profile, showing, (day * DAY) / 10, settle)
  return profile
}

const least = (profile: Profile) => leastLink(profile, settle)

describe('strength', () => {
  test.each([
    ['version', ['TLSv1.3', 'TLSv1.2', 'TLSv1.1', 'unknown']],
    ['group', ['SecP384r1MLKEM1024', 'SecP256r1MLKEM768', 'P-384', 'P-256', 'none']],
    ['cipher', ['CHACHA20_POLY1305', 'AES_128_GCM', 'AES_256_CBC']],
  ] as const)('each %s is weaker than the one before', (part, values) => {
    const strengths = values.map((value) => strengthOf(part, value))
    expect(strengths).toEqual([...new Set(strengths)].toSorted((a, b) => b - a))
  })

  test('a cipher is the same in TLS 1.2 and 1.3, whatever is joined to its name', () => {
    for (const suite of [
      'TLS_AES_256_GCM_SHA384',
      'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
      'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    ])
      expect(bulkCipher(suite)).toBe('AES_256_GCM')
    expect(bulkCipher('TLS_CHACHA20_POLY1305_SHA256')).toBe('CHACHA20_POLY1305')
    expect(strengthOf('cipher', bulkCipher('TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'))).toBe(2)
  })
})

describe('what a server is held to', () => {
  test('is nothing before it was seen often enough and for long enough', () => {
    const often = newProfile(0, 'prefer')
    for (let at = 0; at < 100; at += 1) learn(often, linkOf(facts()), at, settle)
    expect(least(often)).toBeUndefined()
    const long = newProfile(0, 'prefer')
    for (const at of [0, 2 * DAY]) learn(long, linkOf(facts()), at, settle)
    expect(least(long)).toBeUndefined()
    expect(least(learnt(linkOf(facts())))).toEqual({
      version: 'TLSv1.3',
      group: 'X25519MLKEM768',
      cipher: 'AES_256_GCM',
    })
  })

  test.each([
    [{ protocol: 'TLSv1.2' }, 'version TLSv1.2'],
    [{ group: 'X25519' }, 'group X25519'],
    [{ cipher: 'TLS_AES_128_GCM_SHA256' }, 'cipher AES_128_GCM'],
  ])('less than that is held against it, resumed or not: %o', (weaker, named) => {
    const known = least(learnt(linkOf(facts())))
    for (const resumed of [false, true]) {
      const objections = judgeProfile(facts(weaker, { resumed }), known)
      expect(objections).toHaveLength(1)
      expect(objections[0]).toMatchObject({ cause: 'weaker-than-learned' })
      expect(objections[0]?.reason).toContain(named)
    }
  })

  test('TLS 1.2 resumes without an exchange of keys, and that is not held against it', () => {
    const link = { protocol: 'TLSv1.2', group: 'X25519' }
    const known = least(learnt(linkOf(facts(link))))
    expect(judgeProfile(facts({ ...link, group: 'none' }, { resumed: true }), known)).toEqual([])
    expect(judgeProfile(facts({ ...link, group: 'none' }), known)).toHaveLength(1)
  })

  test('is the weaker of two machines that alternate', () => {
    const known = least(learnt(linkOf(facts()), linkOf(facts({ group: 'P-256' }))))
    expect(judgeProfile(facts({ group: 'X25519' }), known)).toEqual([])
    expect(judgeProfile(facts({ group: 'none' }), known)).toHaveLength(1)
  })

  test('becomes stricter when a broker was upgraded a month ago', () => {
    const profile = learnt(linkOf(facts({ group: 'X25519' })))
    for (let at = 0; at < 300; at += 1)
      learn(profile, linkOf(facts()), 2 * DAY + (at / 300) * 29 * DAY, settle)
    expect(least(profile)).toMatchObject({ group: 'X25519' })
    for (let at = 0; at < 10; at += 1) learn(profile, linkOf(facts()), 33 * DAY + at, settle)
    expect(least(profile)).toMatchObject({ group: 'X25519MLKEM768' })
  })

  test('does not become stricter by a long pause: the other machine may only not have been met yet', () => {
    const profile = learnt(linkOf(facts()), linkOf(facts({ group: 'X25519' })))
    learn(profile, linkOf(facts()), 400 * DAY, settle)
    expect(least(profile)).toMatchObject({ group: 'X25519' })
  })

  test('is void for groups once others are offered', () => {
    const profile = learnt(linkOf(facts()))
    expect(adaptTo(profile, 'prefer')).toBe(false)
    expect(adaptTo(profile, 'off')).toBe(true)
    expect(judgeProfile(facts({ group: 'X25519' }), least(profile))).toEqual([])
    expect(judgeProfile(facts({ protocol: 'TLSv1.2' }), least(profile))).toHaveLength(1)
  })

  test('comes to count after a clock that was ahead at first, and a name that OpenSSL alone knows is no weakness', () => {
    const profile = newProfile(9000 * DAY, 'prefer')
    learn(profile, linkOf(facts()), 9000 * DAY, settle)
    for (let at = 0; at < 20; at += 1) learn(profile, linkOf(facts()), at * DAY, settle)
    expect(judgeProfile(facts({ group: 'X25519' }), least(profile))).toHaveLength(1)
    expect(judgeProfile(facts({ group: 'other' }), least(profile))).toEqual([])
  })

  test('is not taken back by a clock that was set back', () => {
    const profile = learnt(linkOf(facts()))
    learn(profile, linkOf(facts()), -1000 * DAY, settle)
    expect(judgeProfile(facts({ protocol: 'TLSv1.2' }), least(profile))).toHaveLength(1)
  })
})

describe('drift', () => {
  const shown: Showing = {
    ...linkOf(facts()),
    issuer: 'abc Ward CA',
    'key-type': 'rsa 2048',
    'chain-length': '2',
    tickets: 'sent',
    'maximum-qos': '2',
  }

  test('is told of what was never seen, once what there was is known, and only until it is learnt', () => {
    const early = newProfile(0, 'prefer')
    learn(early, shown, 0, settle)
    expect(compare(early, { ...shown, issuer: 'xyz Other CA' }, settle)).toEqual([])
    const profile = learnt(shown)
    expect(compare(profile, shown, settle)).toEqual([])
    const other = { ...shown, issuer: 'xyz Other CA', 'key-type': 'ec prime256v1' }
    expect(compare(profile, other, settle)).toEqual([
      { what: 'issuer', before: 'abc Ward CA', after: 'xyz Other CA', weight: 4 },
      { what: 'key-type', before: 'rsa 2048', after: 'ec prime256v1', weight: 3 },
    ])
    learn(profile, other, 3 * DAY, settle)
    expect(compare(profile, other, settle)).toEqual([])
    // And neither is the way back, while both are remembered.
    expect(compare(profile, shown, settle)).toEqual([])
  })

  test('a cipher or group as strong as before is a small one, a stronger one is none', () => {
    const profile = learnt(linkOf(facts({ group: 'X25519', cipher: 'TLS_AES_256_GCM_SHA384' })))
    const alike = linkOf(facts({ group: 'P-256', cipher: 'TLS_CHACHA20_POLY1305_SHA256' }))
    expect(compare(profile, alike, settle).map(({ what, weight }) => [what, weight])).toEqual([
      ['group', 1],
      ['cipher', 1],
    ])
    expect(compare(profile, linkOf(facts({ cipher: 'TLS_AES_256_GCM_SHA384' })), settle)).toEqual([])
  })

  test('weights add up, and times alone never weigh', () => {
    const drift = (what: Drift['what'], weight: number): Drift => ({ what, before: '', after: '', weight })
    const [times, tickets] = [drift('connect-time', 1), drift('tickets', 1)]
    const [issuer, key] = [drift('issuer', 4), drift('key-type', 3)]
    expect(gravityOf([times])).toBe('info')
    expect(gravityOf([times, drift('handshake-time', 1)])).toBe('info')
    expect(gravityOf([tickets])).toBe('info')
    expect(gravityOf([times, tickets])).toBe('notice')
    expect(gravityOf([issuer])).toBe('warning')
    expect(gravityOf([issuer, key])).toBe('warning')
    expect(gravityOf([issuer, key, times])).toBe('critical')
    expect(weightOf([issuer, key, times])).toBe(8)
  })

  test('a field that never stays the same says nothing any more', () => {
    const profile = learnt(shown)
    for (let value = 0; value < 8; value += 1)
      learn(profile, { 'maximum-qos': `v${value}` }, 3 * DAY + value, settle)
    expect(profile.fields.get('maximum-qos')).toMatchObject({ varies: true, values: [] })
    expect(compare(profile, { 'maximum-qos': 'another' }, settle)).toEqual([])
    expect(learn(profile, { 'maximum-qos': 'another' }, 4 * DAY, settle)).toBe(false)
  })
})

describe('round trips', () => {
  const takeAll = (times: readonly number[], floor?: number) => {
    const trips = new RoundTrips()
    return times.map((time) => trips.take(time, floor)).filter((look) => look !== undefined)
  }

  test('the floor is the least of sixteen, and jumps when even that is more than twice as much', () => {
    const times = (lowest: number): number[] => Array.from({ length: 16 }, (_, at) => lowest + at)
    expect(takeAll(times(2))).toEqual([{ floor: 2, jumped: false }])
    expect(takeAll(times(2).slice(1))).toEqual([])
    expect(takeAll(times(40), 20)).toEqual([{ floor: 20, jumped: false }])
    expect(takeAll(times(46), 20)).toEqual([{ floor: 46, jumped: true }])
    expect(takeAll(times(3), 20)).toEqual([{ floor: 3, jumped: false }])
    // A single quick one among slow ones is enough to know the way.
    expect(takeAll([...times(500).slice(1), 21], 20)).toEqual([{ floor: 20, jumped: false }])
  })

  test('it cannot creep up in small steps', () => {
    let floor: number | undefined
    for (let time = 10; time < 26; time += 1) {
      const [look] = takeAll(
        Array.from({ length: 16 }, () => time),
        floor,
      )
      expect(look?.jumped).toBe(time > 25)
      floor = look?.floor
    }
    expect(floor).toBe(10)
  })
})

// --- properties ---

const link = fc.record({
  protocol: fc.constantFrom('TLSv1.2', 'TLSv1.3'),
  group: fc.constantFrom('X25519MLKEM768', 'SecP384r1MLKEM1024', 'X25519', 'P-256', 'P-384', 'none'),
  cipher: fc.constantFrom(
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_128_GCM_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA',
  ),
})

/** What a profile expects, without when and how often it saw it. */
function expectation(profile: Profile): object {
  const sets = Array.from(profile.fields, ([name, { values, varies, count }]) => {
    return [name, { values: values.map(({ value }) => value).toSorted(), varies, count }]
  })
  const known = least(profile)
  const strengths = LINK.map((part) => strengthOf(part, known?.[part] ?? ''))
  return { strengths, fields: Object.fromEntries(sets) as object }
}

describe('for every history', () => {
  test('the order of handshakes does not matter while a server is being learnt', () => {
    fc.assert(
      fc.property(
        fc.array(link, { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (seen, keys) => {
          const shuffled = seen
            .map((one) => ({ one, key: keys.next().value ?? 0 }))
            .toSorted((a, b) => a.key - b.key)
            .map(({ one }) => one)
          const [first, second] = [seen, shuffled].map((links) => {
            const profile = newProfile(0, 'prefer')
            for (const [at, one] of links.entries()) learn(profile, linkOf(facts(one)), at, settle)
            // The same end for both: only now is it known.
            for (let at = 0; at < 8; at += 1)
              for (const part of seen) learn(profile, linkOf(facts(part)), 2 * DAY, 10 * DAY)
            return expectation(profile)
          })
          expect(second).toEqual(first)
        },
      ),
    )
  })

  test('a link at least as strong as all that was seen is never held against anybody, and never lowers what is expected', () => {
    fc.assert(
      fc.property(fc.array(link, { minLength: 1, maxLength: 8 }), link, (seen, next) => {
        const profile = learnt(...seen.map((one) => linkOf(facts(one))))
        const known = least(profile)
        if (known === undefined) throw new Error('not learnt')
        const shown = linkOf(facts(next))
        const isStronger = LINK.every((part) =>
          seen.every((one) => strengthOf(part, shown[part]) >= strengthOf(part, linkOf(facts(one))[part])),
        )
        const drifts = weakerThan(known, facts(next))
        if (isStronger) expect(drifts).toEqual([])
        learn(profile, shown, 3 * DAY, settle)
        const after = least(profile)
        for (const part of LINK)
          expect(strengthOf(part, after?.[part] ?? '')).toBeGreaterThanOrEqual(
            strengthOf(part, known[part] ?? ''),
          )
      }),
    )
  })

  test('a link that is refused teaches nothing, however often it is tried', () => {
    fc.assert(
      fc.property(
        fc.array(link, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(link, fc.nat(60)), { maxLength: 40 }),
        (seen, tries) => {
          const profile = learnt(...seen.map((one) => linkOf(facts(one))))
          const known = least(profile)
          for (const [attempt, day] of tries) {
            // What the proxy does: judge first, and learn from what was trusted.
            if (judgeProfile(facts(attempt), least(profile)).length > 0) continue
            learn(profile, linkOf(facts(attempt)), (2 + day) * DAY, settle)
          }
          for (const part of LINK)
            expect(strengthOf(part, least(profile)?.[part] ?? '')).toBeGreaterThanOrEqual(
              strengthOf(part, known?.[part] ?? ''),
            )
        },
      ),
    )
  })

  test('what was learnt is never told as drift again, and comparing changes nothing', () => {
    const showing = fc.record(
      {
        version: fc.constantFrom('TLSv1.2', 'TLSv1.3'),
        issuer: fc.string({ minLength: 1, maxLength: 4 }),
        tickets: fc.constantFrom('sent', 'none'),
        'receive-maximum': fc.nat(20).map(String),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(showing, { maxLength: 60 }), (seen) => {
        const profile = newProfile(0, 'prefer')
        for (const [index, one] of seen.entries()) {
          const at = (index * DAY) / 5
          const before = JSON.stringify([...profile.fields])
          const drifts = compare(profile, one, settle)
          expect(JSON.stringify([...profile.fields])).toBe(before)
          learn(profile, one, at, settle)
          for (const { what } of drifts) expect(Object.keys(one)).toContain(what)
          const weaker = drifts.some(({ what }) => what === 'version')
          if (!weaker) expect(compare(profile, one, settle)).toEqual([])
        }
        for (const field of profile.fields.values()) expect(field.values.length).toBeLessThanOrEqual(8)
      }),
    )
  })
})
