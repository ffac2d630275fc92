// A gateway takes devices on their way to the broker: redirected or by TPROXY, over IPv4 and IPv6, with their own address or ours.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child } from '../help/child.ts'
import { Folder } from '../help/folder.ts'
import { broker, device, gateway, gatewayOutside, Network } from '../help/network.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { Proxy } from '../help/proxy.ts'
import { describeAsRoot, tool } from '../help/tools.ts'
import type { Visit, Visited } from '../help/visitor.ts'
import { eventually } from '../help/wait.ts'

const visitor = new URL('../help/visitor.ts', import.meta.url).pathname
const pulseward = new URL('../../src/main.ts', import.meta.url).pathname

/** What devices have in their settings: the broker's own address, in clear. */
const ports = { redirect: 1883, tproxy: 1884, other: 1885 }
const families = ['v4', 'v6'] as const

describeAsRoot(['ip', 'nft', 'iptables', 'mosquitto'], 'interception', () => {
  let network: Network
  let pki: Pki
  let folder: Folder
  let mosquitto: Child
  let proxy: Proxy

  beforeAll(async () => {
    network = await Network.make()
    pki = await makePki()
    const identity = await pki.issue({ names: [broker.v4, broker.v6, gatewayOutside.v4] })
    folder = await Folder.make({ 'chain.pem': identity.chain, 'key.pem': identity.key })
    const file = await folder.write(
      'mosquitto.conf',
      [
        'user root',
        'log_dest stderr',
        'allow_anonymous true',
        'listener 8883',
        `certfile ${folder.at('chain.pem')}`,
        `keyfile ${folder.at('key.pem')}`,
        '',
      ].join('\n'),
    )
    const [command, ...args] = [...network.on('broker'), tool('mosquitto'), '-c', file]
    mosquitto = new Child(command, args)
    await mosquitto.says(/mosquitto version \S+ running/)
    proxy = await Proxy.start({
      config: configuration(),
      files: { 'ca.pem': pki.ca.cert },
      wrapper: network.on('gateway'),
    })
    await rules('--apply')
  })

  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await mosquitto?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
    await network?.[Symbol.asyncDispose]()
  })

  /** `loop` is a listener that rules of somebody else send our own connections to. */
  function configuration(): object {
    const both = (port: number) => [{ to: `${broker.v4}:${port}` }, { to: `[${broker.v6}]:${port}` }]
    const common = {
      accept: ['mqtt'],
      upstream: 'hospital',
      interfaces: ['lan'],
      limits: { perAddress: 10_000 },
    }
    return {
      listeners: [
        {
          ...common,
          name: 'redirect',
          bind: '[::]:11883',
          mode: 'redirect',
          destinations: [...both(ports.redirect), { to: `${broker.v4}:${ports.other}`, upstream: 'nowhere' }],
          otherDestinations: 'refuse',
        },
        {
          ...common,
          name: 'tproxy',
          bind: '[::]:11884',
          mode: 'tproxy',
          destinations: both(ports.tproxy),
          preserveSource: true,
        },
        { ...common, name: 'loop', bind: '[::]:11886', mode: 'redirect', interfaces: ['nothing'] },
      ],
      upstreams: {
        hospital: {
          servers: [`mqtts://${broker.v4}:8883`, `mqtts://[${broker.v6}]:8883`],
          tls: { ca: 'ca.pem', singlePin: 'accept' },
          canary: { interval: 'off' },
        },
        nowhere: {
          servers: [`mqtts://${broker.v4}:1`],
          tls: { ca: 'ca.pem' },
          timeouts: { dial: '1s' },
          canary: { interval: 'off' },
        },
      },
      metrics: { bind: `${network.watched}:9464` },
      reload: { watch: false },
      drain: { timeout: '3s' },
    }
  }

  async function rules(...options: readonly string[]): Promise<string> {
    const config = proxy.folder.at('proxy.yaml')
    return await network.run('gateway', process.execPath, pulseward, 'rules', '-c', config, ...options)
  }

  async function visit(wish: Visit): Promise<Visited> {
    return JSON.parse(await network.run('device', process.execPath, visitor, JSON.stringify(wish))) as Visited
  }

  /** Whom the broker saw: the address of a client, as it logs it. */
  async function seen(clientId: string): Promise<string> {
    const line = new RegExp(String.raw`New client connected from (\S+):\d+ as ${clientId} `)
    const [, address = ''] = await mosquitto.says(line)
    return address.replace('::ffff:', '')
  }

  describe.each(families)('over IP%s', (family) => {
    test.each([
      // Whatever the device speaks, the first server has an IPv4 address.
      ['redirect', 'with our address', gatewayOutside.v4],
      ['tproxy', 'with its own', device[family]],
    ] as const)('a device taken by %s reaches the broker %s', async (mode, _, from) => {
      const name = `${mode}-${family}`
      const visited = await visit({ host: broker[family], port: ports[mode], count: 1, parallel: 1, name })
      expect(visited).toEqual({ served: 1, lost: {} })
      expect(await seen(`${name}-0`)).toBe(from)
      await proxy.line('session closed', { listener: mode, address: device[family], clientId: `${name}-0` })
    })

    test('of 2,500 connections, half by each, none is lost', { timeout: 60_000 }, async () => {
      const many = { host: broker[family], count: 1250, parallel: 100 }
      const visits = (['redirect', 'tproxy'] as const).map((mode) =>
        visit({ ...many, port: ports[mode], name: `many-${mode}-${family}` }),
      )
      expect(await Promise.all(visits)).toEqual([
        { served: 1250, lost: {} },
        { served: 1250, lost: {} },
      ])
    })

    test('a device that comes to a listener itself is refused, for that would be a loop', async () => {
      for (const [listener, port] of [
        ['redirect', 11_883],
        ['tproxy', 11_884],
      ] as const) {
        const { served } = await visit({ host: gateway[family], port, count: 1, parallel: 1, name: 'loop' })
        expect(served).toBe(0)
        await proxy.waitForMetric(
          'pulseward_rejections_total',
          { listener, reason: 'destination-own' },
          (count) => count >= 1,
        )
      }
    })
  })

  test('each destination has its own upstream, and what none is for is refused', async () => {
    const other = { host: broker.v4, port: ports.other, count: 1, parallel: 1, name: 'other' }
    expect(await visit(other)).toEqual({ served: 0, lost: { 'connack 3': 1 } })
    await proxy.waitForMetric(
      'pulseward_rejections_total',
      { listener: 'redirect', reason: 'upstream-unreachable' },
      (count) => count >= 1,
    )
    const stray = 'add rule inet pulseward redirected iifname lan tcp dport 1999 redirect to :11883'
    await network.run('gateway', tool('nft'), ...stray.split(' '))
    const { served } = await visit({ ...other, port: 1999 })
    expect(served).toBe(0)
    await proxy.waitForMetric(
      'pulseward_rejections_total',
      { listener: 'redirect', reason: 'destination-refused' },
      (count) => count >= 1,
    )
    // Setting the rules again leaves nothing that is not ours, and nothing twice.
    await rules('--apply')
    const table = await network.run('gateway', tool('nft'), 'list', 'table', 'inet', 'pulseward')
    expect(table).not.toContain('1999')
    expect(table.match(/dport 1883 redirect to :11883/g)).toHaveLength(2)
    const routing = await network.run('gateway', tool('ip'), 'rule')
    expect(routing.match(/fwmark 0x5058/g)).toHaveLength(1)
  })

  test('what the proxy sends itself is refused when rules of others bring it back', async () => {
    const nft = (line: string): Promise<string> => network.run('gateway', tool('nft'), line)
    await nft('add table ip astray')
    await nft('add chain ip astray out { type nat hook output priority -100; }')
    await nft('add rule ip astray out tcp dport 8883 redirect to :11886')
    try {
      const wish = { host: broker.v4, port: ports.redirect, count: 1, parallel: 1, name: 'astray' }
      // The second server has an IPv6 address, which that rule does not know.
      expect(await visit(wish)).toEqual({ served: 1, lost: {} })
      await proxy.waitForMetric('pulseward_rejections_total', { listener: 'loop', reason: 'loop' }, 1)
    } finally {
      await nft('delete table ip astray')
    }
  })

  test('iptables takes the same rules', async () => {
    const text = await rules('--iptables')
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(lines.length).toBeGreaterThan(10)
    await rules('--remove')
    for (const line of lines) await network.run('gateway', ...line.split(' '))
    try {
      for (const family of families) {
        for (const mode of ['redirect', 'tproxy'] as const) {
          const wish = { host: broker[family], port: ports[mode], count: 1, parallel: 1, name: 'tables' }
          expect(await visit(wish), `${mode} ${family}`).toEqual({ served: 1, lost: {} })
        }
      }
    } finally {
      const removal = text.split('\n').filter((line) => line.startsWith('# ip'))
      for (const line of removal) await network.run('gateway', ...line.slice(2).split(' '))
    }
    expect(await network.run('gateway', tool('iptables'), '-t', 'nat', '-S')).not.toContain('PULSEWARD')
    await rules('--apply')
  })

  test('cleared rules leave nothing behind, and clearing twice is no mistake', async () => {
    const config = proxy.folder.at('proxy.yaml')
    const check = [process.execPath, pulseward, 'check', '-c', config, '--json']
    const lacks = async () => JSON.parse(await network.run('gateway', ...check)) as { lacks: object[] }
    expect(await lacks()).toMatchObject({ ok: true, lacks: [] })
    await rules('--remove')
    await rules('--remove')
    expect(await lacks()).toMatchObject({ ok: true, lacks: [{ hint: 'pulseward rules --apply' }] })
    expect(await network.run('gateway', tool('nft'), 'list', 'ruleset')).not.toContain('pulseward')
    expect(await network.run('gateway', tool('ip'), 'rule')).not.toContain('0x5058')
    expect(await network.run('gateway', tool('ip'), '-6', 'rule')).not.toContain('0x5058')
    const { served } = await visit({ host: broker.v4, port: 1883, count: 1, parallel: 1, name: 'gone' })
    expect(served).toBe(0)
    await eventually(
      'every session to end',
      async () => (await proxy.metric('pulseward_device_sessions')) === 0,
    )
  })
})
