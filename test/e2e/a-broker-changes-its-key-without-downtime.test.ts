// A broker changes its key under load: to the spare one nobody notices; to one nobody knows, until that is accepted.

import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { pinOf, shortPin } from '../../src/tls/pins.ts'
import { Device } from '../help/device.ts'
import { listen, Mosquitto, mosquittoTools } from '../help/mosquitto.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { publishUntil } from '../help/publish-until.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const publishers = 4
const refusal = '20020003'

describeWith(mosquittoTools, 'a change of the key', () => {
  test('to the backup pin costs nothing; to an unknown one it is refused until it is accepted', async () => {
    const pki = await makePki()
    const [first, spare, unknown] = [await pki.issue(), await pki.issue(), await pki.issue()]
    const [firstPin, sparePin, unknownPin] = [first, spare, unknown].map(({ cert }) =>
      pinOf(new X509Certificate(cert)),
    )
    await using broker = await Mosquitto.start({ pki, identity: first })
    const pins = [
      { pin: firstPin, comment: 'in use' },
      { pin: sparePin, backup: true, notAfter: '2999-12-31' },
    ]
    const config = ward({
      brokers: [broker.port],
      tls: { singlePin: 'refuse', pins },
      // What repairs it is the accepted pin, not time.
      timeouts: { distrust: '1h' },
      // Mosquitto takes the tickets it gave before the change: who sees the new key first is the canary.
      canary: { interval: '1s' },
      more: { reload: { watch: true }, drain: { timeout: '3s' } },
    })
    await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
    const command = async (...args: readonly string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        main,
        ...args,
        '-c',
        proxy.folder.at('proxy.yaml'),
      ])
      return stdout
    }
    const reloaded = async (change: () => Promise<unknown>): Promise<void> => {
      const labels = { result: 'success' }
      const before = await proxy.metric('pulseward_config_reloads_total', labels)
      await change()
      await proxy.waitForMetric('pulseward_config_reloads_total', labels, (value) => value > before)
    }
    const answerTo = async (clientId: string): Promise<string> => {
      await using device = await Device.connect(proxy.port)
      await device.send(connectPacket({ version: 4, clientId }))
      return (await device.bytes(4)).toString('hex')
    }

    await using subscriber = listen({ port: proxy.port, topic: 'load/#', qos: 1 })
    await proxy.waitForMetric('pulseward_mqtt_packets_total', { direction: 'down', type: 'suback' }, 1)
    await using stack = new AsyncDisposableStack()
    const devices: Device[] = []
    for (let index = 0; index < publishers; index += 1)
      devices.push(stack.use(await Device.join(proxy.port, { clientId: `pump-${index}` })))
    let stopping = false
    const loads = devices.map(async (device, index) => await publishUntil(device, index, () => stopping))
    for (const load of loads) load.catch(() => {})
    const allBusy = async (): Promise<void> => {
      await Promise.all(
        devices.map((device) => {
          const before = device.received.length
          return device.until('more acknowledgements', (received) => received.length > before + 40)
        }),
      )
    }
    await allBusy()
    const roleOf = { upstream: 'hospital', pin: shortPin(sparePin ?? '') }
    const ends = 'pulseward_upstream_pin_not_after_timestamp_seconds'
    expect((await proxy.metrics()).series(ends).map(({ labels }) => labels)).toEqual([
      { ...roleOf, role: 'backup' },
    ])

    await broker.renew(spare)
    expect(await answerTo('after-the-first-change')).toBe('20020000')
    await allBusy()
    await proxy.waitForMetric(ends, { ...roleOf, role: 'current' }, (value) => value > 0)
    expect(await answerTo('of-the-second-key')).toBe('20020000')
    expect(await proxy.metric('pulseward_upstream_verify_failures_total')).toBe(0)

    await broker.renew(unknown)
    await eventually('the new key refused', async () => (await answerTo('locked-out')) === refusal)
    expect(await answerTo('locked-out-too')).toBe(refusal)
    const line = await proxy.line('broker not trusted; nothing was sent to it', {
      verdict: 'likely-rotation',
    })
    expect(line['served']).toEqual([expect.objectContaining({ position: 0, pin: unknownPin })])
    await allBusy()

    const line1 = await command(
      'trust',
      'accept',
      '--upstream',
      'hospital',
      '--pin',
      unknownPin ?? '',
      '--print',
    )
    expect(line1).toContain(`- { pin: ${unknownPin}, comment: `)
    expect(await answerTo('still-locked-out')).toBe(refusal)
    await reloaded(() => command('trust', 'accept', '--upstream', 'hospital', '--pin', unknownPin ?? ''))
    expect(await answerTo('after-it-was-accepted')).toBe('20020000')
    await proxy.line('a pin accepted beside those of proxy.yaml', { upstream: 'hospital', pin: unknownPin })
    await proxy.waitForReady(200)
    await allBusy()
    const listed = JSON.parse(await command('trust', 'list', '--json')) as {
      pins: object[]
      history: object[]
    }
    expect(listed.pins).toEqual([expect.objectContaining({ upstream: 'hospital', pin: unknownPin })])
    expect(listed.history).toEqual([expect.objectContaining({ action: 'accept', by: expect.any(String) })])

    // Damage costs what was accepted and nothing else; the pins of proxy.yaml are as they were.
    await reloaded(() => proxy.folder.write('state/trust/accepted-pins.json', '{ damaged'))
    const told = await proxy.line('accepted pins')
    expect(told['warning']).toContain('is damaged: it was moved to ')
    expect(await answerTo('locked-out-again')).toBe(refusal)
    await broker.renew(spare)
    await command('trust', 'accept', '--upstream', 'hospital', '--pin', unknownPin ?? '')
    // What it knew of the server is void with the old set of pins.
    await eventually(
      'trust in the spare key',
      async () => (await answerTo('back-on-the-spare-key')) === '20020000',
    )
    expect(await command('trust', 'revoke', '--upstream', 'hospital', '--pin', unknownPin ?? '')).toContain(
      'no longer accepted',
    )

    stopping = true
    const published = (await Promise.all(loads)).flat()
    expect(devices.map(({ ended }) => ended)).not.toContain(true)
    await eventually(
      () => `${published.length} messages`,
      () => subscriber.stdout.toString().split('\n').length > published.length,
    )
    expect(subscriber.stdout.toString().trimEnd().split('\n').toSorted()).toEqual(published.toSorted())
  }, 60_000)
})
