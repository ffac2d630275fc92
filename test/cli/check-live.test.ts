// `pulseward check --live`: every address of every server asked once, without a proxy.

import { X509Certificate } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { check } from '../../src/cli/check.ts'
import type { Lookup } from '../../src/net/resolve.ts'
import { offeredGroups } from '../../src/tls/groups.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { learn, newProfile } from '../../src/tls/profile.ts'
import { printProfiles } from '../../src/tls/profile-text.ts'
import { TestBroker, type BrokerOptions } from '../help/broker.ts'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { deadPort } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { ward } from '../help/proxy.ts'

const name = 'broker.ward.example'
const main = new URL('../../src/main.ts', import.meta.url).pathname

let pki: Pki
let genuine: BrokerOptions
let rogue: BrokerOptions
let pins: readonly string[]
beforeAll(async () => {
  pki = await makePki()
  const served = await pki.issue({ names: [name, '127.0.0.1'] })
  genuine = { cert: served.chain, key: served.key }
  pins = [pinOf(new X509Certificate(served.cert)), pinOf(new X509Certificate(pki.ca.cert))]
  const forged = await pki.issue({ names: [name, '127.0.0.1'], ca: await pki.rogue() })
  rogue = { cert: forged.chain, key: forged.key }
})

async function folderFor(servers: readonly string[]): Promise<Folder> {
  const config = ward({ brokers: [], tls: { pins } }) as { upstreams: { hospital: object } }
  const upstreams = { hospital: { ...config.upstreams.hospital, servers } }
  const files = { 'ca.pem': pki.ca.cert, 'proxy.yaml': JSON.stringify({ ...config, upstreams }) }
  return await Folder.make(files)
}

async function run(folder: Folder, argv: string[], lookup?: Lookup) {
  const written = { stdout: '', stderr: '', status: -1 }
  const io = {
    stdout: (text: string) => void (written.stdout += text),
    stderr: (text: string) => void (written.stderr += text),
    env: {},
    cwd: folder.path,
  }
  written.status = await check(['--live', ...argv], io, lookup)
  return written
}

describe('pulseward check --live', () => {
  test('0 where every address is trusted; says until when its certificates last', async () => {
    await using broker = await TestBroker.start(genuine)
    await using other = await TestBroker.start({ ...genuine, host: '127.0.0.2', port: broker.port })
    await using folder = await folderFor([`mqtts://${name}:${broker.port}`])
    const { stdout, status } = await run(folder, [], async () => ['127.0.0.1', '127.0.0.2'])
    expect(status).toBe(0)
    const [, head, first, ...rest] = stdout.split('\n')
    expect(head).toBe(`hospital ${name}:${broker.port}`)
    expect(first).toBe('  127.0.0.1  trusted  TLSv1.3 X25519MLKEM768')
    expect(rest[0]).toMatch(/^ {4}until \d{4}-\d\d-\d\dT[\d:.]+Z {2}.*CN=/)
    expect(stdout).toContain('\n  127.0.0.2  trusted')
    expect(broker.applicationBytes + other.applicationBytes).toBe(0)
  })

  test('1 where a server is weaker than the proxy knows it to be; what it learnt stays as it is', async () => {
    await using broker = await TestBroker.start({ ...genuine, ecdhCurve: 'X25519' })
    await using folder = await folderFor([`mqtts://127.0.0.1:${broker.port}`])
    const profile = newProfile(0, offeredGroups('prefer'))
    for (let day = 0; day < 8; day += 1) learn(profile, { group: 'X25519MLKEM768' }, day * 86_400_000, 0)
    const known = printProfiles(new Map([['hospital', new Map([[`127.0.0.1:${broker.port}`, profile]])]]))
    await mkdir(folder.at('state/trust'), { recursive: true })
    await folder.write('state/trust/profiles.json', known)
    const { stdout, status } = await run(folder, [])
    expect(status).toBe(1)
    expect(stdout).toContain('127.0.0.1  downgraded (weaker-than-learned)')
    expect(await readFile(folder.at('state/trust/profiles.json'), 'utf8')).toBe(known)
  })

  test('1 where one of several addresses is a rogue, with reasons and hint', async () => {
    await using broker = await TestBroker.start(genuine)
    await using wrong = await TestBroker.start({ ...rogue, host: '127.0.0.2', port: broker.port })
    await using folder = await folderFor([`mqtts://${name}:${broker.port}`])
    const lookup = async () => ['127.0.0.1', '127.0.0.2']
    const { stdout, status } = await run(folder, [], lookup)
    expect(status).toBe(1)
    expect(stdout).toMatch(
      /\n {2}127\.0\.0\.2 {2}likely-mitm \(.*untrusted-chain.*\) {2}TLSv1\.3 .*\n {4}no path/,
    )
    expect(stdout).toMatch(/\n {4}hint: .+/)
    expect(wrong.applicationBytes).toBe(0)
    const json = await run(folder, ['--json'], lookup)
    expect([json.status, json.stderr]).toEqual([1, ''])
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      diagnostics: expect.any(Array),
      live: [
        {
          upstream: 'hospital',
          server: `${name}:${broker.port}`,
          trusted: false,
          omitted: 0,
          addresses: [
            { address: '127.0.0.1', verdict: 'trusted', causes: [], certificates: [{}, {}] },
            { address: '127.0.0.2', verdict: 'likely-mitm', hint: expect.any(String) },
          ],
        },
      ],
    })
  })

  test('1 where a server is away, or its name unknown', async () => {
    await using broker = await TestBroker.start(genuine)
    const dead = await deadPort()
    await using folder = await folderFor([
      `mqtts://127.0.0.1:${dead}`,
      `mqtts://gone.ward.example:${broker.port}`,
    ])
    const { stdout, status } = await run(folder, [], async () => {
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    })
    expect(status).toBe(1)
    expect(stdout).toContain('\n  127.0.0.1  refused\n    hint: nothing listens there')
    expect(stdout).toContain('\n  gone.ward.example  dns\n    hint: the name does not resolve')
  })

  test('a file with mistakes is not tried live', async () => {
    await using folder = await Folder.make({ 'proxy.yaml': 'listeners: []\n' })
    const { stdout, status } = await run(folder, ['--json'])
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).not.toHaveProperty('live')
  })

  test('as a program it needs no proxy, and ends by itself', async () => {
    await using broker = await TestBroker.start(genuine)
    await using folder = await folderFor([`mqtts://127.0.0.1:${broker.port}`])
    await using child = new Child(process.execPath, [main, 'check', '--live', '-c', folder.at('proxy.yaml')])
    expect((await child.ended).code).toBe(0)
    expect(child.stdout.toString()).toContain(`hospital 127.0.0.1:${broker.port}\n  127.0.0.1  trusted`)
  })

  test('what cannot be called off, such as a resolver that does not answer, does not hold up the end', async () => {
    await using broker = await TestBroker.start(genuine)
    await using folder = await folderFor([`mqtts://127.0.0.1:${broker.port}`])
    const holding = 'data:text/javascript,setInterval(() => {}, 1000)'
    const argv = ['--import', holding, main, 'check', '--live', '-c', folder.at('proxy.yaml')]
    await using child = new Child(process.execPath, argv)
    expect((await child.ended).code).toBe(0)
  })
})
