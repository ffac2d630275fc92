// Three machines in network namespaces: a device, the gateway between, and a broker beyond; and a way in to watch the gateway.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { tool } from './tools.ts'

const execute = promisify(execFile)

export type Machine = 'device' | 'gateway' | 'broker'

/** Addresses of the benchmark range (RFC 2544) and of documentation (RFC 3849): nobody's. */
export const device = { v4: '198.18.1.10', v6: '2001:db8:1::10' }
export const gateway = { v4: '198.18.1.1', v6: '2001:db8:1::1' }
export const gatewayOutside = { v4: '198.18.2.1', v6: '2001:db8:2::1' }
export const broker = { v4: '198.18.2.2', v6: '2001:db8:2::2' }

export class Network implements AsyncDisposable {
  /** The gateway's address for whoever watches it from where the tests run. */
  readonly watched: string
  readonly #id: string

  private constructor() {
    const own = process.pid % 250
    this.#id = `pw${process.pid % 100_000}`
    this.watched = `198.19.${own}.2`
  }

  static async make(): Promise<Network> {
    const network = new Network()
    try {
      await network.#build()
      return network
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What a command has to be handed to, to run on that machine. */
  on(machine: Machine): readonly string[] {
    return [tool('ip'), 'netns', 'exec', this.#name(machine)]
  }

  /** Runs a command there; rejects with what it complained about. */
  async run(machine: Machine, ...command: readonly string[]): Promise<string> {
    const [program = '', ...args] = [...this.on(machine), ...command]
    const { stdout } = await execute(program, args)
    return stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of ['device', 'gateway', 'broker'] as const)
      await execute(tool('ip'), ['netns', 'del', this.#name(machine)]).catch(() => {})
    await execute(tool('ip'), ['link', 'del', `${this.#id}w`]).catch(() => {})
  }

  async #build(): Promise<void> {
    const ip = async (line: string): Promise<unknown> => await execute(tool('ip'), line.split(' '))
    const [d, g, b] = (['device', 'gateway', 'broker'] as const).map((one) => this.#name(one))
    for (const name of [d, g, b]) {
      await ip(`netns add ${name}`)
      await ip(`-n ${name} link set lo up`)
    }
    await ip(`link add lan netns ${g} type veth peer name eth0 netns ${d}`)
    await ip(`link add wan netns ${g} type veth peer name eth0 netns ${b}`)
    await ip(`link add ${this.#id}w type veth peer name watch netns ${g}`)
    const places = [
      [d, 'eth0', device],
      [g, 'lan', gateway],
      [g, 'wan', gatewayOutside],
      [b, 'eth0', broker],
    ] as const
    for (const [name, link, { v4, v6 }] of places) {
      await ip(`-n ${name} addr add ${v4}/24 dev ${link}`)
      await ip(`-n ${name} addr add ${v6}/64 dev ${link} nodad`)
      await ip(`-n ${name} link set ${link} up`)
    }
    for (const [name, { v4, v6 }] of [
      [d, gateway],
      [b, gatewayOutside],
    ] as const) {
      await ip(`-n ${name} route add default via ${v4}`)
      await ip(`-n ${name} -6 route add default via ${v6}`)
    }
    for (const file of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
      await this.run('gateway', 'sh', '-c', `echo 1 > /proc/sys/net/${file}`)
    await ip(`addr add ${this.watched.replace(/2$/, '1')}/30 dev ${this.#id}w`)
    await ip(`link set ${this.#id}w up`)
    await ip(`-n ${g} addr add ${this.watched}/30 dev watch`)
    await ip(`-n ${g} link set watch up`)
  }

  #name(machine: Machine): string {
    return `${this.#id}-${machine}`
  }
}
