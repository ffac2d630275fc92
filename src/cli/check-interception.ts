// What `pulseward check` says of this machine where proxy.yaml intercepts devices: capabilities, programs, rules, sysctls.

import { readFileSync } from 'node:fs'
import type { Config } from '../config/schema.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { wantedFeatures } from '../interception.ts'
import { Abilities } from '../net/abilities.ts'
import { nftScript, nftTable, type RulePlan } from '../net/rules.ts'
import { rulePlanOf } from './intercepting.ts'
import { runTool, type Run } from './tool.ts'

/** Something this machine lacks, and the command or setting for it. */
export interface Lack {
  readonly what: string
  readonly hint: string
}

export interface Machine {
  readonly run: Run
  readonly abilities: Abilities
  /** Content of a file; throws where there is none. */
  readonly read: (path: string) => string
}

export const thisMachine = (): Machine => ({
  run: runTool,
  abilities: new Abilities(),
  read: (path) => readFileSync(path, 'utf8'),
})

/** Everything that stands in the way of interception here; empty where nothing is asked for. */
export function lacksOf(config: Config, machine: Machine): Lack[] {
  const features = wantedFeatures(config)
  if (features.length === 0) return []
  const missing = features.flatMap((feature) => machine.abilities.missing(feature) ?? [])
  const lacks = missing.map(({ feature, why, hint }) => ({ what: `${feature} is off: ${why}`, hint }))
  const plan = planOf(config)
  return 'what' in plan
    ? [...lacks, plan]
    : [...lacks, ...ruleLacks(plan, machine), ...forwardingLacks(plan, machine)]
}

function planOf(config: Config): RulePlan | Lack {
  try {
    return rulePlanOf(config)
  } catch (error) {
    const hint = error instanceof PulsewardError ? (error.hint ?? '') : ''
    return { what: messageOf(error), hint }
  }
}

/** Whether the kernel would take our rules, which loads the modules they need, and whether it has them. */
function ruleLacks(plan: RulePlan, { run }: Machine): Lack[] {
  const tried = run(['nft', '--check', '-f', '-'], nftScript(plan))
  if (tried.status === undefined)
    return [
      {
        what: 'nft is not installed',
        hint: 'on Debian: apt-get install nftables; or use "pulseward rules --iptables"',
      },
    ]
  if (tried.status !== 0) {
    const hint = /permitted|permission/i.test(tried.complaint)
      ? 'run this check as root or with CAP_NET_ADMIN'
      : 'load the modules: modprobe -a nft_redir nft_tproxy nft_socket nft_fib_inet nft_chain_nat'
    return [{ what: `the kernel refuses the rules: ${tried.complaint}`, hint }]
  }
  const listed = run(['nft', 'list', 'table', ...nftTable])
  if (listed.status === 0) return []
  return [{ what: 'the rules are not set: devices are not intercepted', hint: 'pulseward rules --apply' }]
}

/** Devices send more than MQTT, and a machine on their way has to pass it on. */
function forwardingLacks({ listeners }: RulePlan, { read }: Machine): Lack[] {
  if (listeners.length === 0) return []
  return (['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'] as const).flatMap((path) => {
    const name = path.replaceAll('/', '.')
    try {
      if (read(`/proc/sys/${path}`).trim() !== '0') return []
    } catch {
      return []
    }
    const what = `${name} is 0: what devices send beside MQTT is not passed on`
    return [{ what, hint: `sysctl -w ${name}=1, if this machine is their gateway` }]
  })
}
