// OCSP staples: nothing but what the issuer, or who it certified, signed is ever believed; and each is checked once.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { brokerContext, brokerOptions } from '../../src/tls/contexts.ts'
import { describe as describeHandshake, keepStaple } from '../../src/tls/handshake.ts'
import { readStaple, StapleMemory } from '../../src/tls/staple.ts'
import type { Stapled } from '../../src/tls/staple.ts'
import { makeCa, makeLeaf } from '../help/certificates.ts'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { openssl } from '../help/openssl.ts'
import { makeResponse, ocspSigning } from '../help/revocation.ts'
import { describeWith, tool } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const ca = makeCa('Stapling CA')
const leaf = makeLeaf(ca)
const responder = makeLeaf(ca, { subject: 'Responder', purposes: [ocspSigning] })
const [leafShown, caShown] = [new X509Certificate(leaf.cert), new X509Certificate(ca.cert)]

const read = (bytes: Buffer): Stapled => readStaple(bytes, leafShown, caShown, 'refuse')

test('status, reason and times, in whole seconds', () => {
  const from = Date.UTC(2026, 1, 3, 4, 5, 6)
  const bytes = makeResponse({ leaf, issuer: ca, status: 'revoked', reason: 4, from, to: from + 1000 })
  expect(read(bytes)).toMatchObject({
    staple: { status: 'revoked', revocation: { why: 'superseded' }, thisUpdate: from, until: from + 1000 },
  })
})

test.each([
  ['by the issuer', makeResponse({ leaf, issuer: ca })],
  ['by one it certified for it', makeResponse({ leaf, issuer: ca, by: responder })],
])('a good response %s that was changed anywhere says the same or nothing', (_, whole) => {
  const genuine = read(whole)
  expect(genuine).toMatchObject({ staple: { status: 'good' } })
  fc.assert(
    fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ change
      const found = read(changed)
      if (!('fault' in found)) expect(found).toEqual(genuine)
      else expect(found.fault).toMatch(/^[\x20-\x7e]{1,300}$/)
      expect(read(whole.subarray(0, at))).toHaveProperty('fault')
    }),
    { numRuns: 3000 },
  )
})

test('noise and what is too large say nothing', () => {
  expect(read(Buffer.alloc(65_537, 0x30))).toEqual({ fault: 'it is larger than 64 KiB' })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(read(Buffer.from(bytes))).toHaveProperty('fault')
    }),
    { numRuns: 1000 },
  )
})

test('the same bytes are checked once, others anew, and of many certificates only the last are remembered', () => {
  const memory = new StapleMemory()
  const recall = (bytes: Buffer, about = leafShown): Stapled => memory.read(bytes, about, caShown, 'refuse')
  const bytes = makeResponse({ leaf, issuer: ca })
  const first = recall(bytes)
  expect(recall(Buffer.from(bytes))).toBe(first)
  const next = recall(makeResponse({ leaf, issuer: ca, status: 'revoked' }))
  expect(next).toMatchObject({ staple: { status: 'revoked' } })
  expect(recall(bytes)).not.toBe(first)
  const last = recall(bytes)
  for (let index = 0; index < 64; index += 1) recall(bytes, new X509Certificate(makeLeaf(ca).cert))
  expect(recall(bytes)).not.toBe(last)
})

describeWith(['openssl'], 'openssl', () => {
  test.each(['-tls1_2', '-tls1_3'])(
    'a response that its server sends along arrives (%s)',
    async (version) => {
      const staple = makeResponse({ leaf, issuer: ca })
      await using folder = await Folder.make({ 'leaf.pem': leaf.cert, 'leaf.key': leaf.key })
      await writeFile(folder.at('staple'), staple)
      const shown = [
        '-cert',
        folder.at('leaf.pem'),
        '-key',
        folder.at('leaf.key'),
        '-status_file',
        folder.at('staple'),
      ]
      await using server = new Child(tool('openssl'), [
        's_server',
        '-www',
        '-accept',
        '127.0.0.1:0',
        version,
        ...shown,
      ])
      const port = await eventually(
        'a port',
        () => /^ACCEPT 127\.0\.0\.1:(\d+)$/m.exec(server.stdout.toString())?.[1],
      )
      const context = brokerContext({
        ca: [ca.cert],
        minVersion: 'TLSv1.2',
        postQuantum: 'prefer',
        staple: true,
      })
      const name = 'broker.ward.example'
      const socket = connect({ port: Number(port), host: '127.0.0.1', ...brokerOptions(context, name) })
      keepStaple(socket)
      await once(socket, 'secureConnect')
      const facts = describeHandshake(socket, { name, at: Date.now() })
      socket.destroy()
      expect(facts.staple).toEqual(staple)
    },
  )

  test('a response that its responder gave is read alike', async () => {
    await using folder = await Folder.make({
      'ca.pem': ca.cert,
      'responder.pem': responder.cert,
      'responder.key': responder.key,
      'leaf.pem': leaf.cert,
      index: `R\t301231000000Z\t261101000000Z,keyCompromise\t${leafShown.serialNumber}\tunknown\t/CN=x\n`,
    })
    const at = (name: string): string => folder.at(name)
    await openssl(
      'ocsp',
      '-sha256',
      '-issuer',
      at('ca.pem'),
      '-cert',
      at('leaf.pem'),
      '-reqout',
      at('request'),
    )
    const keys = ['-rsigner', at('responder.pem'), '-rkey', at('responder.key'), '-CA', at('ca.pem')]
    const files = ['-index', at('index'), '-reqin', at('request'), '-respout', at('response')]
    await openssl('ocsp', ...keys, ...files, '-ndays', '2')
    expect(read(await readFile(at('response')))).toMatchObject({
      staple: { status: 'revoked', revocation: { at: Date.UTC(2026, 10, 1), why: 'key compromise' } },
    })
  })
})
