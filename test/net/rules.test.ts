import { expect, test } from 'vitest'
import { networkOf } from '../../src/net/network.ts'
import {
  iptablesCommands,
  iptablesRemoval,
  nftScript,
  routeCommands,
  type Intercepting,
} from '../../src/net/rules.ts'

const destination = (address: string, prefix: number, port: number) => ({
  network: networkOf(address, prefix)!,
  port,
})

const redirect: Intercepting = {
  listener: 'wards',
  mode: 'redirect',
  host: undefined,
  port: 11_883,
  interfaces: ['eth1', 'eth2'],
  destinations: [destination('192.0.2.10', 32, 1883), destination('2001:db8::', 32, 1883)],
}
const tproxy: Intercepting = {
  listener: 'theatre',
  mode: 'tproxy',
  host: '10.0.0.1',
  port: 11_884,
  interfaces: [],
  destinations: [destination('0.0.0.0', 0, 8883)],
}
const both = { listeners: [redirect, tproxy], preserveSource: false }

const spelled = (commands: readonly (readonly string[])[]): string[] => commands.map((one) => one.join(' '))

test('nftables: one table, replaced as a whole', () => {
  expect(nftScript(both)).toBe(`table inet pulseward
delete table inet pulseward
table inet pulseward {
  chain redirected {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local return
    iifname { "eth1", "eth2" } ip daddr 192.0.2.10/32 tcp dport 1883 redirect to :11883
    iifname { "eth1", "eth2" } ip6 daddr 2001:db8::/32 tcp dport 1883 redirect to :11883
  }
  chain diverted {
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto tcp socket transparent 1 socket wildcard 0 meta mark set 0x5058 accept
    fib daddr type local return
    ip daddr 0.0.0.0/0 tcp dport 8883 tproxy ip to 10.0.0.1:11884 meta mark set 0x5058 accept
  }
}
`)
})

test('no rule sees what this machine sends itself', () => {
  expect(nftScript(both)).not.toMatch(/hook (?:output|postrouting)/)
  expect(spelled(iptablesCommands(both)).join()).not.toMatch(/OUTPUT|POSTROUTING/)
})

test('a redirect to one address of this machine names it', () => {
  const at = (host: string, to: ReturnType<typeof destination>) =>
    nftScript({ listeners: [{ ...redirect, host, destinations: [to] }], preserveSource: false })
  expect(at('10.0.0.1', destination('192.0.2.10', 32, 1883))).toContain('dnat ip to 10.0.0.1:11883')
  expect(at('fd00::1', destination('2001:db8::', 32, 1883))).toContain('dnat ip6 to [fd00::1]:11883')
})

test('answers to preserved sources are kept, whatever the mode', () => {
  const plan = { listeners: [], preserveSource: true }
  expect(nftScript(plan)).toContain('socket transparent 1')
  expect(nftScript(plan)).not.toContain('redirected')
  expect(spelled(routeCommands(plan, 'add'))).toEqual([
    'ip -4 rule add fwmark 0x5058 lookup 20568 priority 20568',
    'ip -4 route replace local default dev lo table 20568',
    'ip -6 rule add fwmark 0x5058 lookup 20568 priority 20568',
    'ip -6 route replace local default dev lo table 20568',
  ])
})

test('a redirect alone needs no routes', () => {
  expect(routeCommands({ listeners: [redirect], preserveSource: false }, 'add')).toEqual([])
})

test('iptables: a chain of our own, and the way back', () => {
  expect(spelled(iptablesCommands(both))).toEqual([
    'iptables -t nat -N PULSEWARD',
    'iptables -t nat -A PREROUTING -j PULSEWARD',
    'iptables -t nat -A PULSEWARD -m addrtype --dst-type LOCAL -j RETURN',
    'iptables -t nat -A PULSEWARD -i eth1 -d 192.0.2.10/32 -p tcp --dport 1883 -j REDIRECT --to-ports 11883',
    'iptables -t nat -A PULSEWARD -i eth2 -d 192.0.2.10/32 -p tcp --dport 1883 -j REDIRECT --to-ports 11883',
    'iptables -t mangle -N PULSEWARD',
    'iptables -t mangle -A PREROUTING -j PULSEWARD',
    'iptables -t mangle -A PULSEWARD -p tcp -m socket --transparent -j MARK --set-mark 0x5058',
    'iptables -t mangle -A PULSEWARD -p tcp -m socket --transparent -j ACCEPT',
    'iptables -t mangle -A PULSEWARD -m addrtype --dst-type LOCAL -j RETURN',
    'iptables -t mangle -A PULSEWARD -d 0.0.0.0/0 -p tcp --dport 8883 -j TPROXY --on-port 11884 --on-ip 10.0.0.1 --tproxy-mark 0x5058',
    'ip6tables -t nat -N PULSEWARD',
    'ip6tables -t nat -A PREROUTING -j PULSEWARD',
    'ip6tables -t nat -A PULSEWARD -m addrtype --dst-type LOCAL -j RETURN',
    'ip6tables -t nat -A PULSEWARD -i eth1 -d 2001:db8::/32 -p tcp --dport 1883 -j REDIRECT --to-ports 11883',
    'ip6tables -t nat -A PULSEWARD -i eth2 -d 2001:db8::/32 -p tcp --dport 1883 -j REDIRECT --to-ports 11883',
    'ip6tables -t mangle -N PULSEWARD',
    'ip6tables -t mangle -A PREROUTING -j PULSEWARD',
    'ip6tables -t mangle -A PULSEWARD -p tcp -m socket --transparent -j MARK --set-mark 0x5058',
    'ip6tables -t mangle -A PULSEWARD -p tcp -m socket --transparent -j ACCEPT',
    'ip6tables -t mangle -A PULSEWARD -m addrtype --dst-type LOCAL -j RETURN',
  ])
  expect(spelled(iptablesRemoval(both))).toHaveLength(12)
})
