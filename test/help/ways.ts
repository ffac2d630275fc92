// Three ways to one real broker: past Pulseward, through it as it is shipped, and through it at its strictest.

import { expect } from 'vitest'
import { Mosquitto } from './mosquitto.ts'
import { makePki } from './pki.ts'
import { Proxy, ward } from './proxy.ts'
import { eventually } from './wait.ts'

/** One way, for one run of a scenario. */
export interface Way {
  readonly port: number
  /** Begins every topic and client identifier of the run; as long on every way. */
  readonly run: string
}

/**
 * Mosquitto 2.0.11 sends more than a client's receive maximum when that is 2 or more and messages queue up; its own
 * clients announce 20. The preset strict ends such a session.
 */
export const overQuota = 'down receive-maximum forward'

type Preset = 'standard' | 'strict'

/** Rules that were broken, as `up ack-unknown forward`. */
type Broken = Readonly<Record<Preset, readonly string[]>>

export class Ways implements AsyncDisposable {
  readonly standard: Proxy
  readonly strict: Proxy
  readonly broker: Mosquitto
  readonly #stack: AsyncDisposableStack

  private constructor(broker: Mosquitto, standard: Proxy, strict: Proxy, stack: AsyncDisposableStack) {
    this.broker = broker
    this.standard = standard
    this.strict = strict
    this.#stack = stack
  }

  /** `more`: lines of mosquitto.conf. */
  static async open(more: readonly string[] = []): Promise<Ways> {
    const stack = new AsyncDisposableStack()
    try {
      const pki = await makePki()
      const broker = stack.use(await Mosquitto.start({ pki, more: ['log_type all', ...more] }))
      const files = { 'ca.pem': pki.ca.cert }
      const start = (preset: Preset): Promise<Proxy> =>
        Proxy.start({ config: ward({ brokers: [broker.port], more: { inspection: { preset } } }), files })
      const [standard, strict] = await Promise.all([start('standard'), start('strict')])
      stack.use(standard)
      stack.use(strict)
      return new Ways(broker, standard, strict, stack)
    } catch (error) {
      await stack.disposeAsync()
      throw error
    }
  }

  /** Plays a scenario past Pulseward and under these presets, and expects the same of each; returns that. */
  async agreeOn<Seen>(
    scenario: (way: Way) => Promise<Seen>,
    presets: readonly Preset[] = ['standard', 'strict'],
  ): Promise<Seen> {
    const others = presets.map((preset) => [preset, this[preset].port] as const)
    return await agreeOn(this.broker.plainPort, others, scenario)
  }

  async broken(): Promise<Broken> {
    return { standard: await brokenRules(this.standard), strict: await brokenRules(this.strict) }
  }

  /** Waits until the broker has acknowledged a subscription of this client. */
  async subscribed(clientId: string): Promise<void> {
    await eventually(`SUBACK for "${clientId}"`, () =>
      this.broker.log.includes(`Sending SUBACK to ${clientId}\n`),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

let runs = 0

/** Plays a scenario straight to a broker and on other ways, and expects the same of each; returns that. */
export async function agreeOn<Seen>(
  directPort: number,
  others: readonly (readonly [name: string, port: number])[],
  scenario: (way: Way) => Promise<Seen>,
): Promise<Seen> {
  runs += 1
  const play = async (port: number, letter: string): Promise<Seen> => {
    const run = `run-${letter}${runs}`
    return JSON.parse(JSON.stringify(await scenario({ port, run })).replaceAll(run, 'run')) as Seen
  }
  const [direct, ...seen] = await Promise.all([
    play(directPort, 'd'),
    ...others.map(([, port], index) => play(port, String(index))),
  ])
  for (const [index, [name]] of others.entries()) expect(seen[index], name).toEqual(direct)
  return direct
}

/** The rules that were broken through a proxy, each once, as `up ack-unknown forward`. */
export async function brokenRules(proxy: Proxy): Promise<string[]> {
  const hits = (await proxy.metrics()).series('pulseward_rule_hits_total')
  return hits
    .filter(({ value }) => value > 0)
    .map(({ labels }) => `${labels['direction']} ${labels['rule']} ${labels['action']}`)
    .toSorted()
}
