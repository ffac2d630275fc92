// arpspoof of Debian stands between a device and the proxy: it reads along, and is noticed for the right device.

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestBroker } from '../help/broker.ts'
import type { Child } from '../help/child.ts'
import { describeNetworked, Link } from '../help/link.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { eventually } from '../help/wait.ts'

const suspicion = 'somebody may be between a device and the proxy, or in the place of the device'
const change = 'a device changed a little'
const port = 1883
const ours = '10.9.0.1'
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const tools = ['arpspoof', 'tcpdump', 'mosquitto_pub', 'mosquitto_sub']

describeNetworked(tools, 'on the link of the devices', () => {
  let link: Link
  let proxy: Proxy
  let broker: TestBroker
  const stack = new AsyncDisposableStack()

  beforeAll(async () => {
    link = stack.use(await Link.make())
    await link.host('proxy', 1)
    await link.reach('proxy')
    await link.host('pump', 7)
    await link.host('monitor', 8)
    await link.host('attacker', 0x66)
    await link.sysctl('attacker', 'net.ipv4.ip_forward', '1')
    await link.sysctl('attacker', 'net.ipv4.conf.all.send_redirects', '0')
    await link.sysctl('attacker', 'net.ipv4.conf.eth0.send_redirects', '0')
    const pki = await makePki()
    const { chain: cert, key } = await pki.issue()
    broker = stack.use(await TestBroker.start({ cert, key, host: link.near }))
    const wrapper = link.within('proxy')
    const files = { 'ca.pem': pki.ca.cert }
    proxy = stack.use(await Proxy.start({ config: configOf('report'), files, wrapper }))
  })
  afterAll(() => stack.disposeAsync())

  function configOf(mode: 'report' | 'enforce'): object {
    const more = { identity: { learn: '0s', mode }, metrics: { bind: `${link.far}:9464` } }
    const config = ward({ brokers: [], listener: { bind: `${ours}:${port}` }, more })
    const servers = [`mqtts://${link.near}:${broker.port}`]
    const tls = { ca: 'ca.pem', singlePin: 'accept', warnBefore: '0s', serverName: 'localhost' }
    return { ...config, upstreams: { hospital: { servers, tls } } }
  }

  async function publish(host: string, clientId: string, payload: string): Promise<void> {
    const client = ['-h', ours, '-p', `${port}`, '-i', clientId, '-V', '5', '-q', '0']
    await link.run(host, 'mosquitto_pub', ...client, '-t', 'ward/7/pulse', '-m', payload)
    await broker.visitOf(payload)
  }

  function listen(host: string, clientId: string): Child {
    const client = ['-h', ours, '-p', `${port}`, '-i', clientId]
    return link.start(host, 'mosquitto_sub', ...client, '-t', 'ward/7/set')
  }

  /** Poisons the pump and the proxy, so that both directions pass the attacker. */
  const attack = (): Child => link.start('attacker', 'arpspoof', '-i', 'eth0', '-t', '10.9.0.7', '-r', ours)

  const suspected = (clientId: string) => proxy.lines(suspicion, { clientId })

  test('an ordinary day raises nothing: sessions, a reboot, a renewed address, another access point', async () => {
    // What is said of its file and of the machine when it starts is none of this.
    const begun = proxy.log.indexOf(await proxy.line('started')) + 1
    for (const round of ['first', 'second']) {
      await publish('pump', 'pump-7', `pump ${round}`)
      await publish('monitor', 'monitor-8', `monitor ${round}`)
    }
    {
      await using _ = listen('pump', 'bedside-7')
      await proxy.line('session opened', { clientId: 'bedside-7' })
      // After a failure of its power a device says nothing of its last connection, and begins another.
      await using rebooted = listen('pump', 'bedside-7')
      const again = await proxy.line(change, { clientId: 'bedside-7' })
      expect(again['evidence']).toHaveProperty('reconnected')
      expect(rebooted.running).toBe(true)
    }
    await link.ip('monitor', 'address', 'add', '10.9.0.108/24', 'dev', 'eth0')
    await link.ip('monitor', 'address', 'delete', '10.9.0.8/24', 'dev', 'eth0')
    await link.ip('monitor', 'address', 'replace', '10.9.0.108/24', 'dev', 'eth0')
    await publish('monitor', 'monitor-8', 'from another address')
    await eventually('that the address was renewed', () =>
      proxy
        .lines(change, { clientId: 'monitor-8' })
        .some(({ evidence }) => 'address-renewed' in Object(evidence)),
    )
    // The same card at another port of the switch.
    await link.ip('monitor', 'link', 'delete', 'eth0')
    await link.plug('monitor', 'eth1', '02:00:00:00:00:08')
    await link.ip('monitor', 'address', 'add', '10.9.0.108/24', 'dev', 'eth1')
    await publish('monitor', 'monitor-8', 'from another access point')
    await eventually(
      'the session over',
      () => proxy.lines('session closed', { clientId: 'monitor-8' }).length === 4,
    )
    const grave = proxy.log.slice(begun).filter(({ level }) => level !== 'info')
    expect(grave).toEqual([])
    expect(proxy.log.filter(({ severity }) => severity !== undefined && severity !== 'info')).toEqual([])
    expect(await proxy.metric('pulseward_neighbour_watch')).toBe(1)
  })

  test('arpspoof reads along, and is suspected on the open session and on the next one', async () => {
    await publish('pump', 'pump-7', 'before the attack')
    await using _ = listen('pump', 'bedside-7')
    await proxy.waitForMetric('pulseward_device_sessions', { transport: 'plain' }, 1)
    const filter = ['tcp', 'port', `${port}`]
    await using sniffer = link.start('attacker', 'tcpdump', '-i', 'eth0', '-A', '-l', ...filter)
    await sniffer.says(/listening on/)
    const began = performance.now()
    await using spoofing = attack()
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
    expect(spoofing.running).toBe(true)
    expect(suspected('monitor-8')).toEqual([])
    expect(await proxy.metric('pulseward_devices', { standing: 'suspected' })).toBe(2)
    const taken = { change: 'changed-address' }
    expect(await proxy.metric('pulseward_neighbour_changes_total', taken)).toBeGreaterThan(0)
  })

  test('a replaced device is suspected until an administrator approves it, while the proxy runs', async () => {
    await link.ip('monitor', 'link', 'set', 'eth1', 'down')
    await link.ip('monitor', 'link', 'set', 'eth1', 'address', '02:00:00:00:00:18')
    await link.ip('monitor', 'link', 'set', 'eth1', 'up')
    await publish('monitor', 'monitor-8', 'from the replacement')
    const line = await proxy.line(suspicion, { clientId: 'monitor-8' })
    // By the neighbour table or by its frames, whichever knows first.
    expect(JSON.stringify(line['evidence'])).toContain('02:00:00:00:00:08 -> 02:00:00:00:00:18')
    const command = [main, 'devices', 'approve', '-c', proxy.folder.at('proxy.yaml'), 'monitor-8']
    expect(await link.run('proxy', process.execPath, ...command)).toContain('approved')
    await proxy.waitForMetric('pulseward_devices', { standing: 'approved' }, 1)
    const told = suspected('monitor-8').length
    await publish('monitor', 'monitor-8', 'after the approval')
    await publish('monitor', 'monitor-8', 'and once more')
    expect(suspected('monitor-8')).toHaveLength(told)
  })

  test('with enforce a device is refused while somebody is in between, and welcome after', async () => {
    await announce()
    await publish('pump', 'pump-7', 'before enforce')
    await proxy.rewrite(configOf('enforce'))
    await proxy.reload()
    const before = suspected('pump-7').length
    {
      await using _ = attack()
      await eventually('the address taken over', async () => (await cardOf('10.9.0.7')).endsWith(':66'))
      await expect(publish('pump', 'pump-7', 'never to arrive')).rejects.toThrow(/not authori[sz]ed/i)
      await eventually('the refusal', () => suspected('pump-7').length > before)
      expect(suspected('pump-7').at(-1)).toMatchObject({ action: 'refuse' })
      expect(broker.visits.some(({ received }) => received.includes('never to arrive'))).toBe(false)
    }
    await announce()
    await publish('pump', 'pump-7', 'after the attack')
  })

  /** The pump tells everybody its own address, as a host does that is given a card. */
  async function announce(): Promise<void> {
    await link.ip('pump', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:07')
    await eventually('the announcement heard', async () => (await cardOf('10.9.0.7')).endsWith(':07'))
  }

  /** Which link card the machine of the proxy holds to be at an address. */
  async function cardOf(address: string): Promise<string> {
    const line = await link.run('proxy', 'ip', 'neigh', 'show', address)
    return /lladdr (\S+)/.exec(line)?.[1] ?? ''
  }
})
