import { X509Certificate } from 'node:crypto'
import { beforeAll, describe as suite, expect, test } from 'vitest'
import { brokerContext, type BrokerContext } from '../../src/tls/contexts.ts'
import type { BrokerTls } from '../../src/tls/contexts.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { judge, trustSettings } from '../../src/tls/trust.ts'
import type { TrustSettings } from '../../src/tls/trust.ts'
import type { HandshakeFacts, Verdict } from '../../src/tls/verdict.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { makePki } from '../help/pki.ts'
import type { Pki } from '../help/pki.ts'
import { shakeHands, startTls } from './broker.ts'
import { factsWith } from '../help/facts.ts'

const DAY = 86_400_000

let pki: Pki
let other: Pki
let middle: Identity
let genuine: Identity & { readonly chain: string }

beforeAll(async () => {
  ;[pki, other] = await Promise.all([makePki(), makePki('Other CA')])
  middle = await pki.intermediate()
  genuine = await pki.issue({
    ca: middle,
    names: ['broker.ward.example', '127.0.0.1', '::1', '*.wild.example'],
  })
})

interface Case extends Partial<Omit<BrokerTls, 'ca'>> {
  readonly ca?: readonly string[]
  readonly pins?: readonly string[]
  readonly name?: string
  readonly served?: string
  readonly key?: string
  readonly maxVersion?: 'TLSv1.2'
}

function pin(identity: Identity): string {
  return pinOf(new X509Certificate(identity.cert))
}

function settingsFor(given: Case): { context: ReturnType<typeof brokerContext>; settings: TrustSettings } {
  const { ca = [pki.ca.cert], minVersion = 'TLSv1.3', postQuantum = 'prefer', pins = [] } = given
  const context = brokerContext({ ca, minVersion, postQuantum })
  return { context, settings: trustSettings({ anchors: context.anchors, pins, minVersion, postQuantum }) }
}

/** A real handshake with a broker that serves what the case says, and the verdict on it. */
async function verdictOn(
  given: Case,
): Promise<Verdict & { readonly worst: string; readonly facts: HandshakeFacts }> {
  const { served = genuine.chain, key = genuine.key, maxVersion, name = 'broker.ward.example' } = given
  await using broker = await startTls({
    cert: served,
    key,
    ...(maxVersion === undefined ? {} : { maxVersion }),
  })
  const { context, settings } = settingsFor(given)
  const { facts } = await shakeHands(broker.port, context, { name })
  const verdict = judge(facts, settings)
  expect(verdict.reasons.length === 0).toBe(verdict.verdict === 'trusted')
  expect(verdict.hint === undefined).toBe(verdict.verdict === 'trusted')
  // Judged again from memory, or in full: the same words.
  expect(judge(facts, settings)).toEqual(verdict)
  return { ...verdict, worst: worstOf(verdict), facts }
}

/** The gravest thing wrong, or `trusted`. */
function worstOf({ causes }: Verdict): string {
  return causes[0] ?? 'trusted'
}

suite('chain', () => {
  test('the right CA and name is trusted, and the path is shown to the anchor', async () => {
    const { worst, path, servedPins } = await verdictOn({})
    expect(worst).toBe('trusted')
    expect(path.map(pinOf)).toEqual([pin(genuine), pin(middle), pin(pki.ca)])
    expect(servedPins.map(({ pin: served, position }) => [served, position])).toEqual([
      [pin(genuine), 0],
      [pin(middle), 1],
    ])
  })

  test('another CA is an untrusted chain', async () => {
    const { worst, path } = await verdictOn({ ca: [other.ca.cert] })
    expect(worst).toBe('untrusted-chain')
    expect(path).toEqual([])
  })

  test('a CA of the same name with another key is an untrusted chain', async () => {
    const rogue = await pki.issue({ ca: await pki.rogue(), names: ['broker.ward.example'] })
    expect((await verdictOn({ served: rogue.chain, key: rogue.key })).worst).toBe('untrusted-chain')
  })

  test('a self-signed certificate is called so, and is trusted once it is the CA itself', async () => {
    const own = await pki.issue({ selfSigned: true, names: ['broker.ward.example'] })
    expect((await verdictOn({ served: own.cert, key: own.key })).worst).toBe('self-signed')
    expect(
      (await verdictOn({ served: own.cert, key: own.key, ca: [own.cert], pins: [pin(own)] })).worst,
    ).toBe('trusted')
  })

  test('a certificate signed by a server certificate of the right CA is an untrusted chain', async () => {
    const evil = await other.issue({ ca: genuine, names: ['broker.ward.example'] })
    const { worst } = await verdictOn({
      served: evil.cert + genuine.chain,
      key: evil.key,
      pins: [pin(genuine)],
    })
    expect(worst).toBe('untrusted-chain')
  })

  test('an expired certificate of another CA is an untrusted chain first, whatever OpenSSL says last', async () => {
    const old = await other.issue({ expired: true, names: ['broker.ward.example'] })
    const { worst, reasons, facts } = await verdictOn({ served: old.chain, key: old.key })
    expect(facts.authorized).toBe(false)
    expect(worst).toBe('untrusted-chain')
    expect(reasons.some((reason) => reason.includes('expired'))).toBe(true)
  })
})

