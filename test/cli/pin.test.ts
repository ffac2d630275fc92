import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { pin, pinHelp } from '../../src/cli/pin.ts'
import { UsageError } from '../../src/cli/io.ts'
import { mint } from '../../src/tls/mint.ts'
import type { Identity } from '../../src/tls/mint.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { makeCa, makeLeaf } from '../help/certificates.ts'
import { Folder } from '../help/folder.ts'
import { ListServer } from '../help/list-server.ts'
import { makePki } from '../help/pki.ts'
import type { Pki } from '../help/pki.ts'
import { makeList, makeResponse, mustStaple, timestamps } from '../help/revocation.ts'
import { listen, startTls } from '../tls/broker.ts'

let pki: Pki
let middle: Identity
let leaf: Identity & { readonly chain: string }

beforeAll(async () => {
  pki = await makePki()
  middle = await pki.intermediate()
  leaf = await pki.issue({ ca: middle })
})

const pinned = ({ cert }: Identity): string => pinOf(new X509Certificate(cert))

async function run(...args: readonly string[]) {
  await using folder = await Folder.make({ 'ca.pem': pki.ca.cert, 'empty.pem': '' })
  const printed = { out: '', err: '' }
  const status = await pin([...args], {
    stdout: (text) => void (printed.out += text),
    stderr: (text) => void (printed.err += text),
    env: {},
    cwd: folder.path,
  })
  return { status, ...printed }
}

/** The block to paste, read as YAML. */
function pasted(out: string): unknown {
  return parse(out.slice(out.indexOf('\nupstreams:\n')))
}

test('shows what a trusted broker proves, and a block that proxy.yaml understands', async () => {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key })
  const { status, out, err } = await run(`127.0.0.1:${broker.port}`, '--ca', 'ca.pem')
  expect([status, err]).toEqual([0, ''])
  expect(out).toContain('TLSv1.3, TLS_AES_256_GCM_SHA384, key exchange X25519MLKEM768 (post-quantum)')
  expect(out).toContain('name verifies: "127.0.0.1"')
  for (const shown of [leaf, middle, pki.ca]) expect(out).toContain(pinned(shown))
  expect(pasted(out)).toEqual({
    upstreams: {
      NAME: {
        servers: [`mqtts://127.0.0.1:${broker.port}`],
        tls: { ca: ['ca.pem'], pins: [pinned(leaf), pinned(middle)] },
      },
    },
  })
  expect(broker.received).toEqual([])
})

test('IPv6 in brackets', async () => {
  const server = createTlsServer({ cert: leaf.chain, key: leaf.key })
  server.listen(0, '::1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { status, out } = await run(`[::1]:${port}`, '--ca', 'ca.pem')
  server.close()
  expect(status).toBe(0)
  expect(pasted(out)).toMatchObject({ upstreams: { NAME: { servers: [`mqtts://[::1]:${port}`] } } })
})

test('--servername is asked for, checked and pasted', async () => {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key })
  const good = await run(`127.0.0.1:${broker.port}`, '--ca', 'ca.pem', '--servername', 'localhost')
  expect(good.status).toBe(0)
  expect(pasted(good.out)).toMatchObject({ upstreams: { NAME: { tls: { serverName: 'localhost' } } } })
  const bad = await run(`127.0.0.1:${broker.port}`, '--ca', 'ca.pem', '--servername', 'other.example')
  expect(bad.status).toBe(1)
  expect(bad.out).toContain('not trusted: likely-mitm (name-mismatch)')
})

test('a chain this machine does not trust is shown, marked, and exits with 1', async () => {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key })
  const { status, out } = await run(`127.0.0.1:${broker.port}`)
  expect(status).toBe(1)
  expect(out).toContain('not trusted: likely-mitm (untrusted-chain)')
  expect(out).toContain('NOT VERIFIED')
  expect(out).toContain(pinned(leaf))
  expect(out.indexOf('NOT VERIFIED')).toBeLessThan(out.indexOf('upstreams:'))
})

test('a broker with TLS 1.2 gets the line that allows it', async () => {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key, maxVersion: 'TLSv1.2' })
  const { status, out } = await run(`127.0.0.1:${broker.port}`, '--ca', 'ca.pem')
  expect(status).toBe(0)
  expect(pasted(out)).toMatchObject({ upstreams: { NAME: { tls: { minVersion: 'TLSv1.2' } } } })
})

test('--json is one document with everything in it', async () => {
  await using broker = await startTls({ cert: leaf.chain, key: leaf.key })
  const { status, out } = await run(`127.0.0.1:${broker.port}`, '--ca', 'ca.pem', '--json')
  expect(status).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    server: `127.0.0.1:${broker.port}`,
    protocol: 'TLSv1.3',
    group: 'X25519MLKEM768',
    verdict: 'trusted',
    certificates: [{ pin: pinned(leaf) }, { pin: pinned(middle) }, { role: 'anchor', pin: pinned(pki.ca) }],
    path: [leaf, middle, pki.ca].map(pinned),
  })
})

