// Trust on first use: what may be met for the first time, what is stored of it, and that nothing replaces it unasked.
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { pinsInForce } from '../../src/config/pins-in-force.ts'
import type { UpstreamConfig } from '../../src/config/schema.ts'
import type { AcceptedPin } from '../../src/tls/accepted.ts'
import { brokerContext } from '../../src/tls/contexts.ts'
import { addFirstUse, firstKey, readFirstUses } from '../../src/tls/first-use.ts'
import type { FirstUsePin, FirstUses } from '../../src/tls/first-use.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { judge, trustSettings } from '../../src/tls/trust.ts'
import type { Verdict } from '../../src/tls/verdict.ts'
import { Folder } from '../help/folder.ts'
import { openssl } from '../help/openssl.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { describeWith } from '../help/tools.ts'
import { shakeHands, startTls } from './broker.ts'

const key = (number: number): string => `sha256/${Buffer.alloc(32, number).toString('base64')}`
const at = '2027-01-15T12:00:00.000Z'
const met = (server: string, number: number): FirstUsePin => {
  return { upstream: 'hospital', server, pin: key(number), at, address: '192.0.2.1', subject: 'CN=broker' }
}

let pki: Pki
let genuine: Identity & { readonly chain: string }
let alone: Identity
beforeAll(async () => {
  pki = await makePki()
  genuine = await pki.issue()
  alone = await pki.issue({ selfSigned: true })
})

function pinned(identity: Identity): string {
  return pinOf(new X509Certificate(identity.cert))
}

/** The verdict on a broker and the key that would be stored of it, where a CA was named or none was. */
async function meet(
  served: { readonly cert: string; readonly key: string },
  { pins = [], ca }: { readonly pins?: readonly string[]; readonly ca?: string } = {},
): Promise<{ verdict: Verdict; key: string | undefined; again: Verdict }> {
  await using broker = await startTls(served)
  const context = brokerContext({ ca: [ca ?? otherCa], minVersion: 'TLSv1.3', postQuantum: 'prefer' })
  const firstUse = { selfSigned: ca === undefined }
  const settings = {
    anchors: context.anchors,
    minVersion: 'TLSv1.3',
    postQuantum: 'prefer',
    firstUse,
  } as const
  const { facts } = await shakeHands(broker.port, context)
  const verdict = judge(facts, trustSettings({ ...settings, pins }))
  const found = firstKey(facts, verdict, firstUse)
  const again = judge(facts, trustSettings({ ...settings, pins: found === undefined ? pins : [found.pin] }))
  return { verdict, key: found?.pin, again }
}

/** Stands for the CAs of the machine, of which none issued these certificates. */
let otherCa: string
beforeAll(async () => {
  otherCa = (await makePki('Public CA')).ca.cert
})

describe('the first handshake', () => {
  test('is not trusted by itself, only by the pin that comes of it', async () => {
    const {
      verdict,
      key: found,
      again,
    } = await meet({ cert: genuine.chain, key: genuine.key }, { ca: pki.ca.cert })
    expect(verdict.causes).toEqual(['pin-mismatch'])
    expect(verdict.reasons).toEqual([expect.stringContaining('no key of it is known')])
    expect(found).toBe(pinned(genuine))
    expect(again.verdict).toBe('trusted')
    const other = await pki.issue()
    const later = await meet(
      { cert: other.chain, key: other.key },
      { ca: pki.ca.cert, pins: [pinned(genuine)] },
    )
    expect(later.verdict.verdict).toBe('likely-rotation')
  })

  test('takes a certificate that signed itself where no CA was named, and goes by its key', async () => {
    const { verdict, key: found, again } = await meet(alone)
    expect(verdict.causes).toEqual(['self-signed', 'pin-mismatch'])
    expect(found).toBe(pinned(alone))
    expect(again).toMatchObject({ verdict: 'trusted', causes: [] })
    expect(again.path.map(pinOf)).toEqual([pinned(alone)])
    const rogue = await pki.issue({ selfSigned: true })
    const later = await meet(rogue, { pins: [pinned(alone)] })
    expect(later.verdict).toMatchObject({ verdict: 'likely-mitm', causes: ['self-signed', 'pin-mismatch'] })
  })

  test('does not forgive one that signed itself where a CA was named', async () => {
    expect(await meet(alone, { ca: pki.ca.cert })).toMatchObject({ key: undefined })
    const { verdict } = await meet(alone, { ca: pki.ca.cert, pins: [pinned(alone)] })
    expect(verdict.verdict).toBe('likely-mitm')
  })

  test('does not take a chain to a CA that nobody named', async () => {
    const { verdict, key: found } = await meet({ cert: genuine.chain, key: genuine.key })
    expect(verdict.causes).toContain('untrusted-chain')
    expect(found).toBeUndefined()
  })

  test.each<[string, () => Promise<Identity>, string]>([
    ['another name', () => pki.issue({ selfSigned: true, names: ['other.example'] }), 'name-mismatch'],
    ['an expired certificate', () => pki.issue({ selfSigned: true, expired: true }), 'expired'],
    [
      'a certificate for clients',
      () => pki.issue({ selfSigned: true, purpose: 'client' }),
      'untrusted-chain',
    ],
  ])('does not take %s, nor does its pin help', async (_, make, cause) => {
    const served = await make()
    const { verdict, key: found } = await meet(served)
    expect(verdict.causes).toContain(cause)
    expect(found).toBeUndefined()
    const { verdict: later } = await meet(served, { pins: [pinned(served)] })
    expect(later.verdict).not.toBe('trusted')
    expect(later.causes).toContain(cause)
  })
})