suite('dates', () => {
  test('an expired certificate', async () => {
    const old = await pki.issue({ expired: true, names: ['broker.ward.example'] })
    expect((await verdictOn({ served: old.chain, key: old.key })).worst).toBe('expired')
  })

  test('one that is not valid yet', async () => {
    const early = await pki.issue({ notYetValid: true, names: ['broker.ward.example'] })
    expect((await verdictOn({ served: early.chain, key: early.key })).worst).toBe('not-yet-valid')
  })

  test('a remembered identity still expires', async () => {
    const { context, settings } = settingsFor({})
    await using broker = await startTls({ cert: genuine.chain, key: genuine.key })
    const { facts } = await shakeHands(broker.port, context, { name: 'broker.ward.example' })
    expect(worstOf(judge(facts, settings))).toBe('trusted')
    expect(worstOf(judge({ ...facts, at: Date.now() + 20 * DAY }, settings))).toBe('expired')
  })
})

suite('name', () => {
  test.each([
    ['broker.ward.example', 'trusted'],
    ['BROKER.ward.example', 'trusted'],
    ['127.0.0.1', 'trusted'],
    ['::1', 'trusted'],
    ['a.wild.example', 'trusted'],
    ['a.b.wild.example', 'name-mismatch'],
    ['wild.example', 'name-mismatch'],
    ['other.ward.example', 'name-mismatch'],
    ['.ward.example', 'name-mismatch'],
    ['127.0.0.2', 'name-mismatch'],
  ])('%s is %s', async (name, expected) => {
    const { worst } = await verdictOn({ name })
    expect(worst).toBe(expected)
  })

  test('the common name alone does not count', async () => {
    const nameless = await pki.issue({ names: [] })
    const { worst, reasons } = await verdictOn({
      served: nameless.chain,
      key: nameless.key,
      name: 'localhost',
    })
    expect(worst).toBe('name-mismatch')
    expect(reasons[0]).toContain('no name at all')
  })
})

suite('pins', () => {
  test('match on the leaf, the intermediate and the unserved root', async () => {
    for (const pinned of [genuine, middle, pki.ca]) {
      expect((await verdictOn({ pins: [pin(other.ca), pin(pinned)] })).worst).toBe('trusted')
    }
  })

  test('no match is a pin mismatch, and the served chain is there to paste', async () => {
    const { worst, servedPins } = await verdictOn({ pins: [pin(other.ca)] })
    expect(worst).toBe('pin-mismatch')
    expect(servedPins[0]?.pin).toBe(pin(genuine))
  })

  test('a certificate of the right CA and name with another key is a pin mismatch', async () => {
    const stolen = await pki.issue({ ca: middle, names: ['broker.ward.example'] })
    expect((await verdictOn({ served: stolen.chain, key: stolen.key, pins: [pin(genuine)] })).worst).toBe(
      'pin-mismatch',
    )
  })

  test('the genuine certificate appended as junk does not help an attacker', async () => {
    const stolen = await pki.issue({ names: ['broker.ward.example'] })
    for (const pinned of [genuine, middle]) {
      const { worst, facts, reasons } = await verdictOn({
        served: stolen.chain + genuine.chain,
        key: stolen.key,
        pins: [pin(pinned)],
      })
      expect(facts.authorized).toBe(true)
      expect(facts.served.map(pinOf)).toContain(pin(pinned))
      expect(worst).toBe('copied-certificate')
      expect(reasons[0]).toContain('anyone can copy')
    }
  })

  test('any verified path counts: a cross-signed intermediate leads to the pinned root', async () => {
    const crossed = await other.intermediate({
      commonName: 'Test Intermediate CA',
      key: { keep: middle.key },
    })
    const served = genuine.cert + middle.cert + crossed.cert
    for (const pinned of [pki.ca, other.ca]) {
      const { worst, path } = await verdictOn({
        served,
        ca: [pki.ca.cert, other.ca.cert],
        pins: [pin(pinned)],
      })
      expect(worst).toBe('trusted')
      expect(path.map(pinOf)).toEqual([pin(genuine), pin(middle), pin(pinned)])
    }
  })

  test('an expired cross-signed intermediate beside a good one does no harm', async () => {
    const old = await pki.intermediate({ key: { keep: middle.key }, expired: true })
    const { worst } = await verdictOn({
      served: genuine.cert + middle.cert + old.cert,
      pins: [pin(middle)],
    })
    expect(worst).toBe('trusted')
  })

  test('mismatch of everything names every reason, the worst first', async () => {
    const old = await other.issue({ expired: true, names: ['elsewhere.example'] })
    const { worst, reasons } = await verdictOn({
      served: old.chain,
      key: old.key,
      pins: [pin(genuine)],
      maxVersion: 'TLSv1.2',
      minVersion: 'TLSv1.2',
      postQuantum: 'prefer',
    })
    expect(worst).toBe('untrusted-chain')
    expect(reasons[0]).toContain('no path of signatures')
    expect(reasons.some((reason) => reason.includes('not for "broker.ward.example"'))).toBe(true)
    expect(reasons.some((reason) => reason.includes('pinned keys'))).toBe(true)
    expect(reasons.some((reason) => reason.includes('expired'))).toBe(true)
  })
})

