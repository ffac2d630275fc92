// arpspoof of Debian stands between a device and the proxy: it reads along, and is noticed for the right device.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestBroker } from '../help/broker.ts'
import { describeNetworked, Network } from '../help/network.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

const suspicion = 'somebody may be between a device and the proxy, or in the place of the device'
const port = 1883
const ours = '10.9.0.1'

describeNetworked(
  ['arpspoof', 'tcpdump', 'mosquitto_pub', 'mosquitto_sub'],
  'on the link of the devices',
  () => {
    let network: Network
    let proxy: Proxy
    let broker: TestBroker
    const stack = new AsyncDisposableStack()

    beforeAll(async () => {
      network = stack.use(await Network.make())
      await network.host('proxy', 1)
      await network.reach('proxy')
      await network.host('pump', 7)
      await network.host('monitor', 8)
      await network.host('attacker', 102)
      await network.sysctl('attacker', 'net.ipv4.ip_forward', '1')
      await network.sysctl('attacker', 'net.ipv4.conf.all.send_redirects', '0')
      await network.sysctl('attacker', 'net.ipv4.conf.eth0.send_redirects', '0')
      const pki = await makePki()
      const { chain: cert, key } = await pki.issue()
      broker = stack.use(await TestBroker.start({ cert, key, host: network.near }))
      proxy = stack.use(await startProxy(network, broker.port, pki.ca.cert))
    })
    afterAll(() => stack.disposeAsync())

    async function publish(host: string, clientId: string, payload: string): Promise<void> {
      const client = ['-h', ours, '-p', `${port}`, '-i', clientId, '-V', '5', '-q', '0']
      await network.run(host, 'mosquitto_pub', ...client, '-t', 'ward/7/pulse', '-m', payload)
      await broker.visitOf(payload)
    }

    const listen = (host: string, clientId: string) =>
      network.start(host, 'mosquitto_sub', '-h', ours, '-p', `${port}`, '-i', clientId, '-t', 'ward/7/set')

    const suspected = (clientId: string) => proxy.lines(suspicion, { clientId })

    async function alarms(): Promise<number> {
      const found = await proxy.metrics()
      const grave = ['notice', 'warning', 'critical'].map((severity) =>
        found.value('pulseward_findings_total', { detector: 'mitm-suspected', severity }),
      )
      return grave.reduce((sum, one) => sum + (Number.isNaN(one) ? 0 : one), 0)
    }

    test('an ordinary day raises nothing: sessions, a reboot, a renewed address, another access point', async () => {
      // What is said of its certificates and its file when it starts is none of this.
      const begun = proxy.log.indexOf(await proxy.line('started')) + 1
      for (const [host, clientId] of [
        ['pump', 'pump-7'],
        ['monitor', 'monitor-8'],
      ] as const) {
        await publish(host, clientId, `${clientId} first`)
        await publish(host, clientId, `${clientId} second`)
      }
      {
        await using before = listen('pump', 'bedside-7')
        await proxy.line('session opened', { clientId: 'bedside-7' })
        // As when the power fails: no DISCONNECT, no FIN.
        await network.ip('pump', 'link', 'set', 'eth0', 'down')
        await before.kill()
        await network.ip('pump', 'link', 'set', 'eth0', 'up')
        await using _ = listen('pump', 'bedside-7')
        await eventually(
          'the session after the reboot',
          () => proxy.lines('session opened', { clientId: 'bedside-7' }).length === 2,
        )
      }
      expect(proxy.lines('a device changed a little', { clientId: 'bedside-7' })).toHaveLength(1)
      await network.ip('monitor', 'address', 'replace', '10.9.0.108/24', 'dev', 'eth0')
      await network.ip('monitor', 'address', 'delete', '10.9.0.8/24', 'dev', 'eth0')
      await network.ip('monitor', 'address', 'replace', '10.9.0.108/24', 'dev', 'eth0')
      await publish('monitor', 'monitor-8', 'from another address')
      const renewed = await proxy.line('a device changed a little', { clientId: 'monitor-8' })
      expect(renewed['evidence']).toHaveProperty('address-renewed')
      // The same card, seen at another port of the switch.
      await network.ip('monitor', 'link', 'delete', 'eth0')
      await network.plug('monitor', 'eth1', '02:00:00:00:00:08')
      await network.ip('monitor', 'address', 'add', '10.9.0.108/24', 'dev', 'eth1')
      await publish('monitor', 'monitor-8', 'from another access point')
      expect(await alarms()).toBe(0)
      const grave = proxy.log.slice(begun).filter(({ level }) => level !== 'info')
      expect(grave).toEqual([])
      expect(await proxy.metric('pulseward_neighbour_watch')).toBe(1)
    })

    test('arpspoof reads along, and is suspected on the open session and on the next one', async () => {
      await publish('pump', 'pump-7', 'before the attack')
      await using _ = listen('pump', 'bedside-7')
      await eventually(
        'the open session',
        async () => (await proxy.metric('pulseward_device_sessions', { transport: 'plain' })) === 1,
      )
      await using sniffer = network.start(
        'attacker',
        'tcpdump',
        '-i',
        'eth0',
        '-A',
        '-l',
        'tcp',
        'port',
        `${port}`,
      )
      await sniffer.says(/listening on/)
      const began = performance.now()
      await using _attack = network.start('attacker', 'arpspoof', '-i', 'eth0', '-t', '10.9.0.7', '-r', ours)
      await eventually('a suspicion on the open session', () => suspected('bedside-7').length > 0)
      expect(performance.now() - began).toBeLessThan(5000)
      await publish('pump', 'pump-7', 'pulse 72 under attack')
      await publish('monitor', 'monitor-8', 'not attacked')
      await eventually('the payload in the hands of the attacker', () =>
        sniffer.stdout.includes('pulse 72 under attack'),
      )
      for (const clientId of ['bedside-7', 'pump-7']) {
        const line = await proxy.line(suspicion, { clientId })
        expect(line).toMatchObject({ level: 'warn', detector: 'mitm-suspected', action: 'forward' })
        expect(line['evidence']).toHaveProperty(
          'mac-changed',
          expect.stringContaining('02:00:00:00:00:07 -> 02:00:00:00:00:66'),
        )
      }
      expect(suspected('monitor-8')).toEqual([])
      expect(await proxy.metric('pulseward_devices', { standing: 'suspected' })).toBe(2)
      expect(
        await proxy.metric('pulseward_neighbour_changes_total', { change: 'changed-address' }),
      ).toBeGreaterThan(0)
    })
  },
)

async function startProxy(network: Network, broker: number, ca: string): Promise<Proxy> {
  const config = ward({
    brokers: [broker],
    listener: { bind: `${ours}:${port}` },
    more: { identity: { learn: '0s' }, metrics: { bind: `${network.far}:9464` } },
  })
  const servers = { servers: [`mqtts://${network.near}:${broker}`] }
  const tls = { ca: 'ca.pem', singlePin: 'accept', warnBefore: '0s', serverName: 'localhost' }
  return await Proxy.start({
    config: { ...config, upstreams: { hospital: { ...servers, tls } } },
    files: { 'ca.pem': ca },
    wrapper: network.within('proxy'),
  })
}