test('a subject full of control characters cannot move the cursor, nor leave its YAML comment', async () => {
  const evil = await mint({
    commonName: 'a\u001b[2J\nupstreams: {}\u202e\u0007',
    names: ['localhost'],
    key: 'ec',
    notBefore: Date.now() - 1000_000,
    notAfter: Date.now() + 1000_000,
    issuer: pki.ca,
  })
  await using broker = await startTls({ cert: evil.cert, key: evil.key })
  for (const json of [[], ['--json']]) {
    const { out } = await run(
      `127.0.0.1:${broker.port}`,
      '--ca',
      'ca.pem',
      '--servername',
      'localhost',
      ...json,
    )
    // oxlint-disable-next-line no-control-regex
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    if (json.length === 0) expect(pasted(out)).toHaveProperty('upstreams.NAME.tls.pins.0', pinned(evil))
  }
})

test('where there is no handshake it says why and what to do', async () => {
  await using plain = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  const { status, out, err } = await run(`127.0.0.1:${plain.port}`)
  expect([status, out]).toEqual([1, ''])
  expect(err).toMatch(new RegExp(`^pulseward: 127\\.0\\.0\\.1:${plain.port}: not-tls: .*\nhint: .*\n$`))
  const json = await run(`127.0.0.1:${plain.port}`, '--json')
  expect(json.status).toBe(1)
  expect(JSON.parse(json.out)).toMatchObject({ failure: 'not-tls' })
})

test('--timeout bounds a broker that stays silent', async () => {
  await using silent = await listen(createServer())
  const { status, err } = await run(`127.0.0.1:${silent.port}`, '--timeout', '100ms')
  expect(status).toBe(1)
  expect(err).toContain(': timeout: ')
})

test.each([
  ['no host', []],
  ['two hosts', ['a:1', 'b:2']],
  ['plain MQTT', ['mqtt://a:1883']],
  ['a port out of range', ['a:70000']],
  ['IPv6 without brackets', ['::1:8883']],
  ['a bad name', ['a:1', '--servername', 'a b']],
  ['a bad timeout', ['a:1', '--timeout', 'soon']],
  ['an unknown option', ['a:1', '--insecure']],
])('%s is a usage error', async (_, args) => {
  await expect(run(...args)).rejects.toThrow(UsageError)
})

test('a CA file that is missing or empty is an error that names it or its fault', async () => {
  await expect(run('127.0.0.1:1', '--ca', 'missing.pem')).rejects.toMatchObject({ code: 'ca-invalid' })
  await expect(run('127.0.0.1:1', '--ca', 'empty.pem')).rejects.toMatchObject({ code: 'ca-invalid' })
})

test('--help is complete', async () => {
  const { status, out } = await run('--help')
  expect([status, out]).toEqual([0, pinHelp])
  for (const option of ['--servername', '--ca', '--timeout', '--json', '--help'])
    expect(out).toContain(option)
})

test('what logs and an OCSP response vouch for, and what the lists of proxy.yaml say, fetched where need be', async () => {
  const ca = makeCa('Hospital CA')
  const shown = makeLeaf(ca, { names: ['127.0.0.1'], more: [timestamps(2), mustStaple] })
  const staple = makeResponse({ leaf: shown, issuer: ca, to: Date.UTC(2999, 0, 1) })
  await using broker = await startTls({ cert: shown.cert, key: shown.key, staple })
  await using server = await ListServer.start(makeList({ issuer: ca, revoked: [shown] }))
  const tls = { ca: 'hospital.pem', revocation: { crl: server.url } }
  const upstreams = { hospital: { servers: [`mqtts://127.0.0.1:${broker.port}`], tls } }
  const listeners = [{ name: 'ward', bind: '127.0.0.1:0', upstream: 'hospital' }]
  const files = { 'hospital.pem': ca.cert, 'proxy.yaml': JSON.stringify({ listeners, upstreams }) }
  await using folder = await Folder.make(files)
  const ask = async (...args: string[]): Promise<{ status: number; out: string }> => {
    let out = ''
    const io = { stdout: (text: string) => void (out += text), stderr: () => {}, env: {}, cwd: folder.path }
    return { status: await pin([`127.0.0.1:${broker.port}`, ...args], io), out }
  }
  const good = await ask('--ca', 'hospital.pem')
  expect(good.status).toBe(0)
  expect(good.out).toContain('  logs    2 transparency logs vouch for it\n')
  expect(good.out).toContain('  staple  only to be taken with an OCSP response\n')
  expect(good.out).toMatch(/^not revoked: by its OCSP response, until 2\d{3}-/m)
  const revoked = await ask('-c', 'proxy.yaml')
  expect(revoked.status).toBe(1)
  expect(revoked.out).toContain('not trusted: revoked (revoked)\n')
  expect(server.asked).toBe(1)
  await writeFile(folder.at('ca.crl'), makeList({ issuer: ca, revoked: [shown] }))
  const byFile = { ...tls, revocation: { crl: 'ca.crl' } }
  const other = { listeners, upstreams: { hospital: { ...upstreams.hospital, tls: byFile } } }
  await folder.write('other.yaml', JSON.stringify(other))
  expect((await ask('-c', 'other.yaml')).out).toContain('not trusted: revoked (revoked)\n')
  // It may run as another user than the proxy.
  await expect(stat(folder.at('state'))).rejects.toMatchObject({ code: 'ENOENT' })
})