suite('link', () => {
  test('TLS 1.2 is a downgrade where 1.3 is the least', async () => {
    const { facts } = await verdictOn({ maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' })
    expect(facts.protocol).toBe('TLSv1.2')
    expect(worstOf(judge(facts, settingsFor({ minVersion: 'TLSv1.2' }).settings))).toBe('trusted')
    const strict = judge(facts, settingsFor({}).settings)
    expect(worstOf(strict)).toBe('downgraded')
    expect(strict.reasons).toEqual(['it negotiated TLSv1.2, and TLSv1.3 is the least allowed'])
  })

  test('a classic group is refused where post-quantum is required', async () => {
    const { facts, worst } = await verdictOn({ postQuantum: 'off' })
    expect([facts.group, worst]).toEqual(['X25519', 'trusted'])
    expect(worstOf(judge(facts, settingsFor({ postQuantum: 'require' }).settings))).toBe('group-refused')
  })

  test('prefer and require agree on a hybrid group', async () => {
    for (const postQuantum of ['prefer', 'require'] as const) {
      const { facts, worst } = await verdictOn({ postQuantum })
      expect([facts.group, worst]).toEqual(['X25519MLKEM768', 'trusted'])
    }
  })
})

suite('resumption', () => {
  test('stands on the verdict it began with, under the same settings, for the same name, in time', async () => {
    const { context, settings } = settingsFor({ pins: [pin(genuine)] })
    const name = 'broker.ward.example'
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const minVersion = 'TLSv1.2'
      const loose = settingsFor({ pins: [pin(genuine)], minVersion })
      const use = maxVersion === 'TLSv1.2' ? loose : { context, settings }
      await using broker = await startTls({ cert: genuine.chain, key: genuine.key, maxVersion })
      const full = await shakeHands(broker.port, use.context, { name })
      const earlier = judge(full.facts, use.settings)
      const session = full.session
      if (session === undefined) throw new Error('no ticket came')
      const { facts } = await shakeHands(broker.port, use.context, { name, session, earlier })
      expect(facts.resumed).toBe(true)
      expect(facts.served).toEqual([])

      const verdict = judge(facts, use.settings)
      expect(worstOf(verdict)).toBe('trusted')
      expect(verdict.path).toEqual(earlier.path)
      expect(worstOf(judge({ ...facts, earlier: verdict }, use.settings))).toBe('trusted')

      const changed = trustSettings({ ...use.settings, pins: [pin(other.ca)] })
      expect(worstOf(judge(facts, changed))).toBe('untrusted-chain')
      expect(worstOf(judge({ ...facts, earlier: undefined }, use.settings))).toBe('untrusted-chain')
      expect(worstOf(judge({ ...facts, earlier: { ...earlier } }, use.settings))).toBe('untrusted-chain')
      expect(worstOf(judge({ ...facts, name: '127.0.0.1' }, use.settings))).toBe('untrusted-chain')
      expect(worstOf(judge({ ...facts, at: Date.now() + 20 * DAY }, use.settings))).toBe('expired')
    }
  })

  test('a refused handshake vouches for nothing', async () => {
    const { context, settings } = settingsFor({ pins: [pin(other.ca)] })
    await using broker = await startTls({ cert: genuine.chain, key: genuine.key })
    const name = 'broker.ward.example'
    const full = await shakeHands(broker.port, context, { name })
    const earlier = judge(full.facts, settings)
    expect(worstOf(earlier)).toBe('pin-mismatch')
    const session = full.session
    if (session === undefined) throw new Error('no ticket came')
    const { facts } = await shakeHands(broker.port, context, { name, session, earlier })
    expect(facts.resumed).toBe(true)
    expect(worstOf(judge(facts, settings))).toBe('untrusted-chain')
  })
})

suite('what is known', () => {
  const name = 'broker.ward.example'
  const unread: HandshakeFacts['served'] = []
  /** The same handshake, whose chain behind the leaf must not be asked for. */
  const sealed = (facts: HandshakeFacts, more: Partial<HandshakeFacts> = {}): HandshakeFacts => ({
    ...facts,
    ...more,
    get served(): typeof unread {
      throw new Error('the chain was read')
    },
  })

  async function shown(chain: string, context: BrokerContext): Promise<HandshakeFacts> {
    await using broker = await startTls({ cert: chain, key: genuine.key })
    return (await shakeHands(broker.port, context, { name })).facts
  }

  test('a leaf whose path was verified is trusted by that, and the rest of its chain is not read', async () => {
    const { context, settings } = settingsFor({ pins: [pin(middle)] })
    const first = judge(await shown(genuine.chain, context), settings)
    const again = await shown(genuine.chain, context)
    expect(judge(sealed(again), settings)).toEqual(first)
    // OpenSSL judges each chain by itself, and is believed.
    const refused = sealed(again, { authorized: false, errorCode: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    expect(judge(refused, settings).causes).toEqual(['untrusted-chain'])
  })

  test('who examines afresh reads all of it', async () => {
    const { context, settings } = settingsFor({})
    const facts = await shown(genuine.chain, context)
    judge(facts, settings)
    expect(() => judge(sealed(facts, { afresh: true }), settings)).toThrow('the chain was read')
  })

  test('under other settings, and for another name, nothing is known of it', async () => {
    const { context, settings } = settingsFor({})
    const facts = await shown(genuine.chain, context)
    judge(facts, settings)
    expect(() => judge(sealed(facts), settingsFor({}).settings)).toThrow('the chain was read')
    expect(() => judge(sealed(facts, { name: 'a.wild.example' }), settings)).toThrow('the chain was read')
  })
})

test('facts that claim authorization without any certificate are not believed', () => {
  const facts = factsWith({ name: 'broker.ward.example' })
  expect(worstOf(judge(facts, settingsFor({}).settings))).toBe('untrusted-chain')
})

suite('what it means', () => {
  const name = 'broker.ward.example'

  test('a new key by a CA of our own, for the right name, is likely a rotation', async () => {
    const { verdict, causes, hint } = await verdictOn({ pins: [pin(other.ca)] })
    expect({ verdict, causes }).toEqual({ verdict: 'likely-rotation', causes: ['pin-mismatch'] })
    expect(hint).toMatch(/^the key is new, issuer and name are the broker's: /)
  })

  test('a new key by another issuer than that of the last trusted certificate is likely a man in the middle', async () => {
    const use = settingsFor({ ca: [pki.ca.cert, other.ca.cert], pins: [pin(genuine)] })
    await using broker = await startTls({ cert: genuine.chain, key: genuine.key })
    const { facts } = await shakeHands(broker.port, use.context, { name })
    expect(judge(facts, use.settings).verdict).toBe('trusted')
    const [renewed, elsewhere] = await Promise.all([
      pki.issue({ ca: middle, names: [name] }),
      other.issue({ names: [name] }),
    ])
    for (const [served, expected] of [
      [renewed, 'likely-rotation'],
      [elsewhere, 'likely-mitm'],
    ] as const) {
      await using next = await startTls({ cert: served.chain, key: served.key })
      const seen = await shakeHands(next.port, use.context, { name })
      const { verdict, causes } = judge(seen.facts, use.settings)
      expect({ verdict, causes }).toEqual({ verdict: expected, causes: ['pin-mismatch'] })
    }
  })

  test('the genuine certificate beside one of their own is likely a man in the middle', async () => {
    const stolen = await pki.issue({ names: [name] })
    const { verdict, causes } = await verdictOn({
      served: stolen.chain + genuine.chain,
      key: stolen.key,
      pins: [pin(genuine)],
    })
    expect({ verdict, causes }).toEqual({ verdict: 'likely-mitm', causes: ['copied-certificate'] })
  })

  test('a wrong name on a new key is no rotation', async () => {
    const { verdict } = await verdictOn({ name: 'elsewhere.example', pins: [pin(other.ca)] })
    expect(verdict).toBe('likely-mitm')
  })

  test('a key exchange that is too weak, or a version too old, is a downgrade', async () => {
    const { facts } = await verdictOn({ postQuantum: 'off' })
    expect(judge(facts, settingsFor({ postQuantum: 'require' }).settings).verdict).toBe('downgraded')
  })
})