describeWith(['openssl'], 'the first handshake of an appliance', () => {
  test('takes what "openssl req -x509" makes, a CA of itself', async () => {
    await using folder = await Folder.make({})
    const [cert, keyFile] = [folder.at('cert.pem'), folder.at('key.pem')]
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', keyFile, '-out', cert, '-days', '3']
    await openssl('req', '-x509', ...made, ...names)
    const served = { cert: await readFile(cert, 'utf8'), key: await readFile(keyFile, 'utf8') }
    const { key: found, again } = await meet(served)
    expect(found).toBe(pinned(served))
    expect(again.verdict).toBe('trusted')
  })
})

describe('the store', () => {
  test('keeps the first key of each server, and no later one', async () => {
    await using folder = await Folder.make({})
    expect(await readFirstUses(folder.path)).toEqual({ pins: [], isDamaged: false, warnings: [] })
    expect(await addFirstUse(folder.path, met('a:1', 1))).toBe(true)
    expect(await addFirstUse(folder.path, met('a:1', 2))).toBe(false)
    expect(await addFirstUse(folder.path, met('b:1', 2))).toBe(true)
    expect((await readFirstUses(folder.path)).pins).toEqual([met('a:1', 1), met('b:1', 2)])
  })

  test.each([
    ['no JSON', '{'],
    ['nothing', ''],
    ['another version', '{"version":2,"pins":[]}'],
    ['a pin that is none', JSON.stringify({ version: 1, pins: [{ ...met('a:1', 1), pin: 'sha256/AAAA' }] })],
    ['a pin of nobody', JSON.stringify({ version: 1, pins: [{ ...met('a:1', 1), server: 7 }] })],
  ])('that holds %s stays where it is, and nobody is met for the first time', async (_, text) => {
    await using folder = await Folder.make({})
    await mkdir(folder.at('trust'))
    const file = await folder.write('trust/first-use.json', text)
    const found = await readFirstUses(folder.path)
    expect(found).toMatchObject({
      pins: [],
      isDamaged: true,
      warnings: [expect.stringContaining('is damaged')],
    })
    await expect(addFirstUse(folder.path, met('a:1', 1))).rejects.toMatchObject({ code: 'first-use-damaged' })
    expect(await readFile(file, 'utf8')).toBe(text)
  })

  test('is bounded', async () => {
    await using folder = await Folder.make({})
    await mkdir(folder.at('trust'))
    const pins = Array.from({ length: 512 }, (_, number) => met(`s:${number}`, 1))
    await folder.write('trust/first-use.json', JSON.stringify({ version: 1, pins }))
    await expect(addFirstUse(folder.path, met('b:1', 2))).rejects.toMatchObject({ code: 'first-use-full' })
  })
})

describe('the pins in force', () => {
  const servers = ['a', 'b'].map((host) => ({ host, port: 1 }))
  const inForce = (
    firstUse: 'accept' | 'refuse',
    firstUses: FirstUses,
    accepted: readonly Partial<AcceptedPin>[] = [],
  ): unknown => {
    const tls = { pins: [], firstUse } as unknown as UpstreamConfig['tls']
    const all = accepted.map((one) => ({ upstream: 'hospital', pin: key(9), at, by: 'nurse', ...one }))
    const { pins, strangers } = pinsInForce(
      'hospital',
      { servers, tls },
      { accepted: all, firstUses, forgotten: [] },
    )
    return [pins.map(({ pin, firstUse: of }) => `${pin} ${of ?? 'accepted'}`), [...strangers]]
  }
  const isDamaged = false
  const both = [met('a:1', 1), met('b:1', 2)]

  test.each<[string, unknown, unknown]>([
    ['none, and all are strangers', inForce('accept', { pins: [], isDamaged }), [[], ['a:1', 'b:1']]],
    ['of who was met', inForce('accept', { pins: [met('b:1', 2)], isDamaged }), [[`${key(2)} b:1`], ['a:1']]],
    ['of nobody who left', inForce('accept', { pins: [met('c:1', 2)], isDamaged }), [[], ['a:1', 'b:1']]],
    ['of nobody where it was not asked for', inForce('refuse', { pins: both, isDamaged }), [[], []]],
    [
      'of nobody, and no strangers, where the store is damaged',
      inForce('accept', { pins: [], isDamaged: true }),
      [[], []],
    ],
    [
      'an accepted one, in place of the first of its server',
      inForce('accept', { pins: both, isDamaged }, [{ server: 'a:1' }]),
      [[`${key(9)} accepted`, `${key(2)} b:1`], []],
    ],
    [
      'an accepted one, before its server was met',
      inForce('accept', { pins: [], isDamaged }, [{ server: 'a:1' }]),
      [[`${key(9)} accepted`], ['b:1']],
    ],
    [
      'an accepted one in place of all, though the store is damaged',
      inForce('accept', { pins: [], isDamaged: true }, [{}]),
      [[`${key(9)} accepted`], []],
    ],
  ])('are %s', (_, found, expected) => {
    expect(found).toEqual(expected)
  })
})
