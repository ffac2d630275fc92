// A link of its own: hosts in network namespaces on one switch, and a way for the test to reach one of them.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Child } from './child.ts'
import { describeWith, tool } from './tools.ts'
import { describe } from 'vitest'

const run = promisify(execFile)

/** A suite that needs network namespaces: only root may make them; elsewhere it is skipped by name. */
export function describeNetworked(tools: readonly string[], name: string, suite: () => void): void {
  if (process.platform === 'linux' && process.getuid?.() === 0) describeWith(['ip', ...tools], name, suite)
  else describe.skip(`${name} (needs root on Linux)`, suite)
}

export interface Host {
  /** Of the namespace. */
  readonly name: string
  /** Of its network card on the switch. */
  readonly mac: string
  readonly address: string
}

/** Numbers of the links this process made: none may meet another. */
let made = 0

export class Link implements AsyncDisposable {
  /** Addresses of the test and of the host it can reach, on a line of their own. */
  readonly near: string
  readonly far: string
  readonly #prefix: string
  readonly #names: string[] = []

  private constructor() {
    made += 1
    this.#prefix = `pw${process.pid % 10_000}n${made}`
    const third = (process.pid + made) % 250
    this.near = `10.254.${third}.1`
    this.far = `10.254.${third}.2`
  }

  /** With a switch and nobody on it. */
  static async make(): Promise<Link> {
    const link = new Link()
    try {
      await link.#space('switch')
      await link.ip('switch', 'link', 'add', 'br0', 'type', 'bridge')
      await link.ip('switch', 'link', 'set', 'br0', 'up')
      return link
    } catch (error) {
      await link[Symbol.asyncDispose]()
      throw error
    }
  }

  /** A host on the switch, with `eth0`; the number is the last one of its address and of its card. */
  async host(name: string, number: number): Promise<Host> {
    await this.#space(name)
    const mac = `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`
    const address = `10.9.0.${number}`
    await this.plug(name, 'eth0', mac)
    await this.ip(name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    return { name, mac, address }
  }

  /** A further card of a host, with a port of its own on the switch; it tells everybody when its address is set. */
  async plug(name: string, card: string, mac: string): Promise<void> {
    const port = `${name}-${card}`.slice(0, 15)
    const peer = ['peer', 'name', port, 'netns', this.#at('switch')]
    await this.ip(name, 'link', 'add', card, 'address', mac, 'type', 'veth', ...peer)
    await this.ip('switch', 'link', 'set', port, 'master', 'br0', 'up')
    await this.sysctl(name, `net.ipv4.conf.${card}.arp_notify`, '1')
    await this.ip(name, 'link', 'set', card, 'up')
  }

  /** Lets the test reach a host at `far`, and the host the test at `near`. */
  async reach(name: string): Promise<void> {
    const line = `${this.#prefix}l`
    await run('ip', ['link', 'add', line, 'type', 'veth', 'peer', 'name', 'line0', 'netns', this.#at(name)])
    await run('ip', ['address', 'add', `${this.near}/30`, 'dev', line])
    await run('ip', ['link', 'set', line, 'up'])
    await this.ip(name, 'address', 'add', `${this.far}/30`, 'dev', 'line0')
    await this.ip(name, 'link', 'set', 'line0', 'up')
  }

  /** `ip` in the namespace of a host. */
  async ip(name: string, ...args: readonly string[]): Promise<void> {
    await run('ip', ['-n', this.#at(name), ...args])
  }

  async sysctl(name: string, key: string, value: string): Promise<void> {
    const path = `/proc/sys/${key.replaceAll('.', '/')}`
    await this.run(name, 'sh', '-c', `echo ${value} > ${path}`)
  }

  /** Runs a program on a host to its end. */
  async run(name: string, command: string, ...args: readonly string[]): Promise<string> {
    const wrapped = [...this.within(name).slice(1), command, ...args]
    return (await run('ip', wrapped, { timeout: 20_000 })).stdout
  }

  /** Starts a program on a host. */
  start(name: string, command: string, ...args: readonly string[]): Child {
    const [ip = '', ...wrapped] = [...this.within(name), tool(command), ...args]
    return new Child(ip, wrapped)
  }

  /** What a command has to be preceded by to run on a host. */
  within(name: string): readonly string[] {
    return [tool('ip'), 'netns', 'exec', this.#at(name)]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await run('ip', ['netns', 'delete', name]).catch(() => {})
  }

  async #space(name: string): Promise<void> {
    const full = this.#at(name)
    await run('ip', ['netns', 'add', full])
    this.#names.push(full)
    await this.ip(name, 'link', 'set', 'lo', 'up')
  }

  #at(name: string): string {
    return `${this.#prefix}-${name}`
  }
}
