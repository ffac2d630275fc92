// A broker comes back with less than it had: TLS 1.2, a smaller curve, a shorter cipher. Refused, until it is meant so.

import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { leastLink, type Least } from '../../src/tls/drift.ts'
import { readProfiles } from '../../src/tls/profile-book.ts'
import { Device } from '../help/device.ts'
import { Folder } from '../help/folder.ts'
import { Mosquitto, mosquittoTools, type MosquittoOptions } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const notTrusted = 'broker not trusted; nothing was sent to it'
const accepted = '20020000'
const refusal = '20020003'

/** As strong as this mosquitto can be. */
const strong: Partial<MosquittoOptions> = { openssl: ['Groups = P-384'] }

interface Shown {
  readonly profiles: readonly { readonly server: string }[]
}

function config(port: number, state: string): object {
  const usual = ward({
    brokers: [port],
    tls: { minVersion: 'TLSv1.2', profileAfter: '0s' },
    timeouts: { distrust: '100ms' },
    more: { reload: { watch: true }, state },
  }) as { upstreams: { hospital: object } }
  return {
    ...usual,
    upstreams: { hospital: { ...usual.upstreams.hospital, canary: { interval: '1s' } } },
  }
}

async function command(proxy: Proxy, ...args: readonly string[]): Promise<string> {
  const file = ['-c', proxy.folder.at('proxy.yaml')]
  return (await promisify(execFile)(process.execPath, [main, ...args, ...file])).stdout
}

async function answerTo(proxy: Proxy): Promise<string> {
  await using device = await Device.connect(proxy.port)
  await device.send(connectPacket({ version: 4, clientId: 'pump-7' }))
  return (await device.bytes(4)).toString('hex')
}

/** Waits until a server is held to something; the file says so within a second. */
async function learnt(state: Folder): Promise<Least> {
  const look = async (): Promise<Least | undefined> => {
    const profile = (await readProfiles(state.path))?.get('hospital')?.values().next().value
    return profile === undefined ? undefined : leastLink(profile, 0)
  }
  // It takes eight rounds of the canary, which asks once a second at most.
  return await eventually('a profile', look, { patience: 60_000 })
}

describeWith(mosquittoTools, 'a broker that becomes weaker', () => {
  const start = async (
    pki: Pki,
    port: number | undefined,
    more: Partial<MosquittoOptions>,
  ): Promise<Mosquitto> => await Mosquitto.start({ pki, ...more, ...(port !== undefined && { port }) })

  test('is refused whatever it gave up, after a restart of the proxy too, until its profile is forgotten', async () => {
    const pki = await makePki()
    await using state = await Folder.make({})
    let broker = await start(pki, undefined, strong)
    const { port } = broker
    const files = { 'ca.pem': pki.ca.cert }
    {
      await using proxy = await Proxy.start({ config: config(port, state.path), files })
      expect(await learnt(state)).toEqual({ version: 'TLSv1.3', group: 'P-384', cipher: 'AES_256_GCM' })
      await using device = await Device.connect(proxy.port)
      await device.send(connectPacket({ version: 5, clientId: 'pump-5' }))
      expect((await device.bytes(4))[0]).toBe(0x20)
    }
    // What it answered in MQTT 5.0, and that it sent a ticket before, is kept over the end of the proxy.
    const fields = (await readProfiles(state.path))?.get('hospital')?.get(`127.0.0.1:${port}`)?.fields
    const names = ['tickets', 'maximum-qos', 'topic-alias-maximum', 'key-type'] as const
    expect(names.map((name) => fields?.get(name)?.values[0]?.value)).toEqual([
      'sent',
      '2',
      '10',
      'ec prime256v1',
    ])
    await using proxy = await Proxy.start({ config: config(port, state.path), files })
    await proxy.waitForReady(200)
    for (const [weaker, reason] of [
      [{ openssl: ['Groups = P-384', 'MaxProtocol = TLSv1.2'] }, 'the version TLSv1.2'],
      [{ openssl: ['Groups = X25519'] }, 'the group X25519'],
      [{ ...strong, tls: ['ciphers_tls1.3 TLS_AES_128_GCM_SHA256'] }, 'the cipher AES_128_GCM'],
    ] as const) {
      await broker[Symbol.asyncDispose]()
      broker = await start(pki, port, weaker)
      await eventually(`"${reason}" in /readyz`, async () =>
        JSON.stringify((await proxy.readiness()).body).includes(reason),
      )
      expect(await answerTo(proxy)).toBe(refusal)
      await proxy.waitForReady(503)
    }
    await proxy.line(notTrusted, { verdict: 'downgraded' })
    const labels = { verdict: 'downgraded', cause: 'weaker-than-learned' }
    expect(await proxy.metric('pulseward_upstream_verify_failures_total', labels)).toBeGreaterThan(2)
    const incidents = JSON.parse(await command(proxy, 'evidence', 'list', '--json')) as {
      incidents: object[]
    }
    expect(incidents.incidents).toContainEqual(expect.objectContaining({ verdict: 'downgraded' }))
    // It was meant so: the shorter cipher stays.
    expect(await command(proxy, 'trust', 'profile', 'forget', '--upstream', 'hospital')).toContain(
      'learnt anew',
    )
    await proxy.line('a profile was forgotten', { upstream: 'hospital' })
    await proxy.waitForReady(200)
    expect(await answerTo(proxy)).toBe(accepted)
    const shown = JSON.parse(await command(proxy, 'trust', 'profile', 'show', '--json')) as Shown
    expect(shown.profiles[0]?.server).toBe(`127.0.0.1:${port}`)
    await broker[Symbol.asyncDispose]()
  }, 150_000)

  test('is learnt anew where the profiles are damaged, which are moved aside', async () => {
    const pki = await makePki()
    await using state = await Folder.make({})
    await using broker = await start(pki, undefined, {})
    const files = { 'ca.pem': pki.ca.cert }
    await mkdir(state.at('trust'))
    await state.write('trust/profiles.json', '{ damaged')
    await using proxy = await Proxy.start({ config: config(broker.port, state.path), files })
    const line = await proxy.line('profiles of brokers begin anew')
    expect(await readFile(String(line['aside']), 'utf8')).toBe('{ damaged')
    expect(await answerTo(proxy)).toBe(accepted)
    await eventually('new profiles', async () => (await readProfiles(state.path))?.has('hospital'))
  }, 60_000)
})
